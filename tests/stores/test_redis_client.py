"""The client of one Redis: which connection it takes, and what becomes of those that break."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
import redis

from authsvc.outbound.host_names import HostNames, LookUp
from authsvc.stores import redis_client
from authsvc.stores.redis_client import Client
from tests.support.running import PATIENCE_S, wait_until
from tests.support.services import RedisServer
from tests.support.stopwatch import Stopwatch

AT_ONCE = 8


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Client]:
    """A client that is connected to nothing yet."""
    with closing(Client(redis_server.url, PATIENCE_S)) as client:
        yield client


@pytest.fixture
def behind(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client, to look behind its back."""
    with redis_server.client() as behind:
        yield behind


def ids(behind: redis.Redis) -> set[str]:
    """Return the ids of the connections that Redis has of ours."""
    return {entry["id"] for entry in behind.client_list() if entry["name"] == "authsvc"}


def ask_at_once(client: Client, behind: redis.Redis) -> None:
    """Ask in so many threads, none of which is answered before all have asked: none can have another's connection."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asking = [pool.submit(client.execute, "BLPOP", "list", 0) for _ in range(AT_ONCE)]
        wait_until(lambda: behind.info("clients")["blocked_clients"] == AT_ONCE)
        behind.rpush("list", *range(AT_ONCE))
        assert all(one.result() for one in asking)


def test_one_after_the_other(client: Client, behind: redis.Redis) -> None:
    """Whoever asks takes the connection that was used last."""
    ask_at_once(client, behind)
    assert len(ids(behind)) == AT_ONCE
    used = {client.execute("CLIENT", "ID") for _ in range(AT_ONCE)}
    assert len(used) == 1


def test_one_that_broke_takes_the_others_with_it(client: Client, behind: redis.Redis) -> None:
    """A server that has closed its connections fails one question, and not one for each of them."""
    ask_at_once(client, behind)
    behind.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(redis.ConnectionError):
        client.execute("PING")
    for _ in range(AT_ONCE):
        assert client.execute("PING") == "PONG"
    assert len(ids(behind)) == 1


def test_an_error_is_an_answer(client: Client, behind: redis.Redis) -> None:
    """What Redis refuses comes back among the answers, and the connection is good for the next question."""
    first, second = client.ask([("NONSENSE",), ("ECHO", "text")])
    assert isinstance(first, redis.ResponseError)
    assert second == "text"
    with pytest.raises(redis.ResponseError):
        client.execute("NONSENSE")
    assert client.execute("PING") == "PONG"
    assert len(ids(behind)) == 1


def test_one_that_is_slow_is_let_go(redis_server: RedisServer, behind: redis.Redis) -> None:
    """An answer that comes too late is nobody's: the next question has a connection of its own."""
    with closing(Client(redis_server.url, 0.1)) as client:
        with pytest.raises(redis.TimeoutError):
            client.execute("BLPOP", "nothing", "0.5")

        def is_answered() -> bool:
            try:
                answer = client.execute("PING")
            except redis.TimeoutError:
                return False
            assert answer == "PONG"
            return True

        wait_until(is_answered)
        wait_until(lambda: len(ids(behind)) == 1)


def test_close(client: Client, behind: redis.Redis) -> None:
    """Nothing stays open, and it can be used again."""
    ask_at_once(client, behind)
    client.close()
    wait_until(lambda: not ids(behind))
    assert client.execute("PING") == "PONG"


def test_after_a_fork(client: Client, behind: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was forked from another makes connections of its own, once."""
    ask_at_once(client, behind)
    before, forked = ids(behind), os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: forked)
    used = {str(client.execute("CLIENT", "ID")) for _ in range(3)}
    assert len(used) == 1
    assert not used & before


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listens on a port where nobody answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


def url(listener: socket.socket) -> str:
    return f"redis://127.0.0.1:{listener.getsockname()[1]}"


def test_a_connection_that_breaks_is_not_made_again(listener: socket.socket) -> None:
    """It sends its name first, and not HELLO, whose error would contain a password; the store makes the retry."""

    def hear() -> bytes:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            return connection.recv(4096)

    with closing(Client(url(listener), PATIENCE_S)) as client, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(listener.shutdown, socket.SHUT_RDWR)  # ends the wait for a client that does not connect
        assert client.host == "127.0.0.1"
        heard = pool.submit(hear)
        with pytest.raises(redis.ConnectionError):
            client.execute("PING")
        assert heard.result().split() == [b"*3", b"$6", b"CLIENT", b"$7", b"SETNAME", b"$7", b"authsvc"]
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_host_that_swallows_everything(listener: socket.socket) -> None:
    """A connection that cannot be made in time is given up."""
    with closing(Client(url(listener), 0.1)) as client, ExitStack() as stack:
        for _ in range(4):  # more than the listener queues: Linux lets what comes then wait
            queued = stack.enter_context(socket.socket())
            queued.settimeout(0)
            queued.connect_ex(listener.getsockname())
        with Stopwatch() as watch, pytest.raises(redis.TimeoutError):
            client.execute("PING")
        assert watch.took_s < 1


class Attempts:
    """In place of redis-py's attempts to connect: each fails after its time, by a clock that stands still otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *took_s: float) -> None:
        self.made: list[tuple[str, float]] = []
        self._took_s = iter(took_s)
        self._now_s = 0.5
        monkeypatch.setattr(redis.Connection, "_connect", lambda connection: self._connect(connection))
        monkeypatch.setattr("authsvc.stores.redis_client.time.monotonic", lambda: self._now_s)

    def _connect(self, connection: redis.Connection) -> None:
        self.made.append((connection.host, float(connection.socket_connect_timeout or 0)))
        self._now_s += next(self._took_s)
        raise OSError(f"no answer from {connection.host}")


class Asked(HostNames):
    """Records how long a caller waits for the addresses."""

    def __init__(self, look_up: LookUp) -> None:
        super().__init__(look_up)
        self.waits_s: list[float] = []

    def find(self, host: str, wait_s: float) -> list[str]:
        self.waits_s.append(wait_s)
        return super().find(host, PATIENCE_S)


def test_addresses_share_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an equal share of what is left, and a millisecond after that; the failure is that of the last one."""
    attempts = Attempts(monkeypatch, 2.0, 4.0, 0.0)
    names = Asked(lambda _: ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    monkeypatch.setattr(redis_client, "_names", names)
    with (
        closing(Client("redis://redis.example", 3.0)) as client,
        pytest.raises(redis.ConnectionError, match=r"no answer from 192\.0\.2\.3 connecting to redis\.example:6379\.$"),
    ):
        client.execute("PING")
    assert attempts.made == [("192.0.2.1", 1.0), ("192.0.2.2", 0.5), ("192.0.2.3", 0.001)]
    assert names.waits_s == [3.0]


def test_host_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure has that reason."""
    monkeypatch.setattr(redis_client, "_names", HostNames(lambda _: []))
    with (
        closing(Client("redis://redis.example", PATIENCE_S)) as client,
        pytest.raises(redis.ConnectionError, match=r"^Error the host has no address connecting to"),
    ):
        client.execute("PING")
