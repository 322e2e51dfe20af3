"""The rate limit: what one worker lets through, what several do together, and how much memory it takes."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from authsvc.errors import StoreUnavailable, TooManyRequests
from authsvc.ratelimit.limiter import LATE_MS, MAX_USERS, PAUSE_S, PIECE, PIECES, Limiter, Quota
from authsvc.ratelimit.rate import Rate
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.support import made_up
from tests.support.patience import with_stores
from tests.support.running import clean_environment
from tests.support.services import RedisServer

ROOT = Path(__file__).parents[2]
MINUTE_MS = 60_000
RATE = Rate(5, MINUTE_MS)
APPKEY = made_up.APPKEY


def start_ms(user_id: str, window_ms: int = MINUTE_MS) -> int:
    """Return a moment at which a window of this user begins."""
    return 1_750_000_000_000 // window_ms * window_ms - zlib.crc32(user_id.encode()) % window_ms + window_ms


MING_MS = start_ms("ming")


class Counting:
    """A store that passes calls on, or is unavailable; it counts the calls of `count`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_away = False
        self.is_away_after: int | None = None  # so many calls
        self.counted: list[Mapping[str, int]] = []

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        if self.is_away or len(self.counted) == self.is_away_after:
            raise StoreUnavailable
        self.counted.append(hits)
        return self.store.count(hits, keep_ms=keep_ms)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counting]:
    """A SQLite store."""
    store = open_store(f"sqlite://{tmp_path}/store.db")
    yield Counting(store)
    store.close()


@pytest.fixture
def limiter(store: Counting) -> Limiter:
    """Five a minute."""
    return Limiter(RATE, store)  # type: ignore[arg-type] # the rest is the store's by __getattr__


def another(store: Counting, rate: Rate = RATE) -> Limiter:
    return Limiter(rate, store)  # type: ignore[arg-type] # as above


def passed(limiter: Limiter, user_id: str = "ming", now_ms: int = MING_MS, appkey: str = APPKEY) -> int:
    """Hit until it is refused; return how often it was not."""
    for hits in range(1000):
        try:
            limiter.hit(user_id, appkey, now_ms)
        except TooManyRequests:
            return hits
    return 1000


def test_quota(limiter: Limiter) -> None:
    """Each answer has what is left and the end of the window, in seconds rounded up; then come refusals."""
    quotas = [limiter.hit("ming", APPKEY, MING_MS) for _ in range(5)]
    assert quotas == [Quota(RATE, remaining, 60) for remaining in (4, 3, 2, 1, 0)]
    with pytest.raises(TooManyRequests) as refused:
        limiter.hit("ming", APPKEY, MING_MS + 1)
    assert refused.value.retry_after_s == 60
    with pytest.raises(TooManyRequests, match=r"more than 5 requests in 60 s; try again in 1 s"):
        limiter.hit("ming", APPKEY, MING_MS + MINUTE_MS - 1)


@pytest.mark.parametrize("window_ms", [1_000, 60_000, 3_600_000])
def test_windows(store: Counting, window_ms: int) -> None:
    """The limit holds to the last millisecond of a window, and is whole again at the first of the next."""
    limiter = another(store, Rate(5, window_ms))
    begin_ms = start_ms("ming", window_ms)
    assert passed(limiter, now_ms=begin_ms) == 5
    assert passed(limiter, now_ms=begin_ms + window_ms - 1) == 0
    assert passed(limiter, now_ms=begin_ms + window_ms) == 5


def test_a_request_that_waited(limiter: Limiter) -> None:
    """One that arrived in the window before, and waited for its login, begins no window: it counts in this one."""
    assert passed(limiter, now_ms=MING_MS) == 5
    for late_ms in (1, 1_000, LATE_MS):
        with pytest.raises(TooManyRequests) as refused:
            limiter.hit("ming", APPKEY, MING_MS - late_ms)
        assert refused.value.retry_after_s == 60
        assert passed(limiter, now_ms=MING_MS + 1) == 0
    limiter.hit("ming", APPKEY, MING_MS + MINUTE_MS)
    limiter.hit("ming", APPKEY, MING_MS + MINUTE_MS - 1)
    assert passed(limiter, now_ms=MING_MS + MINUTE_MS) == 3


def test_a_clock_that_is_set_back(limiter: Limiter) -> None:
    """By more than any request may have waited: the window of then counts."""
    assert passed(limiter, now_ms=MING_MS) == 5
    assert passed(limiter, now_ms=MING_MS - LATE_MS - 1) == 5


def test_refused_hits_do_not_count(limiter: Limiter, store: Counting) -> None:
    """Rejected requests do not extend the window, nor increase the store's count."""
    assert passed(limiter) == 5
    for _ in range(50):
        assert passed(limiter) == 0
    limiter.reconcile()
    assert [list(hits.values()) for hits in store.counted] == [[5]]


