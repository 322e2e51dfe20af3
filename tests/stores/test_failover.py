"""What is accepted while primaries of Sentinel and Cluster come and go: nothing twice."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from authsvc.store import Store
from authsvc.stores import open_store
from tests.redis_shapes import Cluster, Sentinels
from tests.running import wait_until
from tests.stores.load import PAYLOADS, Load

MINUTE_MS = 60_000
Shape = Sentinels | Cluster
SHAPES = pytest.mark.parametrize("shape", ["redis_sentinels", "redis_cluster"], indirect=True)


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """Servers that can fail over; they are all there again afterwards."""
    shape: Shape = request.getfixturevalue(request.param)
    yield shape
    for server in shape.servers:
        server.revive()
    wait_until(shape.is_settled, timeout_s=30)


@pytest.fixture
def stores(shape: Shape) -> Iterator[list[Store]]:
    """Two stores there, as two workers have them, whose servers have run for a moment."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(open_store(shape.url))) for _ in range(2)]
        for store in stores:
            store.ping()
        yield stores


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
        replica.pause()
        with primary.client() as client:
            client.client_kill_filter(_type="replica")  # or what it was sent would wait for it in the kernel
        enough = len(load.accepted) + 400
        wait_until(lambda: len(load.accepted) >= enough, timeout_s=5)
        primary.kill()
        replica.resume()

    load.run(lose, after=2_000)
    lost = load.keys - kept(shape, load.keys)
    print(f"{load.report()}; {len(lost)} accepted ones were lost with the primary")  # noqa: T201 -- worth knowing
    assert set(load.accepted.values()) == {1}
    assert load.presented == 2 * PAYLOADS
    assert load.outcomes["away"] > 0
    assert lost
    assert load.outcomes["older than the memory"] >= len(lost)
    assert load.outcomes["accepted"] > PAYLOADS / 2
