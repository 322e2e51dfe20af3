"""What every store does, run over each of them, and over each shape of Redis."""

import os
import string
import time
from collections.abc import Callable

import pytest

from authsvc.errors import MemoryLost
from authsvc.stores.store import Store
from tests.stores.conftest import Open

BORN_MS = 1_700_000_000_000
MINUTE_MS = 60_000


def test_first_claim_wins(store: Store) -> None:
    """The first value on a key wins and stays; a second one loses."""
    assert store.add("key", "first", keep_ms=MINUTE_MS)
    assert not store.add("key", "second", keep_ms=MINUTE_MS)
    assert store.get("key") == "first"


def test_same_claim_again_wins_again(store: Store) -> None:
    """A claimant that asks again with its own value has won again, even after another one has lost."""
    assert store.add("key", "mine", keep_ms=MINUTE_MS)
    assert store.add("key", "mine", keep_ms=MINUTE_MS)
    assert not store.add("key", "other", keep_ms=MINUTE_MS)
    assert store.add("key", "mine", keep_ms=MINUTE_MS)


def test_get_of_nothing(store: Store) -> None:
    """A key that nobody has set has no value."""
    assert store.get("key") is None


def test_put_replaces(store: Store) -> None:
    """The last value that was put stays, whatever was there."""
    assert store.add("key", "claim", keep_ms=MINUTE_MS)
    store.put("key", "first", keep_ms=MINUTE_MS)
    store.put("key", "second", keep_ms=MINUTE_MS)
    assert store.get("key") == "second"


def test_count_adds_up(store: Store) -> None:
    """Counters start from 0, each adds up for itself, and only those asked for come back."""
    assert store.count({"a": 2, "b": 1}, keep_ms=MINUTE_MS) == {"a": 2, "b": 1}
    assert store.count({"b": 5, "c": 7}, keep_ms=MINUTE_MS) == {"b": 6, "c": 7}
    assert store.get("a") == "2"


def test_count_of_nothing(store: Store) -> None:
    """No counters, no totals."""
    assert store.count({}, keep_ms=MINUTE_MS) == {}


@pytest.mark.parametrize("many", [3_000, 5_001])
def test_count_of_many(store: Store, many: int) -> None:
    """Thousands of users are counted in one call, each by himself."""
    hits = {f"user:{number}": number for number in range(1, many + 1)}
    store.count(hits, keep_ms=MINUTE_MS)
    assert store.count(hits, keep_ms=MINUTE_MS) == {key: 2 * hit for key, hit in hits.items()}


def test_workers_share(opened: Open, store_url: str) -> None:
    """What one worker writes, another sees."""
    one, other = opened(store_url), opened(store_url)
    assert one.add("claim", "one", keep_ms=MINUTE_MS)
    assert not other.add("claim", "other", keep_ms=MINUTE_MS)
    one.put("text", "put by one", keep_ms=MINUTE_MS)
    assert other.get("text") == "put by one"
    one.count({"counter": 1}, keep_ms=MINUTE_MS)
    assert other.count({"counter": 1}, keep_ms=MINUTE_MS) == {"counter": 2}


@pytest.mark.parametrize(
    "key",
    [
        "".join(map(chr, range(128))),
        string.punctuation,
        "a b",
        "{curly}:tag",
        "*",
        "?[a-z]",
        "%25",
        "'; DROP TABLE entry; --",
        "x" * 1_000,
        "1",
    ],
)
def test_odd_keys(store: Store, key: str) -> None:
    """A key or a value is any ASCII text, and is only ever equal to itself."""
    assert store.add(key, key, keep_ms=MINUTE_MS)
    assert store.get(key) == key
    assert store.get(f"{key} ") is None
    assert store.count({key + ":n": 1}, keep_ms=MINUTE_MS) == {key + ":n": 1}


@pytest.mark.parametrize("claim", ["nobody's", "ours", "another's"])
@pytest.mark.parametrize("since_ms", [0, BORN_MS - 1, BORN_MS])
def test_memory_lost(opened: Open, store_url: str, since_ms: int, claim: str) -> None:
    """A claim that reaches back to the store's birth or beyond is refused, whatever is known of the key."""
    store = opened(store_url, lambda: BORN_MS)
    store.ping()
    if claim != "nobody's":
        store.add("key", claim, keep_ms=MINUTE_MS)
    with pytest.raises(MemoryLost) as lost:
        store.add("key", "ours", keep_ms=MINUTE_MS, since_ms=since_ms)
    assert lost.value.born_ms == BORN_MS


@pytest.mark.parametrize("since_ms", [BORN_MS + 1, None])
def test_memory_reaches_back(opened: Open, store_url: str, since_ms: int | None) -> None:
    """A claim that begins after the store's birth, or does not care, is decided by the key alone."""
    store = opened(store_url, lambda: BORN_MS)
    assert store.add("key", "ours", keep_ms=MINUTE_MS, since_ms=since_ms)
    assert not store.add("key", "another's", keep_ms=MINUTE_MS, since_ms=since_ms)


@pytest.mark.parametrize("first", [lambda store: store.ping(), lambda store: store.add("key", "x", keep_ms=MINUTE_MS)])
def test_birth_mark_stays(opened: Open, store_url: str, first: Callable[[Store], object]) -> None:
    """The first ping or claim marks the store's birth there, for all workers and for good."""
    first(opened(store_url, lambda: BORN_MS))
    later = opened(store_url, lambda: BORN_MS + 5_000)
    later.ping()
    assert later.add("key", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1)
    with pytest.raises(MemoryLost) as lost:
        later.add("key", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS)
    assert lost.value.born_ms == BORN_MS


def test_ping_returns_the_time(store: Store) -> None:
    """A ping returns the store's clock, in Unix milliseconds."""
    before_ms = time.time_ns() // 1_000_000
    told_ms = store.ping().clock_ms
    assert before_ms <= told_ms <= time.time_ns() // 1_000_000


def test_use_after_close(store: Store) -> None:
    """A closed store may be used again, and has forgotten nothing."""
    store.close()
    assert store.add("key", "mine", keep_ms=MINUTE_MS)
    store.close()
    store.close()
    assert not store.add("key", "other", keep_ms=MINUTE_MS)


def test_fork(store: Store) -> None:
    """After a fork parent and child go on, each with what the other wrote."""
    assert store.add("before", "parent", keep_ms=MINUTE_MS)
    child = os.fork()
    if not child:
        try:
            os._exit(not (store.add("child", "child", keep_ms=MINUTE_MS) and store.get("before") == "parent"))
        finally:
            os._exit(2)
    assert store.add("parent", "parent", keep_ms=MINUTE_MS)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not store.add("child", "parent", keep_ms=MINUTE_MS)
