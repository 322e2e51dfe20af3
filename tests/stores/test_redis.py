"""The Redis store: what it leaves in Redis, and what can go wrong on the way there."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import redis

from authsvc.errors import MemoryLost, StoreUnavailable
from authsvc.server.limits import THREADS
from authsvc.stores import open_store, redis_url
from authsvc.stores.redis import RedisStore
from authsvc.stores.redis_client import Client
from authsvc.stores.store import Pulse, Store
from authsvc.stores.topology import AWAY_S, Primaries
from tests.conftest import Clock
from tests.stores.calls import CALLS, WRITES, check_unavailable, succeeds, works
from tests.stores.proxy import Proxy
from tests.support import made_up
from tests.support.running import PATIENCE_S, free_port, wait_until
from tests.support.services import RedisServer

BORN_MS = 1_700_000_000_000
MINUTE_MS = 60_000
AT_ONCE = "Redis was unavailable a moment ago"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock(BORN_MS)


@pytest.fixture
def store(redis_server: RedisServer, clock: Clock) -> Iterator[RedisStore]:
    """A store whose Redis runs. It is connected to nothing yet."""
    with closing(RedisStore(redis_server.url, now_ms=clock)) as store:
        yield store


@pytest.fixture
def behind(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client, to look behind the store's back."""
    with redis_server.client() as client:
        yield client


@pytest.mark.parametrize(
    "call",
    [
        CALLS["add"],
        CALLS["get"],
        CALLS["put"],
        lambda store: store.count({f"user:{number}": 1 for number in range(3_000)}, keep_ms=MINUTE_MS),
        CALLS["ping"],
    ],
    ids=CALLS,
)
def test_one_round_trip(store: RedisStore, round_trips: list[str], call: Callable[[Store], object]) -> None:
    """Every call is one round trip, once there is a connection: birth mark and thousands of counters included."""
    store.ping()
    round_trips.clear()
    call(store)
    assert len(round_trips) == 1


def test_what_is_left_in_redis(store: RedisStore, behind: redis.Redis) -> None:
    """Every key is under one prefix and lives as long as asked, a counter from its first hit; the mark stays."""
    before_ms = redis_ms(behind)
    store.add("claim", "x", keep_ms=100_000)
    store.put("text", "x", keep_ms=200_000)
    store.count({"counter": 1}, keep_ms=300_000)
    store.count({"counter": 1}, keep_ms=900_000)
    store.ping()
    made_ms = (before_ms, redis_ms(behind))
    ends_ms = {key: behind.pexpiretime(key) for key in behind.scan_iter("*") if key != "authsvc:ping"}
    assert ends_ms.pop("authsvc:birth") == -1
    assert behind.get("authsvc:birth") == f"{behind.info('replication')['master_replid']}:{BORN_MS}"
    asked = {"claim": 100_000, "text": 200_000, "counter": 300_000}
    assert ends_ms.keys() == {f"authsvc:{key}" for key in asked}
    assert all(made_ms[0] <= ends_ms[f"authsvc:{key}"] - ms <= made_ms[1] for key, ms in asked.items())

    def pinged_for_ms() -> int:
        store.ping()
        return int(behind.pttl("authsvc:ping"))

    wait_until(lambda: 0 < pinged_for_ms() <= 1_000)


def redis_ms(behind: redis.Redis) -> int:
    seconds, microseconds = behind.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


def test_password_goes_with_auth_alone(redis_server: RedisServer, behind: redis.Redis, round_trips: list[str]) -> None:
    """HELLO, which would carry it too, is not sent: a server that does not know it repeats it in its error."""
    behind.config_set("requirepass", "made-up")
    round_trips.clear()
    with closing(open_store(f"unix://:made-up@{redis_server.socket}")) as store:
        store.ping()
    carrying = [sent for sent in round_trips if "made-up" in sent]
    assert len(carrying) == 1
    assert "AUTH" in carrying[0]
    assert "HELLO" not in carrying[0]


