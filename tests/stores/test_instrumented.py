"""An instrumented store passes each call on, and reports it."""

import time
from pathlib import Path

import pytest

from authsvc.errors import MemoryLost, StoreUnavailable
from authsvc.outbound.availability import Availability
from authsvc.stores import open_store
from authsvc.stores.instrumented import InstrumentedStore
from authsvc.stores.store import Store
from tests.stores.calls import CALLS

Calls = list[tuple[str, str, float]]


def availability() -> Availability:
    return Availability("the store", "AUTHSVC_STORE_URL")


@pytest.mark.parametrize("name", CALLS)
def test_every_call(tmp_path: Path, name: str) -> None:
    """It is passed on, its answer is returned, and it is reported with its time."""
    calls: Calls = []
    plain = open_store(f"sqlite://{tmp_path}/plain.db", now_ms=lambda: 1)
    measured = InstrumentedStore(
        open_store(f"sqlite://{tmp_path}/measured.db", now_ms=lambda: 1),
        lambda *call: calls.append(call),
        availability(),
    )
    stores: tuple[Store, Store] = (plain, measured)
    for store in stores:
        store.put("key", "there", keep_ms=60_000)
    calls.clear()
    began_s = time.perf_counter()
    answers = [CALLS[name](store) for store in stores]
    assert answers[0] == answers[1]
    ((operation, outcome, took_s),) = calls
    assert (operation, outcome) == (name, "ok")
    assert 0 < took_s < time.perf_counter() - began_s
    for store in stores:
        store.close()


def test_what_goes_wrong(tmp_path: Path) -> None:
    """An unavailable store and one that has lost its data are distinguished."""
    calls: Calls = []
    unavailable = InstrumentedStore(
        open_store("sqlite:///dev/null/store.db"), lambda *call: calls.append(call), availability()
    )
    with pytest.raises(StoreUnavailable):
        unavailable.ping()
    born = InstrumentedStore(
        open_store(f"sqlite://{tmp_path}/store.db", now_ms=lambda: 1), lambda *call: calls.append(call), availability()
    )
    with pytest.raises(MemoryLost):
        born.add("key", "value", keep_ms=1_000, since_ms=0)
    assert [call[:2] for call in calls] == [("ping", "unavailable"), ("add", "memory-lost")]
    born.close()
