"""Redis with sentinels and as a Cluster: how the primaries are found and asked, and what else they may answer."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ResponseError, TryAgainError

from authsvc import clock
from authsvc.errors import MemoryLost
from authsvc.stores import redis_url
from authsvc.stores.discovery import Nodes
from authsvc.stores.redis import RedisStore
from authsvc.stores.store import Store
from authsvc.stores.topology import BUCKETS
from tests.stores.calls import CALLS, add, check_unavailable, works
from tests.stores.conftest import PASSWORD, WATCHER_ACL, Open, TlsRedis
from tests.support.certificates import Certificates
from tests.support.patience import with_stores
from tests.support.redis_shapes import Cluster, PortServer, Sentinels, cluster, sentinels
from tests.support.running import wait_until

MINUTE_MS = 60_000


@pytest.fixture
def silent() -> Iterator[list[int]]:
    """Two ports where connections are taken and never answered; as text they come before those of any server here."""
    with ExitStack() as stack:
        listening: list[int] = []
        for port in range(10_000, 20_000):
            listener = stack.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                listener.listen()
                listening.append(port)
            if len(listening) == 2:
                break
        yield listening


@pytest.mark.usefixtures("own_limits")
def test_those_that_are_learned_are_asked_first(
    redis_cluster: Cluster, silent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes that were named and hang cost a look, and then not the next ones: those that are there have their turn."""
    ports = [*silent, redis_cluster.servers[0].port]
    nodes = Nodes(
        redis_url.parse(f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in ports)}"), [0, 8_000, 16_000]
    )
    with pytest.raises(redis.TimeoutError):
        nodes.primaries()

    def are_learned() -> bool:
        with suppress(redis.TimeoutError):
            return len(set(nodes.primaries())) == 3
        return False

    wait_until(are_learned)
    with_stores(monkeypatch.setattr)  # to ask one that hangs takes too long now
    for _ in range(2):
        assert len(set(nodes.primaries())) == 3


def test_nodes_without_a_host(redis_cluster: Cluster, opened: Open) -> None:
    """They are where the one is that was asked, as behind a load balancer with a port for each."""
    with ExitStack() as stack:
        for server in redis_cluster.servers:
            stack.enter_context(server.configured("cluster-preferred-endpoint-type", "unknown-endpoint"))
        store = opened(redis_cluster.url)
        for call in CALLS.values():
            call(store)


@pytest.mark.parametrize("wait", ["", "?wait=1"])
@pytest.mark.parametrize(("shape", "nodes"), [("redis_sentinels", 1), ("redis_cluster", 3)])
def test_one_round_trip(
    request: pytest.FixtureRequest, opened: Open, round_trips: list[str], shape: str, nodes: int, wait: str
) -> None:
    """Every call is one round trip, once there are connections; what concerns all, one to each primary of a Cluster."""
    running: Sentinels | Cluster = request.getfixturevalue(shape)
    store = opened(running.url + wait)
    store.ping()
    calls = CALLS | {"count": lambda store: store.count({f"user:{n}": 1 for n in range(3_000)}, keep_ms=MINUTE_MS)}
    for name, call in calls.items():
        round_trips.clear()
        call(store)
        assert len(round_trips) == (nodes if name in {"count", "ping"} else 1), name


@pytest.mark.usefixtures("own_limits")
@pytest.mark.parametrize("shape", ["redis_sentinels", "redis_cluster"])
def test_paused(request: pytest.FixtureRequest, opened: Open, shape: str) -> None:
    """A primary that hangs is unavailable within a second, for every call, also for a new store."""
    running: Sentinels | Cluster = request.getfixturevalue(shape)
    key = "counter"
    on_it = CALLS | {
        "add": lambda store: store.add(key, "value", keep_ms=MINUTE_MS),
        "get": lambda store: store.get(key),
        "put": lambda store: store.put(key, "value", keep_ms=MINUTE_MS),
    }
    stores = [opened(running.url) for _ in range(2 * len(on_it))]
    wait_until(lambda: all(map(works, stores[::2])))
    primary = running.holder(key)
    primary.pause()
    with ThreadPoolExecutor(len(stores)) as pool:
        calls = [call for call in on_it.values() for _ in range(2)]
        assert len(list(pool.map(check_unavailable, stores, calls))) == len(stores)
    primary.resume()
    wait_until(lambda: all(map(works, stores)))


