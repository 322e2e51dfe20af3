"""
A circuit breaker: after repeated failures of a service it rejects requests, except for a probe every few seconds.

Each worker has one for each service. It does not depend on HTTP. Imports only `errors`.
"""

import threading
import time
from collections.abc import Callable

from authsvc.errors import LoginUnavailable, VendorBusy

FAILURES = 5  # in a row, after which it opens
PAUSE_S = 5  # between two probes


class CircuitBreaker:
    """Closed while the service answers. Safe to use from many threads."""

    def __init__(
        self,
        refusal: type[VendorBusy] | type[LoginUnavailable] = VendorBusy,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what to raise while the breaker is open, and a monotonic clock, in seconds."""
        self._refusal = refusal
        self._now_s = now_s
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at_s = 0.0

    def is_open(self) -> bool:
        """Return whether the last calls failed."""
        return self._failures >= FAILURES

    def check(self) -> None:
        """Raise the refusal while the breaker is open, except for one probe every PAUSE_S seconds."""
        with self._lock:
            now_s = self._now_s()
            if not self.is_open():
                return
            if now_s < self._probe_at_s:
                retry_after_s = max(1, round(self._probe_at_s - now_s))
                raise self._refusal(
                    "{service} is unavailable", service=self._refusal.service, retry_after_s=retry_after_s
                )
            self._probe_at_s = now_s + PAUSE_S

    def succeeded(self) -> None:
        """Note an answer, whatever it contains."""
        self._failures = 0

    def failed(self) -> None:
        """Note a service that is too slow, unavailable or out of order."""
        with self._lock:
            self._failures += 1
            if self.is_open():
                self._probe_at_s = self._now_s() + PAUSE_S
