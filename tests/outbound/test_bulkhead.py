"""The places for requests that wait for the vendor."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc.errors import VendorBusy
from authsvc.outbound.bulkhead import PATIENCE_S, Bulkhead
from tests.support.running import wait_until


def test_a_place_is_given_back() -> None:
    """One after the other all have a place, whether or not the first was glad of it."""
    bulkhead = Bulkhead(1)
    with pytest.raises(RuntimeError), bulkhead.slot():
        raise RuntimeError
    with bulkhead.slot():
        pass


def test_waiting_a_little() -> None:
    """Who comes when all places are taken waits for one that gets free soon."""
    bulkhead = Bulkhead(1)
    taken, leave = threading.Event(), threading.Event()

    def take() -> None:
        with bulkhead.slot():
            taken.set()
            leave.wait(5)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(take)
        taken.wait(5)
        second = pool.submit(take)
        threading.Event().wait(PATIENCE_S / 10)
        leave.set()
        first.result()
        second.result()


def test_not_waiting_for_long() -> None:
    """Nobody gets a place that stays taken: at first after a little patience, then at once."""
    bulkhead = Bulkhead(2)
    leave = threading.Event()

    def take() -> None:
        with bulkhead.slot():
            leave.wait(10)

    with ThreadPoolExecutor(2) as pool:
        takers = [pool.submit(take) for _ in range(2)]
        wait_until(lambda: len(bulkhead._taken_s) == 2, timeout_s=15)
        began_s = time.monotonic()
        with pytest.raises(VendorBusy), bulkhead.slot():
            pass
        assert PATIENCE_S <= time.monotonic() - began_s < PATIENCE_S + 0.5
        began_s = time.monotonic()
        with pytest.raises(VendorBusy), bulkhead.slot():
            pass
        assert time.monotonic() - began_s < PATIENCE_S / 2
        leave.set()
        for taker in takers:
            taker.result()