@pytest.mark.usefixtures("own_limits")
def test_claims_elsewhere_go_on(redis_cluster: Cluster, opened: Open) -> None:
    """While one primary of a Cluster hangs, the keys of the others are claimed as ever."""
    store = opened(redis_cluster.url)
    wait_until(partial(works, store))
    keys = [f"key:{number}" for number in range(30)]
    paused = redis_cluster.holder("counter")
    others = [key for key in keys if redis_cluster.holder(key) is not paused]
    assert 0 < len(others) < len(keys)
    paused.pause()
    check_unavailable(store, lambda store: store.add("counter", "x", keep_ms=MINUTE_MS))
    assert all(add(store, key, "x") for key in others)
    paused.resume()


def test_keys_of_a_cluster(redis_cluster: Cluster, opened: Open) -> None:
    """Each bucket's keys are in one slot with its birth mark, and no primary is without buckets."""
    store = opened(redis_cluster.url)
    store.ping()
    for number in range(300):
        store.put(f"key:{number}", "x", keep_ms=MINUTE_MS)
    slots: dict[str, set[int]] = {}
    for server in filter(PortServer.is_primary, redis_cluster.servers):
        with server.client() as client:
            names = list(client.scan_iter())
            assert sum(name.endswith("}:birth") for name in names) >= BUCKETS // 4
            for name in names:
                slots.setdefault(name[: name.index("}")], set()).add(key_slot(name.encode()))
    assert len(slots) == BUCKETS
    assert all(len(every) == 1 for every in slots.values())
    assert len(set.union(*slots.values())) == BUCKETS


def migrate(client: redis.Redis, slot: int, to: PortServer, names: list[str]) -> None:
    if names:
        client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", *names)  # type: ignore[no-untyped-call] # redis-py's own


def test_resharded(redis_cluster: Cluster, opened: Open) -> None:
    """
    A slot moves under a store that does not know it: every claim works, is refused as too old, or raises
        StoreUnavailable.

    While the mark has moved and an old claim has not, no claim is accepted at either end, and other buckets are marked
    as ever; afterwards nothing from before is accepted again, by a store that knew the old place and by one that asks
    for the new one.
    """
    store = opened(redis_cluster.url)
    assert isinstance(store, RedisStore)
    store.ping()
    key, since_ms = "moved", clock.now_ms() + 1
    wait_until(lambda: clock.now_ms() > since_ms)
    assert store.add(key, "mine", keep_ms=MINUTE_MS, since_ms=since_ms)
    tag = f"{store._name(key).partition('}')[0]}}}:"
    names = {f"key:{n}": store._name(f"key:{n}") for n in range(1_000)}
    beside = next(name for name in names if names[name].startswith(tag))
    elsewhere = next(name for name in names if not names[name].startswith(tag))
    slot = key_slot(tag.encode())
    source = redis_cluster.holder(key)
    target = next(s for s in redis_cluster.servers if s.is_primary() and s is not source)
    with source.client() as giving, target.client() as taking, ExitStack() as stack:
        for one in (giving, taking):  # also if it fails
            stack.callback(one.execute_command, "CLUSTER", "SETSLOT", slot, "STABLE")
        ids = {one: client.execute_command("CLUSTER", "MYID") for one, client in ((source, giving), (target, taking))}
        taking.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        giving.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        migrate(giving, slot, target, [f"{tag}birth"])
        for tried, error in ((key, TryAgainError), (beside, AskError)):
            raised = check_unavailable(store, partial(claim, tried))
            assert isinstance(raised.__cause__, error)
            assert store.add(elsewhere, "thief", keep_ms=MINUTE_MS)
            store.ping()
        raised = check_unavailable(store, lambda store: store.count({beside: 1}, keep_ms=MINUTE_MS))
        assert isinstance(raised.__cause__, AskError)
        unmarked = next(name for name in giving.scan_iter("*}:birth") if not name.startswith(tag))
        giving.delete(unmarked)
        store.ping()
        assert giving.exists(unmarked)
        migrate(giving, slot, target, list(giving.scan_iter(f"{tag}*")))
        for server in redis_cluster.servers:
            if server.is_primary():
                with server.client() as client:
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        wait_until(redis_cluster.is_settled)
        for claimant in (store, opened(redis_cluster.url)):
            with pytest.raises(MemoryLost):
                claimant.add(key, "thief", keep_ms=MINUTE_MS, since_ms=since_ms)
            assert not claimant.add(key, "thief", keep_ms=MINUTE_MS)
        since_ms = clock.now_ms() + 1
        wait_until(lambda: clock.now_ms() > since_ms)
        assert store.add(beside, "mine", keep_ms=MINUTE_MS, since_ms=since_ms)
        assert taking.get(f"{tag}{beside}") == "mine"


