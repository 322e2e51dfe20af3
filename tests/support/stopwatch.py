"""
How long something takes, on a machine that may stand still meanwhile.
"""

import threading
import time
from typing import Self

TICK_S = 0.01
COUNTED_S = 0.05  # the most that counts of one tick; the rest is a stall


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
