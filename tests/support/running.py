"""
The service as a real process: `authsvc serve` on a loopback port, asked over real sockets.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support import canaries, made_up


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        answer = json.loads(self.body)
        assert isinstance(answer, dict)
        return answer


class Service:
    """`authsvc serve` under a folder of its own; secrets come to it from files there. `prefix` is what it is run by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.variables = {
            "AUTHSVC_APPKEY": made_up.APPKEY,
            "AUTHSVC_MASTER_SECRET_FILE": str(self.secret_file("master-secret", made_up.MASTER_SECRET)),
            "AUTHSVC_JWT_KEY_FILE": str(self.secret_file("jwt-key", made_up.JWT_KEY)),
            "AUTHSVC_JWT_ALGORITHMS": "HS256",
            "AUTHSVC_GATEWAY_SECRET_FILE": str(self.secret_file("gateway-secret", made_up.GATEWAY_SECRET)),
            "AUTHSVC_VERIFIER_KEYS_FILE": str(self.secret_file("verifier-keys", made_up.VERIFIER_KEY)),
            "AUTHSVC_STORE_URL": f"sqlite://{folder}/service.db",
            "AUTHSVC_DRAIN_DELAY_S": "0",
            "AUTHSVC_VENDOR_URL": "http://127.0.0.1:9",  # nobody listens there
        }
        self.prefix: tuple[str, ...] = ()
        self.command: tuple[str, ...] = (sys.executable, "-m", "authsvc", "serve")
        self.process: subprocess.Popen[bytes] | None = None
        self.log_to: int | None = None  # a file descriptor in the place of the log file
        self._log = folder / "service.log"

    def secret_file(self, name: str, text: str) -> Path:
        """Write a secret file as an editor does, with a newline at the end."""
        path = self.folder / name
        path.write_text(f"{text}\n")
        return path

    def start(self, *arguments: str) -> None:
        """Start it and wait until it is alive."""
        self.launch("--bind", f"127.0.0.1:{self.port}", *arguments)
        wait_until(self.is_alive, timeout_s=20, what=self.log)

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it, in a process group of its own as a shell would, and wait for nothing."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command, *arguments],
                env=clean_environment() | self.variables,
                stdout=log if self.log_to is None else self.log_to,
                stderr=log,
                process_group=0,
            )
        return self.process

    def workers(self) -> set[int]:
        """Return the process ids of its workers."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child) for child in children if _is_worker(child)}

    def wait_for_workers(self, number: int) -> set[int]:
        """Wait until so many workers serve, and return their process ids: one that does has its background thread."""

        def serve() -> bool:
            pids = self.workers()
            return len(pids) == number and all(len(list(Path(f"/proc/{pid}/task").iterdir())) >= 3 for pid in pids)

        wait_until(serve, timeout_s=20, what=self.log)
        return self.workers()

    def is_alive(self) -> bool:
        """Return whether it answers; fail with its log once it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.ask("GET", "/healthz").status == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: object = None) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            text = None if body is None else json.dumps(body)
            given = {"Content-Type": "application/json"} if text else {}
            connection.request(method, path, body=text, headers=given | dict(headers or {}))
            response = connection.getresponse()
            canaries.checked(str(response.headers).encode())
            return Answer(response.status, dict(response.getheaders()), canaries.checked(response.read()))
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int | None:
        """End it and return its exit code; None if it never ran."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=40)

    def use_log(self, path: Path) -> None:
        """Write its log there, for a second instance in the same folder."""
        self._log = path

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def _is_worker(child: str) -> bool:
    try:
        return "tracker" not in Path(f"/proc/{child}/cmdline").read_text()
    except OSError:
        return False  # it has ended since it was listed


def clean_environment() -> dict[str, str]:
    """Return the environment without what is meant for the suite itself: authsvc refuses names it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def is_listening(port: int) -> bool:
    """Return whether somebody takes connections at this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a loopback port that nobody listens on now, and that no client is given as its own meanwhile."""
    while True:
        port = random.randrange(20_000, 32_768)  # below Linux's range for clients
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: Callable[[], str] = lambda: "") -> None:
    """Look again and again until the condition holds; fail with `what` when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing in {timeout_s} s: {what()}"
        time.sleep(0.02)
