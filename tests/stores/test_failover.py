"""What is accepted while primaries of Sentinel and Cluster come and go: nothing twice."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial

import pytest
from redis.exceptions import ResponseError

from authsvc import clock
from authsvc.errors import MemoryLost
from authsvc.stores import open_store
from authsvc.stores.redis import CLAIM_SHA, RedisStore
from authsvc.stores.store import Store
from authsvc.stores.topology import BUCKETS
from tests.conftest import Clock
from tests.stores.calls import add, succeeds, works
from tests.stores.load import PAYLOADS, Load
from tests.support.redis_shapes import MASTER_NAME, Cluster, PortServer, Sentinels
from tests.support.running import wait_until

BORN_MS = 1_700_000_000_000
MINUTE_MS = 60_000
pytestmark = pytest.mark.usefixtures("own_limits")
Shape = Sentinels | Cluster
SHAPES = pytest.mark.parametrize("shape", ["redis_sentinels", "redis_cluster"], indirect=True)


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """Servers that can fail over; they are all there again afterwards."""
    shape: Shape = request.getfixturevalue(request.param)
    yield shape
    for server in shape.servers:
        server.revive()
    settle(shape)


@pytest.fixture
def stores(shape: Shape) -> Iterator[list[Store]]:
    """Two stores there, as two workers have them, whose servers have run for a moment."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(open_store(shape.url))) for _ in range(2)]
        wait_until(lambda: all(map(works, stores)))
        yield stores


def settle(shape: Shape) -> None:
    """Wait until all agree on who is primary."""
    with shape.quick_failover():
        wait_until(shape.is_settled)


def kept(shape: Shape, keys: set[str]) -> set[str]:
    """Return which of the keys are on any primary."""
    found: set[str] = set()
    for server in shape.servers:
        if server.is_there() and server.is_primary():
            with server.client() as client:
                found |= {name.rpartition("verify:")[2] for name in client.scan_iter("*verify:*", count=1_000)}
    return {key for key in keys if key.removeprefix("verify:") in found}


@SHAPES
def test_primary_lost_under_load(shape: Shape, stores: list[Store]) -> None:
    """
    5 000 payloads, each presented twice while a primary dies: none is accepted twice.

    The replica that takes over has not seen the last of the primary's claims, so that there is something to lose.
    """
    load = Load(stores)
    primary = shape.holder("ping")
    replica = shape.follower(primary)

    def lose() -> None:
        cut_off(replica, primary)
        load.allow(1_000)
        enough = len(load.accepted) + 200
        wait_until(lambda: len(load.accepted) >= enough)
        primary.kill()
        replica.resume()
        load.allow(PAYLOADS)
        load.wait_until_away()
        with shape.quick_failover():
            wait_until(replica.is_primary)

    load.run(lose, after=2_000)
    lost = load.keys - kept(shape, load.keys)
    print(f"{load.report()}; {len(lost)} accepted ones are forgotten")  # noqa: T201 -- worth knowing
    assert set(load.accepted.values()) == {1}
    assert load.presented == 2 * PAYLOADS
    assert load.outcomes["away"] > 0
    assert lost
    assert load.outcomes["older than the memory"] >= len(lost)
    assert load.outcomes["accepted"] > PAYLOADS / 2


@SHAPES
def test_primary_paused_under_load(shape: Shape, stores: list[Store]) -> None:
    """The same while a primary hangs, and comes back when another one has taken over: none is accepted twice."""
    load = Load(stores)
    primary = shape.holder("ping")
    replica = shape.follower(primary)

    def pause() -> None:
        shape.hang(primary)
        load.allow(PAYLOADS)
        load.wait_until_away()
        with shape.quick_failover():
            wait_until(replica.is_primary)
        primary.resume()

    load.run(pause, after=2_000)
    print(load.report())  # noqa: T201 -- worth knowing
    assert set(load.accepted.values()) == {1}
    assert load.presented == 2 * PAYLOADS
    assert load.outcomes["away"] > 0
    assert load.outcomes["accepted"] > PAYLOADS / 2


@SHAPES
def test_demoted_alive_and_promoted_again(shape: Shape, stores: list[Store]) -> None:
    """A primary that hung, became a replica and is promoted again knows our script, and still counts as born anew."""
    one, other = stores
    first = shape.holder("ping")
    keys = [key for key in (f"nonce:{number}" for number in range(30)) if shape.holder(key) is first]
    second = shape.follower(first)
    since_ms = claim(one, keys[0])
    shape.hang(first)
    with shape.quick_failover():
        wait_until(second.is_primary)
    wait_until(lambda: works(one) and works(other))
    refuses(stores, keys[0], since_ms)
    first.resume()
    wait_until(lambda: not first.is_primary())
    settle(shape)
    cut_off(first, second)
    since_ms = claim(one, keys[1])
    second.kill()
    first.resume()
    with shape.quick_failover():
        wait_until(first.is_primary)
    with first.client() as client:
        assert client.script_exists(CLAIM_SHA) == [True]
        assert client.keys(f"*{keys[1]}") == []
    wait_until(lambda: works(one) and works(other))
    refuses(stores, keys[1], since_ms)
    since_ms = claim(other, keys[2])
    assert not add(one, keys[2], "thief", since_ms=since_ms)


