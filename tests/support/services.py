"""
Real services that tests run beside themselves: a private Redis on a unix socket.
"""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import redis

from tests.support import needed
from tests.support.running import PATIENCE_S, wait_until


class RedisServer:
    """
    A `redis-server` of a test's own, without a TCP port and, unless asked, without persistence. A context manager.

    Args:
        folder: holds its socket, its log and whatever it saves.
        arguments: further configuration, as on the command line: `"--maxmemory", "2mb"`.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it and wait until it answers, be it with an error."""
        binary = needed.program("redis-server")
        assert len(str(self.socket)) < 108, "the longest path that a unix socket can have"
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(binary), stdout=log, stderr=log)
        wait_until(self._answers, what=(self.folder / "redis.log").read_text)

    def stop(self) -> None:
        """Let it finish, also if it is paused or has ended already."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it goes on accepting connections and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self._process.pid}/stat")
        wait_until(lambda: ") T " in stat.read_text())

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def is_there(self) -> bool:
        """Whether it runs and is not paused."""
        return self._process is not None and ") T " not in Path(f"/proc/{self._process.pid}/stat").read_text()

    def revive(self) -> None:
        """Have it run, whether it was killed or paused."""
        if self._process is None:
            self.start()
        elif not self.is_there():
            self.resume()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def client(self) -> redis.Redis:
        """Return a plain client, to look behind a store's back."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    @contextmanager
    def configured(self, name: str, value: str | int) -> Iterator[None]:
        """Have it configured so meanwhile."""
        with self.client() as client:
            (former,) = client.config_get(name).values()
            client.config_set(name, value)
            try:
                yield
            finally:
                client.config_set(name, former)

    def _command(self, binary: str) -> list[str]:
        own = [binary, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        return [*own, *self._arguments]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return bool(client.recv(1))
            except (FileNotFoundError, ConnectionRefusedError):
                return False

    def _end(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(PATIENCE_S)
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, running."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server