def test_users_and_apps_are_apart(limiter: Limiter) -> None:
    """Each user has the limit in each app."""
    for user_id in ("ming", "ana"):
        for appkey in (APPKEY, made_up.OTHER_APPKEY):
            assert passed(limiter, user_id, appkey=appkey) == 5


def test_windows_begin_at_a_moment_of_each_users_own(store: Counting) -> None:
    """Of many users who are refused together, few come back in the same second."""
    limiter = another(store, Rate(1, MINUTE_MS))
    seconds = []
    for number in range(600):
        limiter.hit(f"user-{number}", APPKEY, MING_MS)
        with pytest.raises(TooManyRequests) as refused:
            limiter.hit(f"user-{number}", APPKEY, MING_MS)
        seconds.append(refused.value.retry_after_s)
    assert set(seconds) == set(range(1, 61))
    assert max(seconds.count(second) for second in set(seconds)) < 40


def test_a_hit_during_an_exchange(limiter: Limiter, store: Counting) -> None:
    """A hit during an exchange is sent with the next one, once, even without further hits of the user."""
    limiter.hit("ming", APPKEY, MING_MS)
    limiter.hit("ming", APPKEY, MING_MS)
    ask = store.count

    def count(hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        limiter.hit("ming", APPKEY, MING_MS)
        return ask(hits, keep_ms=keep_ms)

    store.count = count  # type: ignore[method-assign] # for one call
    limiter.reconcile()
    store.count = ask  # type: ignore[method-assign]
    limiter.reconcile()
    limiter.reconcile()
    assert [list(hits.values()) for hits in store.counted] == [[2], [1]]
    assert passed(limiter) == 2


def test_few_calls_for_many_users(limiter: Limiter, store: Counting) -> None:
    """Hits make no call to the store; then a few calls have the counts of all users, and none if nothing changed."""
    users = PIECES * PIECE + 1
    for number in range(users):
        limiter.hit(f"user-{number}", APPKEY, MING_MS)
    assert store.counted == []
    limiter.reconcile()
    limiter.reconcile()
    assert [len(hits) for hits in store.counted] == [PIECE + 1] * (PIECES - 1) + [users - (PIECES - 1) * (PIECE + 1)]
    assert len({name for hits in store.counted for name in hits}) == users
    assert not any("user-" in name for name in store.counted[0])


def test_unavailable_between_two_batches(limiter: Limiter, store: Counting) -> None:
    """What was sent is not sent again, and the rest is sent the next time."""
    for number in range(2 * PIECE):
        limiter.hit(f"user-{number}", APPKEY, MING_MS)
    store.is_away_after = 1
    limiter.reconcile()
    assert len(store.counted) == 1
    store.is_away_after = None
    limiter.reconcile()
    first, second = store.counted
    assert (len(first), len(second), len({*first, *second})) == (PIECE, PIECE, 2 * PIECE)


def test_others_run_between_two_pieces(limiter: Limiter, store: Counting) -> None:
    """Requests are served between two batches, and not only after all."""
    for number in range(3 * PIECE):
        limiter.hit(f"user-{number}", APPKEY, MING_MS)
    began_s = time.monotonic()
    limiter.reconcile()
    assert time.monotonic() - began_s >= 2 * PAUSE_S


def test_workers_learn_from_each_other(store: Counting) -> None:
    """What one has let through the other knows after both have reconciled."""
    one, other = another(store), another(store)
    for _ in range(3):
        one.hit("ming", APPKEY, MING_MS)
    other.hit("ming", APPKEY, MING_MS)
    one.reconcile()
    other.reconcile()
    assert passed(other) == 1


def test_no_user_id_is_counted_as_another(store: Counting) -> None:
    """Whatever delimiters an id holds, what others used up is not counted against it."""
    one, other = another(store), another(store)
    at_ms = max(start_ms(name) for name in ("a", "a:b"))
    for user_id in ("a:b", f"{APPKEY}:a", "a:", ":a", "a\0", "a b", "A"):
        assert passed(one, user_id, at_ms) == 5
    one.reconcile()
    other.hit("a", APPKEY, at_ms)
    other.reconcile()
    assert passed(other, "a", at_ms) == 4


def test_an_hour_is_waited_for_to_the_second(store: Counting) -> None:
    """Who is refused at the begin of a long window hears its whole length."""
    limiter = another(store, Rate(1, 60 * MINUTE_MS))
    begin_ms = start_ms("ming", 60 * MINUTE_MS)
    assert passed(limiter, now_ms=begin_ms) == 1
    with pytest.raises(TooManyRequests) as refused:
        limiter.hit("ming", APPKEY, begin_ms)
    assert refused.value.retry_after_s == 3600


def test_counts_of_another_kind_are_apart(store: Counting) -> None:
    """Two limiters with words of their own share nothing, though they share the store."""
    one = another(store)
    media = Limiter(RATE, store, what="media")  # type: ignore[arg-type] # as above
    assert passed(one) == passed(media) == 5
    one.reconcile()
    media.reconcile()
    assert len({name for hits in store.counted for name in hits}) == 2


def test_store_unavailable(store: Counting) -> None:
    """Each worker enforces the limit by itself, and sends its counts when the store is available again."""
    one, other = another(store), another(store)
    store.is_away = True
    for _ in range(2):
        one.hit("ming", APPKEY, MING_MS)
    one.reconcile()
    one.reconcile()
    assert passed(one) == 3
    store.is_away = False
    one.reconcile()
    other.hit("ming", APPKEY, MING_MS)
    other.reconcile()
    assert passed(other) == 0


def test_counts_are_sent_when_the_store_is_available_again(store: Counting) -> None:
    """Others learn of whom a worker let through during an outage also if he asks it no more."""
    one, other = another(store), another(store)
    assert passed(one) == 5
    store.is_away = True
    one.reconcile()
    store.is_away = False
    one.reconcile()
    other.hit("ming", APPKEY, MING_MS)
    other.reconcile()
    assert passed(other) == 0


def test_store_back_empty(store: Counting, tmp_path: Path) -> None:
    """A store that has forgotten does not give a user his limit back in a worker that knows better."""
    limiter = another(store)
    for _ in range(4):
        limiter.hit("ming", APPKEY, MING_MS)
    limiter.reconcile()
    store.store = open_store(f"sqlite://{tmp_path}/empty.db")
    limiter.hit("ming", APPKEY, MING_MS)
    limiter.reconcile()
    assert passed(limiter) == 0
    store.store.close()


def test_a_window_that_ends_before_its_exchange(store: Counting) -> None:
    """News of a window that is over does not count in the next one."""
    limiter = another(store)
    store.is_away = True
    assert passed(limiter) == 5
    limiter.reconcile()
    assert passed(limiter, now_ms=MING_MS + MINUTE_MS) == 5
    store.is_away = False
    limiter.reconcile()
    assert [list(hits.values()) for hits in store.counted] == [[5]]
    window = (MING_MS + MINUTE_MS + zlib.crc32(b"ming") % MINUTE_MS) // MINUTE_MS
    assert all(f":{window}:" in name for name in store.counted[0])


def test_many_threads(limiter: Limiter) -> None:
    """However many ask at once, exactly the limit goes through."""
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: passed(limiter), range(64))) == 5