def claim(key: str, store: Store) -> bool:
    return store.add(key, "thief", keep_ms=MINUTE_MS)


def test_slot_on_no_node(redis_cluster: Cluster, opened: Open) -> None:
    """A Cluster that has lost a slot is down for all keys, and works again when somebody has it."""
    store = opened(redis_cluster.url)
    store.ping()
    slot = key_slot(b"{02}")
    owner = redis_cluster.owner(slot)
    with owner.client() as client:
        client.execute_command("CLUSTER", "DELSLOTS", slot)
        try:
            raised = check_unavailable(store, CALLS["ping"])
            assert isinstance(raised.__cause__, ClusterDownError)
            # The others may not have heard of it yet, so a new store asks the one that knows.
            raised = check_unavailable(opened(f"redis+cluster://127.0.0.1:{owner.port}"), CALLS["ping"])
            assert str(raised.__cause__) == "the Cluster has slots without a node"
        finally:
            client.execute_command("CLUSTER", "ADDSLOTS", slot)
    wait_until(lambda: works(store))


def test_not_a_cluster(redis_sentinels: Sentinels, opened: Open) -> None:
    """With a URL of the wrong shape the store is unavailable, with the reason of the server."""
    primary = redis_sentinels.primary().port
    sentinel = redis_sentinels.sentinels[0].port
    for url, reason in (
        (f"redis+cluster://127.0.0.1:{primary}", "cluster support disabled"),
        (f"redis+sentinel://127.0.0.1:{primary}/mymaster", "unknown command"),
        (f"redis+sentinel://127.0.0.1:{sentinel}/another", "No such master"),
        (f"redis://127.0.0.1:{sentinel}", "unknown command"),
    ):
        raised = check_unavailable(opened(url), CALLS["add"])
        assert isinstance(raised.__cause__, ResponseError)
        assert reason in str(raised.__cause__)


@pytest.mark.usefixtures("own_limits")
def test_one_sentinel_is_enough(redis_sentinels: Sentinels, opened: Open) -> None:
    """While two of three sentinels hang, a new store still finds the primary, within a second."""
    for sentinel in redis_sentinels.sentinels[:2]:
        sentinel.pause()
    store = opened(redis_sentinels.url)
    wait_until(partial(works, store))
    for sentinel in redis_sentinels.sentinels[:2]:
        sentinel.resume()


@pytest.mark.usefixtures("own_limits")
@pytest.mark.parametrize("shape", ["redis_sentinels", "redis_cluster"])
def test_wait(request: pytest.FixtureRequest, opened: Open, shape: str) -> None:
    """
    With wait=1 a claim that a replica did not take is no success, not when it is made again either.

    Once a replica follows again, so does the claim.
    """
    running: Sentinels | Cluster = request.getfixturevalue(shape)
    key = "waited-for"
    primary = running.holder(key)
    replica = running.follower(primary)
    store, same = opened(f"{running.url}?wait=1"), opened(f"{running.url}?wait=1")
    assert add(store, key, "mine")
    wait_until(partial(works, same))
    replica.pause()
    claim = "claimed-while-paused" if shape == "redis_sentinels" else key

    def is_missed(asking: Store) -> bool:
        raised = check_unavailable(asking, lambda store: store.add(claim, "mine", keep_ms=MINUTE_MS))
        return str(raised.__cause__) == "too few replicas had the claim in time"

    for asking in (store, same):
        wait_until(partial(is_missed, asking))
    replica.resume()
    assert add(store, claim, "mine")
    assert not add(same, claim, "thief")