@SHAPES
def test_wait_keeps_two_primaries_apart(shape: Shape) -> None:
    """
    A primary that hung, and takes claims again before it learns that it was replaced, takes none that has to wait.

    The claimant was idle meanwhile and is still connected to it.
    """
    with closing(open_store(f"{shape.url}?wait=1")) as idle, closing(open_store(shape.url)) as other:
        wait_until(partial(works, idle))
        primary = shape.holder("nonce")
        replica = shape.follower(primary)
        shape.hang(primary)
        with shape.quick_failover():
            wait_until(replica.is_primary)
        primary.resume()
        accepted = succeeds(idle, lambda store: store.add("nonce", "mine", keep_ms=MINUTE_MS))
        wait_until(lambda: not primary.is_primary())
        settle(shape)
        wait_until(lambda: works(other))
        assert not (accepted and add(other, "nonce", "thief"))


@SHAPES
def test_handed_over(shape: Shape, stores: list[Store]) -> None:
    """When a primary is made to hand over, stores that were idle find the new one; what was claimed stays so."""
    key = "nonce"
    since_ms = claim(stores[0], key)
    primary = shape.holder(key)
    replica = shape.follower(primary)
    hand_over(shape, primary, replica)
    wait_until(lambda: all(map(works, stores)))
    refuses(stores, key, since_ms)
    assert not add(stores[1], key, "thief")
    claim(stores[1], "later")


def test_every_bucket_on_a_new_primary_is_marked(redis_cluster: Cluster) -> None:
    """The first claim on a primary that took over marks all of its buckets before it is made, and no other's."""
    clock = Clock(BORN_MS)
    with closing(RedisStore(redis_cluster.url, now_ms=clock)) as store:
        wait_until(partial(works, store))
        primary = redis_cluster.holder("nonce")
        replica = redis_cluster.follower(primary)
        hand_over(redis_cluster, primary, replica)
        clock.now_ms += 2_000
        assert add(store, "nonce", "mine")
        settle(redis_cluster)
        marked = {server.port: marks(server) for server in redis_cluster.servers if server.is_primary()}
    assert {born for names in marked.values() for born in names} == {BORN_MS, BORN_MS + 2_000}
    assert set(marked[replica.port]) == {BORN_MS + 2_000}
    assert sum(map(len, marked.values())) == BUCKETS


def marks(server: PortServer) -> list[int]:
    with server.client() as client:
        return [int(str(client.get(name)).partition(":")[2]) for name in client.scan_iter("*:birth", count=1_000)]


def cut_off(replica: PortServer, primary: PortServer) -> None:
    """Make the replica miss all writes of its primary from now on, until it is resumed."""
    replica.pause()
    with primary.client() as client:
        client.client_kill_filter(_type="replica")  # or what it was sent would wait for it in the kernel


def claim(store: Store, key: str) -> int:
    """Claim a key for a payload of this moment, and return the moment."""
    since_ms = clock.now_ms() + 1
    wait_until(lambda: clock.now_ms() > since_ms)
    assert add(store, key, "mine", since_ms=since_ms)
    return since_ms


def hand_over(shape: Shape, primary: PortServer, replica: PortServer) -> None:
    """Have the replica take over, with all that was claimed. Redis rejects that while it is too busy for it."""
    asked = shape.sentinels[0] if isinstance(shape, Sentinels) else replica
    words = ("SENTINEL", "FAILOVER", MASTER_NAME) if isinstance(shape, Sentinels) else ("CLUSTER", "FAILOVER")
    written = primary.info()["master_repl_offset"]
    wait_until(lambda: replica.info()["slave_repl_offset"] >= written)
    with shape.quick_failover():
        for _ in range(6):
            if not replica.is_primary():
                with asked.client() as client, suppress(ResponseError):  # the last one is under way still
                    client.execute_command(*words)
            with suppress(AssertionError):
                wait_until(lambda: replica.is_primary() and not primary.is_primary())
                return
    raise AssertionError("it was not handed over")


def refuses(stores: list[Store], key: str, since_ms: int) -> None:
    """Hold each store to it that the claim of that moment may have been lost."""
    for store in stores:
        with pytest.raises(MemoryLost):
            add(store, key, "thief", since_ms=since_ms)
