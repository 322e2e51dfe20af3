"""The vendor's budget, counted in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.errors import VendorBusy
from authsvc.ratelimit.rate import Rate
from authsvc.stores import open_store
from authsvc.stores.store import Store
from authsvc.vendor.budget import ALONE, Budget
from tests.support import made_up

WINDOW_MS = 60_000
START_MS = 1_750_000_020_000 // WINDOW_MS * WINDOW_MS
LIMIT = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store that workers share."""
    store = open_store(f"sqlite://{tmp_path}/store.db")
    yield store
    store.close()


@pytest.fixture
def budget(store: Store) -> Budget:
    """Twenty calls a minute."""
    return Budget(Rate(LIMIT, WINDOW_MS), store)


def spent(budget: Budget, now_ms: int = START_MS, appkey: str = made_up.APPKEY) -> int:
    """Spend until it is refused; return how many calls that were."""
    for calls in range(10 * LIMIT):
        try:
            budget.spend(appkey, now_ms)
        except VendorBusy:
            return calls
    return 10 * LIMIT


def test_a_window_has_its_calls(budget: Budget) -> None:
    """As many as the limit allows, and as many again in the next window."""
    assert spent(budget) == LIMIT
    assert spent(budget, START_MS + WINDOW_MS - 1) == 0
    assert spent(budget, START_MS + WINDOW_MS) == LIMIT


def test_when_to_come_back(budget: Budget) -> None:
    """The refusal names the seconds until the next window, rounded up."""
    spent(budget)
    with pytest.raises(VendorBusy, match="AUTHSVC_VENDOR_BUDGET") as busy:
        budget.spend(made_up.APPKEY, START_MS + 1)
    assert busy.value.retry_after_s == 60
    with pytest.raises(VendorBusy) as busy:
        budget.spend(made_up.APPKEY, START_MS + WINDOW_MS - 1)
    assert busy.value.retry_after_s == 1


def test_apps_have_their_own(budget: Budget) -> None:
    """The vendor counts by appkey."""
    assert spent(budget) == LIMIT
    assert spent(budget, appkey=made_up.OTHER_APPKEY) == LIMIT


def test_workers_share_it(store: Store) -> None:
    """Two workers together spend no more than one alone would."""
    workers = [Budget(Rate(LIMIT, WINDOW_MS), store) for _ in range(2)]
    for _ in range(LIMIT // 2):
        for worker in workers:
            worker.spend(made_up.APPKEY, START_MS)
    assert [spent(worker) for worker in workers] == [0, 0]


def test_alone(tmp_path: Path) -> None:
    """A worker that cannot ask the store spends a small part, in each window and for each app."""
    budget = Budget(Rate(LIMIT, WINDOW_MS), open_store("unix:///nonexistent/redis.sock"))
    assert spent(budget) == LIMIT // ALONE
    assert spent(budget, appkey=made_up.OTHER_APPKEY) == LIMIT // ALONE
    assert spent(budget, START_MS + WINDOW_MS) == LIMIT // ALONE


def test_closed_by_the_vendor(budget: Budget) -> None:
    """A limit that the vendor reports as exhausted stays so until the time that it names, whatever our own count is."""
    budget.close(made_up.APPKEY, START_MS + 7_000)
    assert spent(budget, START_MS + 6_999) == 0
    assert spent(budget, START_MS + 6_999, made_up.OTHER_APPKEY) == LIMIT
    assert spent(budget, START_MS + 7_000) == LIMIT


def test_what_is_left(budget: Budget) -> None:
    """By app, in the window of its last call; a window later it is all of it."""
    assert budget.left(START_MS) == {}
    for _ in range(3):
        budget.spend(made_up.APPKEY, START_MS)
    assert budget.left(START_MS + WINDOW_MS - 1) == {made_up.APPKEY: LIMIT - 3}
    assert budget.left(START_MS + WINDOW_MS) == {made_up.APPKEY: LIMIT}
    assert spent(budget) == LIMIT - 3
    assert budget.left(START_MS) == {made_up.APPKEY: 0}