@pytest.mark.usefixtures("own_limits")
def test_more_replicas_than_there_are(redis_sentinels: Sentinels, opened: Open) -> None:
    """Then no claim can succeed, and readiness fails before one is made."""
    store = opened(f"{redis_sentinels.url}?wait=2")
    for call in (CALLS["ping"], CALLS["add"]):
        check_unavailable(store, call)


def test_too_few_replicas_to_write(redis_sentinels: Sentinels, opened: Open) -> None:
    """A primary that must not write without replicas, and has too few, is unavailable."""
    store = opened(redis_sentinels.url)
    store.ping()
    with redis_sentinels.primary().configured("min-replicas-to-write", 2):
        raised = check_unavailable(store, CALLS["add"])
        assert "NOREPLICAS" in str(raised.__cause__)
    wait_until(lambda: works(store))


@pytest.mark.parametrize("shape", ["redis_server", "redis_sentinels", "redis_cluster"])
def test_it_may_evict(request: pytest.FixtureRequest, opened: Open, shape: str) -> None:
    """A maxmemory-policy that lets claims be evicted is a worry, also where one primary of several has it."""
    running = request.getfixturevalue(shape)
    server = running if shape == "redis_server" else running.holder("counter")
    store = opened(running.url)
    assert store.ping().worry is None
    with server.configured("maxmemory-policy", "volatile-lru"):
        assert store.ping().worry == "maxmemory-policy is volatile-lru"
    assert store.ping().worry is None


@pytest.fixture(params=["sentinel", "cluster"])
def tls_url(request: pytest.FixtureRequest, certificates: Certificates, tmp_path: Path) -> Iterator[str]:
    """A shape that is spoken to by TLS alone, and whose sentinels know their user."""
    query = f"?ssl_ca_certs={certificates.authority}"
    if request.param == "cluster":
        with cluster(tmp_path, tls=certificates) as nodes:
            yield nodes.url.replace("redis", "rediss", 1) + query
        return
    with sentinels(tmp_path, tls=certificates, watcher=f"watcher on >{PASSWORD} {WATCHER_ACL}") as trio:
        own = f"&sentinel_username=watcher&sentinel_password={quote(PASSWORD, safe='')}"
        yield trio.url.replace("redis", "rediss", 1) + query + own


def test_tls(tls_url: str, opened: Open) -> None:
    """Sentinels, nodes and primaries are all spoken to by TLS, and a wrong authority is refused."""
    store = opened(tls_url)
    store.ping()
    assert store.add("key", "mine", keep_ms=MINUTE_MS)
    assert not opened(tls_url).add("key", "thief", keep_ms=MINUTE_MS)
    check_unavailable(opened(tls_url.replace("ssl_ca_certs", "ssl_certfile")), CALLS["add"])
    if "sentinel_username" in tls_url:
        raised = check_unavailable(
            opened(tls_url.replace("sentinel_username=watcher", "sentinel_username=stranger")), CALLS["add"]
        )
        assert isinstance(raised.__cause__, redis.AuthenticationError)


def test_the_user_may_do_no_more(tls_redis: TlsRedis, opened: Open) -> None:
    """The commands in docs/store.md are all that the store needs, and none of them can be left out."""
    store = opened(f"{tls_redis.url}&wait=0")
    for call in CALLS.values():
        call(store)
    with redis.Redis.from_url(tls_redis.url, protocol=2) as client:
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("GET", "else"),
            ("KEYS", "*"),
            ("DEL", "authsvc:birth"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
