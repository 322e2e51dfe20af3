"""
A bulkhead limits how many requests of a worker wait for a service, so that one that hangs leaves threads for the rest.

Imports only `errors`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from authsvc.errors import LoginUnavailable, VendorBusy

PATIENCE_S = 0.3  # to wait for a slot; no request waits while another has had its slot for longer than this


class Bulkhead:
    """At most `size` requests at a time. Safe to use from many threads."""

    def __init__(self, size: int, refusal: type[VendorBusy] | type[LoginUnavailable] = VendorBusy) -> None:
        """Take the number of slots, and what to raise for one request too many."""
        self._free = threading.BoundedSemaphore(size)
        self._refusal = refusal
        self._lock = threading.Lock()
        self._taken_s: dict[object, float] = {}

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot. Raises the refusal if none is free, or gets free soon."""
        if not self._free.acquire(timeout=0 if self._is_slow() else PATIENCE_S):
            raise self._refusal("too many requests are waiting for {service}", service=self._refusal.service)
        slot = object()
        with self._lock:
            self._taken_s[slot] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._taken_s[slot]
            self._free.release()

    def _is_slow(self) -> bool:
        with self._lock:
            oldest_s = min(self._taken_s.values(), default=None)
        return oldest_s is not None and time.monotonic() - oldest_s > PATIENCE_S
