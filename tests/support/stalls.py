"""
What a machine that stops for seconds must not change: how long a store waits in tests, and how long a call takes.
"""

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from authsvc.stores import sqlite

if TYPE_CHECKING:  # worker processes start without it
    import pytest

PATIENT_S = 60.0
PATIENT_LIMITS: Final = {
    "authsvc.stores.topology.TIMEOUT_S": PATIENT_S,
    "authsvc.stores.topology.RETRY_WITHIN_S": PATIENT_S,
    "authsvc.stores.discovery.LOOK_TIMEOUT_S": PATIENT_S,
    "authsvc.stores.discovery.LOOK_S": PATIENT_S,
    "authsvc.stores.redis.WAIT_MS": int(PATIENT_S * 500),
    "authsvc.stores.sqlite.WAIT_S": PATIENT_S,
    "authsvc.stores.sqlite.CLOSE_WAIT_S": PATIENT_S,
}
TICK_S = 0.01
COUNTED_S = 0.05  # the most that counts of one tick; the rest is a stall


def be_patient(patch: "pytest.MonkeyPatch") -> None:
    """Have the stores that are opened from now on wait longer than any machine stops."""
    for name, limit in PATIENT_LIMITS.items():
        patch.setattr(name, limit)


def is_patient() -> bool:
    """Whether a store that is opened now is patient."""
    return sqlite.WAIT_S == PATIENT_S


class Stopwatch:
    """
    Measures how long the block in it takes, without the time for which this process stood still. A context manager.

    A thread beside it ticks; whatever keeps the thread from its next tick keeps the block from going on too.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick)
        self.took_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def _tick(self) -> None:
        last_s = time.monotonic()
        is_over = False
        while not is_over:
            is_over = self._ended.wait(TICK_S)
            now_s = time.monotonic()
            self.took_s += min(now_s - last_s, COUNTED_S)
            last_s = now_s
