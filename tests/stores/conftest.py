"""
The fixtures of the store tests. `store` and `store_url` run a test once over each store.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.connection import AbstractConnection
from redis.exceptions import ReadOnlyError

from authsvc import clock
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.support.certificates import Certificates, make_certificates
from tests.support.docs import ENGLISH
from tests.support.redis_shapes import Cluster, PortServer, Sentinels, cluster, sentinels
from tests.support.running import wait_until
from tests.support.services import RedisServer

# The least that a user of Redis needs, and one of its sentinels, as docs/store.md has it.
ACL, WATCHER_ACL = re.findall(
    r"^ACL SETUSER \w+ on >\S+ (.+)$", ENGLISH.find("text", "ACL SETUSER")[0].text, re.MULTILINE
)
PASSWORD = "made-up/p@ss:w%rd"

Open = Callable[..., Store]


@pytest.fixture(params=["sqlite", "redis", "tls_redis", "redis_sentinels", "redis_cluster"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store of each kind is."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/folder/store.db"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.url
    shape: TlsRedis | Sentinels | Cluster = request.getfixturevalue(request.param)
    return shape.url


@dataclass(frozen=True, slots=True)
class TlsRedis:
    """A Redis that is spoken to by TLS, with a user who may do what the store does and no more."""

    server: PortServer
    url: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of this machine, made up."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def _tls_redis(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    users = tmp_path_factory.mktemp("tls") / "users.acl"
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    users.write_text(f"user default on nopass ~* &* +@all\nuser authsvc on #{digest} {ACL}\n")
    with PortServer(users.parent / "redis", "--aclfile", str(users), tls=certificates) as server:
        user = f"authsvc:{quote(PASSWORD, safe='')}"
        yield TlsRedis(server, f"rediss://{user}@127.0.0.1:{server.port}/0?ssl_ca_certs={certificates.authority}")


@pytest.fixture
def tls_redis(_tls_redis: TlsRedis) -> TlsRedis:
    """An empty one, running."""
    empty(_tls_redis.server)
    return _tls_redis


@pytest.fixture(scope="session")
def _sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with sentinels(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest.fixture
def redis_sentinels(_sentinels: Sentinels) -> Sentinels:
    """An empty primary with a replica and three sentinels, all running and agreed."""
    make_ready(_sentinels, [*_sentinels.servers, *_sentinels.sentinels])
    return _sentinels


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def redis_cluster(_cluster: Cluster) -> Cluster:
    """An empty Cluster of three primaries with a replica each, all running and agreed."""
    make_ready(_cluster, _cluster.servers)
    return _cluster


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects an entry for each time that redis-py sends something."""
    sent: list[str] = []
    send = AbstractConnection.send_packed_command

    def counting(self: AbstractConnection, command: object, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 -- as it is there
        sent.append(repr(command)[:100])
        send(self, command, check_health)  # type: ignore[no-untyped-call] # redis-py's own

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counting)
    return sent


def make_ready(shape: Sentinels | Cluster, running: Sequence[RedisServer]) -> None:
    """Have all of them running, agreed and empty."""
    for server in running:
        server.revive()  # a test that failed may have left it killed or paused
    shape.be_calm()
    wait_until(shape.is_settled)
    empty(*shape.servers, replicas=1)


def empty(*servers: RedisServer, replicas: int = 0) -> None:
    """Have each primary forget everything, and so many replicas: one that has just joined is silent for a second."""
    for server in servers:
        with server.client() as client, suppress(ReadOnlyError):
            client.flushall()
            assert client.wait(replicas, 60_000) >= replicas


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens stores, each as a worker of its own would, and closes them at the end."""
    with ExitStack() as stack:

        def opened(url: str, now_ms: Callable[[], int] = clock.now_ms) -> Store:
            return stack.enter_context(closing(open_store(url, now_ms=now_ms)))

        yield opened


@pytest.fixture
def store(opened: Open, store_url: str) -> Store:
    """An empty store."""
    return opened(store_url)
