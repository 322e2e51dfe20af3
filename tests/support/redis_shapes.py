"""
Redis in its larger shapes, on loopback: a Sentinel trio with a primary and replicas, and a Cluster.

Neither fails over by itself: a busy machine stops a server for longer than a second, and a test that is not about a
failover must not meet one. Within `quick_failover` they fail over in about a second.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from authsvc.stores import redis_url
from authsvc.stores.topology import Primaries
from tests.support.certificates import Certificates
from tests.support.running import free_port, wait_until
from tests.support.services import RedisServer

MASTER_NAME = "authsvc-test"
QUICK_MS = 500  # silence after which a node counts as down, to whoever notices first
CALM_MS = 60_000  # the same outside of `quick_failover`: longer than any test waits for anything


class PortServer(RedisServer):
    """A `redis-server` on a loopback port, by TLS if there are certificates for it, and on a plain socket beside."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None, tls: Certificates | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.port = port or free_port()
        spoken: tuple[str, ...] = ("--port", str(self.port))
        if tls is not None:
            spoken = ("--tls-port", str(self.port), "--tls-replication", "yes", *tls.redis_arguments)
        super().__init__(folder, *arguments, *spoken, "--bind", "127.0.0.1")

    def client(self) -> redis.Redis:
        """See `RedisServer.client`. This one bears it that a sentinel breaks all connections when roles change."""
        return redis.Redis.from_url(self.url, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 5))

    def info(self, section: str = "replication") -> dict[str, Any]:
        """Return what it tells of itself."""
        with self.client() as client:
            info_now: dict[str, Any] = client.info(section)
            return info_now

    def is_primary(self) -> bool:
        return bool(self.info()["role"] == "master")

    def is_in_step(self) -> bool:
        """Whether it is a replica that has what its primary has."""
        info_now = self.info()
        return bool(info_now["role"] == "slave" and info_now["master_link_status"] == "up")


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Three sentinels, and the servers that they watch."""

    servers: Sequence[PortServer]
    sentinels: Sequence[PortServer]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER_NAME}/0"

    def primary(self) -> PortServer:
        """Return the server that the sentinels agree on."""
        named = set()
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                named.add(int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1]))
        assert len(named) == 1, "they do not agree"
        (port,) = named
        return next(server for server in self.servers if server.port == port)

    def holder(self, key: str) -> PortServer:
        """Return the server that has a key of the store's."""
        assert key
        return self.primary()

    def follower(self, primary: PortServer) -> PortServer:
        """Return a replica of this primary."""
        return next(server for server in self.servers if server is not primary)

    @contextmanager
    def quick_failover(self) -> Iterator[None]:
        """Have them replace a primary that is silent for a moment."""
        self._notice_after(QUICK_MS)
        try:
            yield
        finally:
            self.be_calm()

    def be_calm(self) -> None:
        """Have them replace no primary."""
        self._notice_after(CALM_MS)

    def hang(self, primary: PortServer) -> None:
        """Pause a primary that is to be replaced."""
        primary.pause()

    def _notice_after(self, silence_ms: int) -> None:
        # The first notices first, and by itself: three who stand for election at once may split the vote, and try again
        # seconds later. To be elected takes a majority still.
        for number, sentinel in enumerate(self.sentinels, 1):
            if sentinel.is_there():
                with sentinel.client() as client:
                    client.execute_command(
                        "SENTINEL", "SET", MASTER_NAME, "down-after-milliseconds", number * silence_ms
                    )

    def is_settled(self) -> bool:
        """Whether there is one primary, all sentinels know each other and it, and the others follow it in step."""
        try:
            primary = self.primary()
            others = [server for server in self.servers if server is not primary]
            info_now = primary.info()
            if info_now["role"] != "master" or info_now.get("slave0", {}).get("state") != "online":
                return False
            if not all(other.is_in_step() for other in others):
                return False
            for sentinel in self.sentinels:
                with sentinel.client() as client:
                    (seen,) = client.execute_command("SENTINEL", "MASTERS")  # by protocol 3, so a mapping
                if (seen["flags"], seen["num-slaves"], seen["num-other-sentinels"]) != ("master", "1", "2"):
                    return False
        except (AssertionError, OSError, RedisError):
            return False
        return True


