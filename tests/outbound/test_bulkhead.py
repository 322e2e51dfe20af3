"""The slots for requests that wait for a service."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc.errors import VendorBusy
from authsvc.outbound import bulkhead as bulkhead_module
from authsvc.outbound.bulkhead import PATIENCE_S, Bulkhead
from tests.support.running import wait_until

LIMIT_S = 60  # of a busy machine


def test_a_slot_is_released() -> None:
    """One after the other gets the slot, also after an exception."""
    bulkhead = Bulkhead(1)
    with pytest.raises(RuntimeError), bulkhead.slot():
        raise RuntimeError
    with bulkhead.slot():
        pass


def test_a_request_waits_for_a_slot_that_gets_free_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """While all slots are taken, and none for long."""
    monkeypatch.setattr(bulkhead_module, "PATIENCE_S", float(LIMIT_S))
    bulkhead = Bulkhead(1)
    taken, leave = threading.Event(), threading.Event()

    def take() -> None:
        with bulkhead.slot():
            taken.set()
            leave.wait(LIMIT_S)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(take)
        taken.wait(LIMIT_S)
        second = pool.submit(take)
        wait_until(lambda: bool(bulkhead._free._cond._waiters), timeout_s=LIMIT_S)  # type: ignore[attr-defined] # Python's own
        leave.set()
        first.result()
        second.result()


def test_no_request_waits_while_a_slot_is_held_for_long() -> None:
    """They are rejected at once: fifty take less than half the time that they would wait."""
    bulkhead = Bulkhead(2)
    leave = threading.Event()

    def take() -> None:
        with bulkhead.slot():
            leave.wait(LIMIT_S)

    with ThreadPoolExecutor(2) as pool:
        takers = [pool.submit(take) for _ in range(2)]
        wait_until(lambda: len(bulkhead._taken_s) == 2, timeout_s=LIMIT_S)
        with pytest.raises(VendorBusy), bulkhead.slot():
            pass
        began_s = time.monotonic()
        for _ in range(50):
            with pytest.raises(VendorBusy), bulkhead.slot():
                pass
        assert time.monotonic() - began_s < 50 * PATIENCE_S / 2
        leave.set()
        for taker in takers:
            taker.result()
