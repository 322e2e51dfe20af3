"""
An instrumented store: each call is reported with its outcome and its time. Imports `store`, `errors` and
`availability`.
"""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from authsvc.errors import MemoryLost, StoreUnavailable
from authsvc.outbound.availability import Availability
from authsvc.stores.store import Pulse, Store

T = TypeVar("T")


class InstrumentedStore:
    """
    Passes every call on to another store.

    Args:
        on_call: takes each call: the operation, "ok", "unavailable" or "memory-lost", and the time in seconds.
        availability: notes each success and failure.
    """

    def __init__(self, store: Store, on_call: Callable[[str, str, float], object], availability: Availability) -> None:
        self._store = store
        self._on_call = on_call
        self._availability = availability

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        """See `Store.add`."""
        return self._measured("add", lambda: self._store.add(key, value, keep_ms=keep_ms, since_ms=since_ms))

    def get(self, key: str) -> str | None:
        """See `Store.get`."""
        return self._measured("get", lambda: self._store.get(key))

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """See `Store.put`."""
        self._measured("put", lambda: self._store.put(key, value, keep_ms=keep_ms))

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """See `Store.count`."""
        return self._measured("count", lambda: self._store.count(hits, keep_ms=keep_ms))

    def ping(self) -> Pulse:
        """See `Store.ping`."""
        return self._measured("ping", self._store.ping)

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()

    def _measured(self, operation: str, call: Callable[[], T]) -> T:
        begun_s, outcome = time.perf_counter(), "ok"
        try:
            answer = call()
        except StoreUnavailable as exc:
            outcome = "unavailable"
            self._availability.failed(exc)
            raise
        except MemoryLost:
            outcome = "memory-lost"
            raise
        else:
            self._availability.succeeded()
            return answer
        finally:
            self._on_call(operation, outcome, time.perf_counter() - begun_s)
