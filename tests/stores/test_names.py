"""Names that are looked up within a bounded time, however long the name server takes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from authsvc.errors import StoreUnavailable
from authsvc.outbound.availability import cause
from authsvc.outbound.host_names import HostNames, addresses
from authsvc.stores import open_store, redis_client
from tests.stores.calls import CALLS, check_unavailable, works
from tests.support.certificates import Certificates
from tests.support.redis_shapes import PortServer
from tests.support.running import wait_until
from tests.support.stopwatch import Stopwatch


class NameServer:
    """Knows one name, and answers while it may."""

    def __init__(self) -> None:
        self.found = ["127.0.0.1"]
        self.asked: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        assert self.answering.wait(60)
        if not self.found:
            raise OSError("no such name")
        return self.found


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The one that the stores of this test ask."""
    server = NameServer()
    monkeypatch.setattr(redis_client, "_names", HostNames(server))
    yield server
    server.answering.set()


def test_this_machines() -> None:
    """By the system's own way."""
    assert "127.0.0.1" in HostNames().find("localhost", 60)
    assert addresses("127.0.0.1") == ["127.0.0.1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_its_own(name_server: NameServer, address: str) -> None:
    """Nobody is asked."""
    assert HostNames(name_server).find(address, 0) == [address]
    assert name_server.asked == []


def test_a_name_server_that_hangs(name_server: NameServer) -> None:
    """Whoever asks waits as long as it likes; one look-up serves all, and its answer comes in the end."""
    names = HostNames(name_server)
    name_server.answering.clear()

    def find(_: int) -> str:
        with pytest.raises(TimeoutError, match="DNS: no answer in time"):
            names.find("redis.example", 0.2)
        return "waited"

    with Stopwatch() as watch, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(find, range(8))) == ["waited"] * 8
    assert watch.took_s < 1.0
    wait_until(lambda: bool(name_server.asked))
    assert name_server.asked == ["redis.example"]
    name_server.answering.set()
    assert names.find("redis.example", 60) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["redis.invalid", "x" * 64 + ".invalid"])
def test_a_name_that_there_is_not(host: str) -> None:
    """The system's reason; a name that cannot be one has a reason too."""
    with pytest.raises(OSError, match=r".") as failed:
        HostNames().find(host, 60)
    assert not isinstance(failed.value, TimeoutError)


def test_around_a_fork() -> None:
    """A child asks anew: the thread that looks the name up has stayed with its parent."""
    script = """
import os, threading
from authsvc.outbound.host_names import HostNames
parent, asked = os.getpid(), threading.Event()
def look_up(host):
    asked.set()
    if os.getpid() == parent:
        threading.Event().wait(60)
    return ["127.0.0.1"]
names = HostNames(look_up)
try:
    names.find("redis.example", 0.01)
except TimeoutError:
    pass
asked.wait(60)
if os.fork() == 0:
    print(names.find("redis.example", 60), flush=True)
    os._exit(0)
os.wait()
os._exit(0)
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, env=dict(os.environ))
    assert done.stdout == "['127.0.0.1']\n"


@pytest.mark.usefixtures("own_limits")
@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example:6379",
        "rediss://redis.example:6379",
        "redis+sentinel://one.example,two.example/main",
        "redis+cluster://one.example,two.example",
    ],
)
def test_a_store_keeps_to_its_second(name_server: NameServer, url: str) -> None:
    """It is unavailable within a second while its name is looked up, with that cause, and without a second look-up."""
    name_server.answering.clear()
    with closing(open_store(url)) as store:
        for _ in range(3):
            check_unavailable(store, CALLS["ping"])
        wait_until(lambda: cause(check_unavailable(store, CALLS["ping"])) == "DNS: no answer in time")
    assert len(name_server.asked) == len(set(name_server.asked))


def test_a_store_that_has_a_name(name_server: NameServer, redis_port: PortServer) -> None:
    """It is found by it, also at the second of two addresses, and again after a failover of the name."""
    name_server.found = ["127.0.0.2", "127.0.0.1"]
    with closing(open_store(f"redis://redis.example:{redis_port.port}")) as store:
        store.put("key", "value", keep_ms=60_000)
        name_server.found = []
        redis_port.kill()
        with pytest.raises(StoreUnavailable):
            store.ping()
        name_server.found = ["127.0.0.1"]
        redis_port.start()
        wait_until(lambda: works(store))


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[PortServer]:
    """A Redis on a port of 127.0.0.1."""
    with PortServer(tmp_path / "port") as server:
        yield server


def test_a_certificate_is_for_the_name(name_server: NameServer, tmp_path: Path, certificates: Certificates) -> None:
    """By TLS the name counts and not the address that it was found at: 127.0.0.1 has a certificate, the name none."""
    with PortServer(tmp_path / "tls", tls=certificates) as server:
        for host, is_good in (("127.0.0.1", True), ("redis.example", False)):
            url = f"rediss://{host}:{server.port}?ssl_ca_certs={certificates.authority}"
            with closing(open_store(url)) as store:
                assert works(store) is is_good
