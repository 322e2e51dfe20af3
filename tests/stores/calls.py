"""
Every call that a store has, what it must do when the store is away, and calls that are made again meanwhile.
"""

import time
from collections.abc import Callable
from typing import Final

from authsvc.errors import StoreUnavailable
from authsvc.stores import sqlite
from authsvc.stores.store import Store
from tests.support.running import PATIENCE_S
from tests.support.stopwatch import Stopwatch

CALLS: Final[dict[str, Callable[[Store], object]]] = {
    "add": lambda store: store.add("key", "value", keep_ms=60_000),
    "get": lambda store: store.get("key"),
    "put": lambda store: store.put("key", "value", keep_ms=60_000),
    "count": lambda store: store.count({"counter": 1}, keep_ms=60_000),
    "ping": lambda store: store.ping(),
}
WRITES: Final = {name: call for name, call in CALLS.items() if name != "get"}


def check_unavailable(store: Store, call: Callable[[Store], object]) -> StoreUnavailable:
    """
    Hold a call to the promise: StoreUnavailable within a second. Return what was raised.

    A patient store, see `own_limits`, may wait for a Redis that stands still before it fails: then it is asked again.
    """
    for _ in range(3 if sqlite.WAIT_S > 1 else 1):
        with Stopwatch() as watch:
            raised = failure(store, call)
        assert raised is not None, "it is available"
        assert raised.__cause__ is not None, "`authsvc check` prints the cause"
        if watch.took_s < 1.0:
            return raised
    raise AssertionError(f"it took {watch.took_s:.2f} s")


def failure(store: Store, call: Callable[[Store], object]) -> StoreUnavailable | None:
    """Return how the store is unavailable for the call, None if it is not."""
    try:
        call(store)
    except StoreUnavailable as exc:
        return exc
    return None


def succeeds(store: Store, call: Callable[[Store], object]) -> bool:
    """Return whether the store is available for the call."""
    return failure(store, call) is None


def works(store: Store) -> bool:
    """Return whether the store takes a write."""
    return succeeds(store, CALLS["ping"])


def add(store: Store, key: str, value: str, *, since_ms: int | None = None) -> bool:
    """Make a claim, and make it again while the store is unavailable, which is safe."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return store.add(key, value, keep_ms=600_000, since_ms=since_ms)
        except StoreUnavailable:
            if time.monotonic() > until_s:
                raise
        time.sleep(0.02)