def test_memory_is_bounded() -> None:
    """A million distinct users take no more memory than the bound allows, though the store is unavailable."""
    traced = {name for name in os.environ if name.startswith("COV")}
    environment = {name: value for name, value in clean_environment().items() if name not in traced}
    command = [sys.executable, "-m", "tests.support.crowd"]
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    found = json.loads(output)
    assert found["users"] == MAX_USERS
    assert found["bytes"] < 80_000_000  # 58 MB as a rule, 63 where the allocator had a bad day
    assert found["told"] == -(-MAX_USERS // PIECES)
    assert found["left"] == [4, 5]


USERS = 1_000


@pytest.fixture
def small(store: Counting) -> Limiter:
    """Five a minute, with room for a thousand users."""
    return Limiter(RATE, store, max_users=USERS)  # type: ignore[arg-type] # as above


def flood(limiter: Limiter, users: int, now_ms: int = MING_MS, name: str = "other") -> None:
    """One hit of each of many users."""
    for number in range(users):
        limiter.hit(f"{name}-{number}", APPKEY, now_ms)


@pytest.mark.parametrize("is_told", [False, True])
def test_of_equal_counts_the_oldest_is_dropped(small: Limiter, store: Counting, *, is_told: bool) -> None:
    """One user more than are counted drops the first one's count, whether the store has it or not."""
    flood(small, USERS)
    if is_told:
        small.reconcile()
    small.hit("one-more", APPKEY, MING_MS)
    assert len(small) == USERS
    assert passed(small, "other-1") == 4
    assert passed(small, "other-0") == 5
    store.counted.clear()
    small.reconcile()
    assert sum(map(len, store.counted)) <= USERS


@pytest.mark.parametrize("is_told", [False, True])
def test_the_highest_count_is_not_dropped(small: Limiter, *, is_told: bool) -> None:
    """However many others come, a hundred users who spent their limit one after the other get no hit more."""
    for number in range(100):
        assert passed(small, f"eve-{number}") == 5
    for round_ in range(2):
        flood(small, 3 * USERS, name=f"round-{round_}")
        if is_told:
            small.reconcile()
        assert sum(passed(small, f"eve-{number}") for number in range(100)) == 0
        assert len(small) == USERS


def test_the_lowest_count_is_dropped_first(small: Limiter) -> None:
    """Users who come later take the places of those who spent one hit, and of nobody who spent more."""
    for hits in (4, 2, 1):
        for _ in range(hits):
            flood(small, 100, name=f"spent-{hits}")
    flood(small, USERS - 300)
    flood(small, USERS - 200, name="later")
    for hits in (4, 2):
        assert [passed(small, f"spent-{hits}-{number}") for number in range(100)] == [5 - hits] * 100
    assert passed(small, "spent-1-0") == 5


@pytest.mark.parametrize("rate", [Rate(1, MINUTE_MS), Rate(999_999_999, MINUTE_MS)])
def test_any_rate_forgets(store: Counting, rate: Rate) -> None:
    """The smallest and the largest limit, with more hits than that known of from other workers."""
    limiters = [Limiter(rate, store, max_users=10) for _ in range(2)]  # type: ignore[arg-type] # as above
    for limiter in limiters:
        limiter.hit("ming", APPKEY, MING_MS)
    for limiter in (*limiters, *limiters):
        limiter.reconcile()
        flood(limiter, 100)
        assert len(limiter) == 10


def test_an_ended_window_is_dropped_first(small: Limiter) -> None:
    """Who spent all of an earlier window keeps nobody from being remembered in this one."""
    for number in range(USERS):
        assert passed(small, f"eve-{number}") == 5
    now_ms = MING_MS + 2 * MINUTE_MS
    flood(small, USERS, now_ms, name="later")
    assert len(small) == USERS
    assert all(passed(small, f"later-{number}", now_ms) == 4 for number in range(USERS))


def test_a_new_window_begins_with_nothing_spent(small: Limiter) -> None:
    """Who spent all of the window before, and little of this one, is forgotten as others who did."""
    assert passed(small, "ming", MING_MS) == 5
    flood(small, USERS, MING_MS)  # which has it looked at
    now_ms = MING_MS + MINUTE_MS
    small.hit("ming", APPKEY, now_ms)
    flood(small, 2 * USERS, now_ms, name="later")
    assert passed(small, "ming", now_ms) == 5


@pytest.fixture
def two(store: Counting) -> Limiter:
    """Five a minute, with room for two users."""
    return Limiter(RATE, store, max_users=2)  # type: ignore[arg-type] # as above


def test_window_that_begins_now_has_not_ended(two: Limiter) -> None:
    """In the first millisecond of a window its user counts by the requests in it."""
    assert passed(two, "ming", MING_MS) == 5
    for user_id in ("hua", "ana"):
        two.hit(user_id, APPKEY, MING_MS)
    assert passed(two, "ming", MING_MS) == 0


def test_window_that_ends_now_is_dropped_first(two: Limiter) -> None:
    """In the first millisecond after a window its user is dropped, however many requests were in it."""
    assert passed(two, "ming", MING_MS) == 5
    for user_id in ("hua", "ana"):
        two.hit(user_id, APPKEY, MING_MS + MINUTE_MS)
    assert passed(two, "hua", MING_MS + MINUTE_MS) == 4


def test_unsent_requests_count_when_a_user_is_dropped(two: Limiter) -> None:
    """Of two users whose equal counts the store has, the one with further requests stays."""
    for user_id in ("ming", "hua"):
        for _ in range(2):
            two.hit(user_id, APPKEY, MING_MS)
    two.reconcile()
    for user_id in ("ming", "ming", "ana"):
        two.hit(user_id, APPKEY, MING_MS)
    assert passed(two, "ming", MING_MS) == 1


AT_ONCE = 100


def hits_through(limiter: Limiter) -> int:
    """Hit so many times; return what went through."""
    through = 0
    for _ in range(AT_ONCE):
        with suppress(TooManyRequests):
            limiter.hit("eve", APPKEY, MING_MS)
            through += 1
    return through


def hammer(url: str, start: Barrier) -> int:
    """Hit as one worker would, with so many hits between two exchanges; return what went through until nothing does."""
    with pytest.MonkeyPatch.context() as patch:
        with_stores(patch.setattr)
        limiter = Limiter(Rate(200, 3_600_000), open_store(url))
        through = 0
        start.wait(60)
        while some := hits_through(limiter):
            through += some
            limiter.reconcile()
        return through


def test_overshoot_is_bounded(redis_server: RedisServer) -> None:
    """Four workers on one Redis let through the limit and what arrives in one interval at each, and then nothing."""
    workers = 4
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(workers) as pool:
        found = pool.starmap(hammer, [(redis_server.url, manager.Barrier(workers))] * workers)
    assert sum(found) <= 200 + workers * AT_ONCE
    assert sum(found) > 200, "four that know nothing of each other let more than the limit through at first"