def test_the_clock_that_is_furthest_off(store: RedisStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several primaries' clocks a ping returns the one that differs most from ours, and the first worry."""
    pulses = iter(
        [Pulse(clock() + 5), Pulse(clock() - 700, "the first"), Pulse(clock() + 300, "the second"), Pulse(clock() - 1)]
    )
    monkeypatch.setattr(store._primaries, "groups", lambda: [[0]] * 4)
    monkeypatch.setattr(store, "_pulse", lambda _buckets, _client: next(pulses))
    assert store.ping() == Pulse(clock() - 700, "the first")


def test_names_itself(store: RedisStore, behind: redis.Redis) -> None:
    """`CLIENT LIST` shows whose connection it is."""
    store.ping()
    assert "authsvc" in {client["name"] for client in behind.client_list()}


def test_flushed(store: RedisStore, behind: redis.Redis, clock: Clock) -> None:
    """After a FLUSHALL a payload from before is refused, and one from after is claimed as ever."""
    store.ping()
    clock.now_ms += 1_000
    assert store.add("old", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    behind.flushall()
    clock.now_ms += 1_000
    with pytest.raises(MemoryLost) as lost:
        store.add("old", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    assert lost.value.born_ms == BORN_MS + 2_000
    with pytest.raises(MemoryLost):
        store.add("old", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    assert store.add("new", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS + 2_001)
    assert not store.add("new", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 2_001)


def test_restarted_from_an_older_snapshot(
    store: RedisStore, redis_server: RedisServer, behind: redis.Redis, clock: Clock
) -> None:
    """A Redis that restarts without the latest claims, but with its old birth mark, counts as born anew."""
    store.ping()
    behind.save()
    assert store.add("nonce", "mine", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    redis_server.kill()
    redis_server.start()
    assert str(behind.get("authsvc:birth")).endswith(f":{BORN_MS}")
    clock.now_ms += 2_000
    with pytest.raises(MemoryLost) as lost:
        store.add("nonce", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    assert lost.value.born_ms == BORN_MS + 2_000
    assert store.add("new", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS + 2_001)


def test_promoted_replica(
    store: RedisStore, redis_server: RedisServer, behind: redis.Redis, clock: Clock, tmp_path: Path
) -> None:
    """A replica that is promoted without the latest claims, but with the birth mark, counts as born anew."""
    behind.config_set("port", port := free_port())
    behind.config_set("repl-diskless-sync-delay", 0)
    store.ping()
    (tmp_path / "replica").mkdir()
    with RedisServer(tmp_path / "replica") as replica, replica.client() as client:
        client.replicaof("127.0.0.1", port)
        wait_until(lambda: str(client.get("authsvc:birth")).endswith(f":{BORN_MS}"))
        client.replicaof("NO", "ONE")
        assert store.add("nonce", "mine", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
        redis_server.kill()
        replica.socket.rename(redis_server.socket)
        clock.now_ms += 2_000
        with pytest.raises(MemoryLost) as lost:
            store.add("nonce", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
        assert lost.value.born_ms == BORN_MS + 2_000


def begin_another_history(client: redis.Redis) -> None:
    """Demote a server and promote it again, alive."""
    client.replicaof("127.0.0.1", 1)
    client.replicaof("NO", "ONE")


def test_demoted_and_promoted_alive(store: RedisStore, behind: redis.Redis, clock: Clock) -> None:
    """A server that was a replica meanwhile counts as born anew, though it has kept its mark and our script."""
    store.ping()
    clock.now_ms += 2_000
    begin_another_history(behind)
    with pytest.raises(MemoryLost) as lost:
        store.add("nonce", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_000)
    assert lost.value.born_ms == BORN_MS + 2_000
    assert store.add("new", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS + 2_001)


def test_mark_does_not_go_back(store: RedisStore, behind: redis.Redis, clock: Clock) -> None:
    """A worker whose clock is behind marks a new history with the mark of the one before."""
    store.ping()
    clock.now_ms -= 5_000
    begin_another_history(behind)
    with pytest.raises(MemoryLost) as lost:
        store.add("nonce", "x", keep_ms=MINUTE_MS, since_ms=BORN_MS)
    assert lost.value.born_ms == BORN_MS


def test_slow_to_mark(store: RedisStore, redis_server: RedisServer, behind: redis.Redis, clock: Clock) -> None:
    """
    A worker that read the clock and is overtaken, by others' claims and a failover that loses them, sets no mark.

    Its time is from before those claims: as a mark it would have them accepted again.
    """
    store.ping()
    begin_another_history(behind)

    def overtaken() -> int:
        read_ms = clock.now_ms
        if read_ms == BORN_MS:
            clock.now_ms += 1_000
            assert store.add("nonce", "mine", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_001)
            behind.delete("authsvc:nonce")
            begin_another_history(behind)
            clock.now_ms += 1_000
        return read_ms

    with closing(RedisStore(redis_server.url, now_ms=overtaken)) as slow:
        with pytest.raises(MemoryLost) as lost:
            slow.add("nonce", "thief", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1_001)
        assert lost.value.born_ms == BORN_MS + 2_000


def test_one_history_after_the_other(redis_server: RedisServer, behind: redis.Redis, clock: Clock) -> None:
    """A server that is promoted again before each mark is unavailable, and works after that."""
    is_restless = True

    def promoted() -> int:
        if is_restless:
            begin_another_history(behind)
        return clock.now_ms

    with closing(RedisStore(redis_server.url, now_ms=promoted)) as store:
        raised = check_unavailable(store, CALLS["add"])
        assert str(raised.__cause__) == "the server started another replication history during a claim"
        is_restless = False
        wait_until(lambda: works(store))


def test_a_server_without_a_history(redis_server: RedisServer, behind: redis.Redis, clock: Clock) -> None:
    """Where the script may not ask for the history, the store is unavailable: without it nothing can be promised."""
    behind.acl_setuser("authsvc", enabled=True, nopass=True, keys=["authsvc:*"], commands=["+@all", "-info"])
    with closing(RedisStore(f"unix://authsvc:any@{redis_server.socket}", now_ms=clock)) as store:
        raised = check_unavailable(store, CALLS["add"])
    assert "can't run this command" in str(raised.__cause__)


@pytest.mark.parametrize(
    ("call", "connected"),
    [*((call, True) for call in CALLS.values()), (CALLS["add"], False)],
    ids=[*CALLS, "add-not-connected"],
)
def test_killed(
    store: RedisStore, redis_server: RedisServer, call: Callable[[Store], object], *, connected: bool
) -> None:
    """A Redis that has ended is unavailable at once, and works after its restart."""
    if connected:
        store.ping()
    redis_server.kill()
    check_unavailable(store, call)
    redis_server.start()
    wait_until(lambda: works(store))
    call(store)


@pytest.mark.usefixtures("own_limits")
@pytest.mark.parametrize(
    ("call", "connected"),
    [*((call, True) for call in CALLS.values()), (CALLS["add"], False)],
    ids=[*CALLS, "add-not-connected"],
)
def test_paused(
    store: RedisStore, redis_server: RedisServer, call: Callable[[Store], object], *, connected: bool
) -> None:
    """A Redis that hangs is unavailable within a second, and works when it continues."""
    if connected:
        wait_until(partial(works, store))
    redis_server.pause()
    check_unavailable(store, call)
    redis_server.resume()
    wait_until(partial(works, store))
    wait_until(partial(succeeds, store, call))


@pytest.mark.usefixtures("own_limits")
def test_paused_for_many(store: RedisStore, redis_server: RedisServer) -> None:
    """More threads than a worker has all have their answer within a second."""
    redis_server.pause()
    threads = 2 * THREADS
    with ThreadPoolExecutor(threads) as pool:
        assert len(list(pool.map(lambda call: check_unavailable(store, call), threads * [CALLS["add"]]))) == threads


@pytest.mark.usefixtures("own_limits")
def test_a_hanging_redis_does_not_hold_every_thread(store: RedisStore, redis_server: RedisServer) -> None:
    """While Redis hangs, one thread at a time waits for it, now and then; the others have their answer at once."""
    wait_until(partial(works, store))
    redis_server.pause()
    began_s = time.monotonic()
    check_unavailable(store, CALLS["add"])
    causes: Counter[str] = Counter()

    def ask() -> None:
        while (causes["waited"] < 2 or causes[AT_ONCE] < 100) and time.monotonic() < began_s + 60:
            cause = str(check_unavailable(store, CALLS["add"]).__cause__)
            causes[AT_ONCE if cause == AT_ONCE else "waited"] += 1
            time.sleep(0.01)

    with ThreadPoolExecutor(8) as pool:
        for asking in [pool.submit(ask) for _ in range(8)]:
            asking.result()
    assert 2 <= causes["waited"] <= (time.monotonic() - began_s) / AWAY_S
    assert causes[AT_ONCE] >= 100


@pytest.mark.parametrize("others_are_answered", [True, False])
def test_slow_for_one(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, *, others_are_answered: bool) -> None:
    """A connection that fails while others are answered takes nothing from these: neither connections nor time."""
    monkeypatch.setattr("authsvc.stores.topology.AWAY_S", PATIENCE_S)
    primaries = Primaries(redis_url.parse(redis_server.url))
    made = primaries.ask(0, lambda client: client)

    def slow(_: Client) -> None:
        if others_are_answered:
            primaries.ask(0, lambda client: client.execute("PING"))
        raise redis.TimeoutError

    with pytest.raises(StoreUnavailable):
        primaries.ask(0, slow)
    if others_are_answered:
        assert primaries.ask(0, lambda client: client) is made
    else:
        with pytest.raises(StoreUnavailable):
            primaries.ask(0, lambda client: client)
    primaries.close()


def test_read_only(store: RedisStore, behind: redis.Redis) -> None:
    """A replica, which answers READONLY, is unavailable for every write."""
    store.ping()
    behind.replicaof("127.0.0.1", 1)
    for call in WRITES.values():
        raised = check_unavailable(store, call)
        assert isinstance(raised.__cause__, redis.ReadOnlyError | TimeoutError)
    behind.replicaof("NO", "ONE")
    wait_until(lambda: works(store))


def test_failed_over(store: RedisStore, redis_server: RedisServer, behind: redis.Redis, tmp_path: Path) -> None:
    """When the address comes to mean another Redis, the store follows, though the old one keeps its connections."""
    store.ping()
    (tmp_path / "next").mkdir()
    with RedisServer(tmp_path / "next") as following:
        behind.replicaof("127.0.0.1", 1)
        following.socket.rename(redis_server.socket)
        check_unavailable(store, CALLS["add"])
        wait_until(lambda: works(store))
        with redis_server.client() as client:
            assert client.get("authsvc:birth") is not None


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_out_of_memory(store: RedisStore, behind: redis.Redis, call: Callable[[Store], object]) -> None:
    """A Redis that is full and may not evict is unavailable for every write, and can still be read."""
    store.put("key", "text", keep_ms=MINUTE_MS)
    behind.config_set("maxmemory-policy", "noeviction")
    behind.config_set("maxmemory", 1)
    assert store.get("key") == "text"
    raised = check_unavailable(store, call)
    assert isinstance(raised.__cause__, redis.OutOfMemoryError)
    behind.config_set("maxmemory", 0)
    wait_until(lambda: works(store))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_loading(tmp_path: Path, call: Callable[[Store], object]) -> None:
    """A Redis that is still loading its file is unavailable."""
    with RedisServer(
        tmp_path, "--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"
    ) as server:
        with server.client() as client:
            client.config_set("rdbcompression", "no")
            client.mset({f"key:{number}": "x" * 1_024 for number in range(5_000)})  # which takes it 50 s
            client.save()
        server.kill()
        server.start()
        with closing(RedisStore(server.url, now_ms=lambda: BORN_MS)) as store:
            raised = check_unavailable(store, call)
    assert isinstance(raised.__cause__, redis.BusyLoadingError)


@pytest.mark.parametrize("user", ["", "somebody"])
def test_wrong_password(redis_server: RedisServer, behind: redis.Redis, user: str) -> None:
    """With a password that Redis rejects the store is unavailable, and the password is shown nowhere."""
    behind.config_set("requirepass", "another")
    url = f"unix://{user}:{made_up.VERIFIER_KEY}@{redis_server.socket}"
    with closing(open_store(url)) as store:
        for call in CALLS.values():
            raised = check_unavailable(store, call)
            assert isinstance(raised.__cause__, redis.AuthenticationError | TimeoutError)
            shown = [str(store), repr(store), repr(raised), *traceback.format_exception(raised)]
            assert made_up.VERIFIER_KEY not in "".join(shown)


@pytest.fixture
def proxy(tmp_path: Path, redis_server: RedisServer) -> Iterator[Proxy]:
    """A way to Redis that can lose an answer."""
    with Proxy(tmp_path / "proxy.sock", redis_server.socket) as proxy:
        yield proxy


def test_redis_py_takes_a_lost_answer_for_a_lost_claim(proxy: Proxy) -> None:
    """Why `add` uses GET: redis-py repeats a plain SET NX whose answer was lost, and returns that it lost."""
    with redis.Redis(unix_socket_path=proxy.path, decode_responses=True) as client:
        client.ping()
        proxy.lose_next_answer = True
        assert client.set("nonce", "mine", nx=True, px=MINUTE_MS) is None
        assert not proxy.lose_next_answer
        assert client.get("nonce") == "mine"


def test_lost_answer_is_not_a_lost_claim(proxy: Proxy, clock: Clock) -> None:
    """A claim whose answer was lost on the way is ours all the same, and so is the birth mark that came with it."""
    with closing(RedisStore(proxy.url, now_ms=clock)) as store:
        assert store.get("nonce") is None
        proxy.lose_next_answer = True
        assert store.add("nonce", "mine", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1)
        assert not proxy.lose_next_answer
        assert not store.add("nonce", "other", keep_ms=MINUTE_MS, since_ms=BORN_MS + 1)


def test_lost_answer_counts_twice(proxy: Proxy) -> None:
    """A count whose answer was lost is made twice, which errs on the strict side."""
    with closing(open_store(proxy.url)) as store:
        store.ping()
        proxy.lose_next_answer = True
        assert store.count({"counter": 1}, keep_ms=MINUTE_MS) == {"counter": 2}


def test_too_late_to_ask_again(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that has taken half of a call's second is not tried again."""
    monkeypatch.setattr("authsvc.stores.topology.RETRY_WITHIN_S", -1)
    with closing(open_store(redis_server.url)) as store:
        store.ping()
        redis_server.stop()
        check_unavailable(store, CALLS["add"])