@contextmanager
def sentinels(folder: Path, *, tls: Certificates | None = None, watcher: str = "") -> Iterator[Sentinels]:
    """Run a primary, its replica and three sentinels, who tell it to the user `watcher` of their ACL, if given."""
    with ExitStack() as stack:
        # A replica that has to sync again would wait five seconds for others to join.
        often = ("--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0")
        primary = stack.enter_context(PortServer(folder / "s0", *often, tls=tls))
        following = ("--replicaof", f"127.0.0.1 {primary.port}")
        replica = stack.enter_context(PortServer(folder / "s1", *often, *following, tls=tls))
        watching = []
        for number in range(3):
            place = folder / f"w{number}"
            place.mkdir()
            config = place / "sentinel.conf"
            config.write_text(
                f"sentinel monitor {MASTER_NAME} 127.0.0.1 {primary.port} 1\n"
                f"sentinel down-after-milliseconds {MASTER_NAME} {CALM_MS}\n"
                f"sentinel failover-timeout {MASTER_NAME} 2000\n" + (f"user {watcher}\n" if watcher else "")
            )
            watching.append(stack.enter_context(_Sentinel(place, tls=tls)))
            with watching[-1].client() as client:
                # What takes seconds otherwise, whatever is configured. While a primary is down a replica is asked for
                # news once a second, and is passed over for election if the last is older than five ping periods.
                periods = ("info-period", 200, "publish-period", 200, "ping-period", 400, "ask-period", 100)
                client.execute_command("SENTINEL", "DEBUG", *periods)
                # On a machine that is busy for two seconds it would hold still for thirty.
                client.execute_command("SENTINEL", "DEBUG", "tilt-trigger", 10_000, "tilt-period", 1_000)
        shape = Sentinels([primary, replica], watching)
        wait_until(shape.is_settled)
        yield shape


class _Sentinel(PortServer):
    def _command(self, binary: str) -> list[str]:
        return [binary, str(self.folder / "sentinel.conf"), "--sentinel", *super()._command(binary)[1:]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three primaries, each with a replica."""

    servers: Sequence[PortServer]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])

    def owner(self, slot: int) -> PortServer:
        """Return the primary of a slot, as one server knows it."""
        with next(server for server in self.servers if server.is_there()).client() as client:
            for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def holder(self, key: str) -> PortServer:
        """Return the server that has a key of the store's."""
        primaries = Primaries(redis_url.parse(self.url))
        return self.owner(key_slot(primaries.prefixes[primaries.bucket(key)].encode()))

    def follower(self, primary: PortServer) -> PortServer:
        """Return a replica of this primary."""
        infos = [(server, server.info()) for server in self.servers if server.is_there()]
        return next(server for server, one in infos if one["role"] == "slave" and one["master_port"] == primary.port)

    @contextmanager
    def quick_failover(self) -> Iterator[None]:
        """Have the nodes replace a primary that is silent for a moment, and hear of each other's changes as soon."""
        self._notice_after(QUICK_MS, self.servers)
        try:
            yield
        finally:
            self.be_calm()

    def be_calm(self) -> None:
        """Have the nodes replace no primary."""
        self._notice_after(CALM_MS, self.servers)

    def hang(self, primary: PortServer) -> None:
        """Pause a primary that is to be replaced. Once it is resumed it is as quick to notice that time has passed."""
        self._notice_after(QUICK_MS, [primary])
        primary.pause()

    def _notice_after(self, silence_ms: int, servers: Sequence[PortServer]) -> None:
        for server in servers:
            if server.is_there():
                with server.client() as client:
                    client.config_set("cluster-node-timeout", silence_ms)

    def is_settled(self) -> bool:
        """Whether every node is well, knows all others, and agrees with them on who has what; replicas in step."""
        views = set()
        for server in self.servers:
            try:
                info_now = server.info()
                with server.client() as client:
                    state = client.execute_command("CLUSTER", "INFO")
                    slots = client.execute_command("CLUSTER", "SLOTS")
                    nodes = str(client.execute_command("CLUSTER", "NODES"))
            except (OSError, RedisError):
                return False
            if "fail" in nodes:  # a flag; a failover may be under way
                return False
            is_primary = info_now["role"] == "master"
            link = info_now.get("slave0", {}).get("state") if is_primary else info_now["master_link_status"]
            if "ok" not in str(state)[:40] or link != ("online" if is_primary else "up"):
                return False
            views.add(repr([(first, last, owner[1], len(rest)) for first, last, owner, *rest in slots]))
        return len(views) == 1 and all(", 1)" in view for view in views)


@contextmanager
def cluster(folder: Path, *, tls: Certificates | None = None) -> Iterator[Cluster]:
    """Run a Cluster of three primaries and three replicas."""
    with ExitStack() as stack:
        own = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(CALM_MS), "--repl-diskless-sync-delay", "0"]
        # Whatever its link was like before, a replica is to stand for election.
        own += ["--tls-cluster", "yes"] if tls else []
        own += ["--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1"]
        servers = []
        for number in range(6):
            server = PortServer(folder / f"n{number}", *own, "--cluster-port", str(free_port()), tls=tls)
            servers.append(stack.enter_context(server))
        program = shutil.which("redis-cli")
        assert program is not None, "it comes with redis-server"
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        spoken = ["--tls", "--cacert", str(tls.authority)] if tls else []
        shape = Cluster(servers)
        with shape.quick_failover():
            made = subprocess.run(
                [program, *spoken, "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert made.returncode == 0, made.stdout + made.stderr
            wait_until(shape.is_settled)
        wait_until(shape.is_settled)
        yield shape
