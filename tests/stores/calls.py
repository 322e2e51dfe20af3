"""
Every call that a store has, and what it must do when the store is away.
"""

import time
from collections.abc import Callable
from typing import Final

import pytest

from authsvc.errors import StoreUnavailable
from authsvc.stores.store import Store

CALLS: Final[dict[str, Callable[[Store], object]]] = {
    "add": lambda store: store.add("key", "value", keep_ms=60_000),
    "get": lambda store: store.get("key"),
    "put": lambda store: store.put("key", "value", keep_ms=60_000),
    "count": lambda store: store.count({"counter": 1}, keep_ms=60_000),
    "ping": lambda store: store.ping(),
}
WRITES: Final = {name: call for name, call in CALLS.items() if name != "get"}


def check_unavailable(store: Store, call: Callable[[Store], object]) -> StoreUnavailable:
    """Hold a call to the promise: StoreUnavailable within a second. Return what was raised."""
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        call(store)
    assert time.monotonic() - began_s < 1.0
    assert raised.value.__cause__ is not None, "`authsvc check` prints the cause"
    return raised.value


def works(store: Store) -> bool:
    """Return whether the store takes a write."""
    try:
        store.ping()
    except StoreUnavailable:
        return False
    return True
