"""
The circuit breaker before the vendor: after repeated failure it lets only a probe through, now and then.

One a worker, and it knows nothing of HTTP. Imports only `errors`.
"""

import threading
import time
from collections.abc import Callable

from authsvc.errors import VendorBusy

FAILURES = 5  # in a row, until it opens
PAUSE_S = 5  # between two probes


class Breaker:
    """Closed while the vendor answers. Safe to use from many threads."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """Take a monotonic clock, in seconds."""
        self._now_s = now_s
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at_s = 0.0

    def is_open(self) -> bool:
        """Return whether the vendor counts as away."""
        return self._failures >= FAILURES

    def check(self) -> None:
        """Raise VendorBusy while the vendor counts as away, but for one probe every PAUSE_S seconds."""
        with self._lock:
            now_s = self._now_s()
            if not self.is_open():
                return
            if now_s < self._probe_at_s:
                raise VendorBusy("the vendor is away", retry_after_s=max(1, round(self._probe_at_s - now_s)))
            self._probe_at_s = now_s + PAUSE_S

    def succeeded(self) -> None:
        """The vendor answered, whatever it said."""
        self._failures = 0

    def failed(self) -> None:
        """The vendor was too slow, away or out of order."""
        with self._lock:
            self._failures += 1
            if self.is_open():
                self._probe_at_s = self._now_s() + PAUSE_S
