"""
The service as a real process: `authsvc serve` on a loopback port, asked over real sockets.
"""

import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support import canaries, made_up

PATIENCE_S = 60.0
"""How long a test waits for anything: a machine that stands still for seconds fails no test."""

AS_SHIPPED: tuple[str, ...] = (sys.executable, "-m", "authsvc", "serve")
PATIENT: tuple[str, ...] = (sys.executable, "-m", "tests.support.patience", "serve")
"""For the same reason, the service with longer time-outs than it is shipped with."""


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
    """
    `authsvc serve` under a folder of its own; secrets come to it from files there. `prefix` is what it is run by.

    It is `PATIENT`; a test that is about its time-outs sets `command` to `AS_SHIPPED`.
    """

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
        self.command = PATIENT
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
        wait_until(self.is_alive, what=self.log)

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
        pids: set[int] = set()

        def serve() -> bool:
            nonlocal pids
            pids = self.workers()
            return len(pids) == number and all(threads(pid) >= 3 for pid in pids)

        wait_until(serve, what=self.log)
        return pids

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
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
        return self.process.wait(timeout=PATIENCE_S)

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


def threads(pid: int) -> int:
    """Return how many threads a process has; none if it has ended."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return 0


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def is_listening(port: int) -> bool:
    """Return whether somebody takes connections at this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def own_ports(worker: int, workers: int) -> Sequence[int]:
    """Return one of so many processes' share of the ports below Linux's range for clients."""
    share = 12_000 // workers
    return range(20_000 + worker * share, 20_000 + (worker + 1) * share)


def _in_turn(ports: Sequence[int]) -> Iterator[int]:
    """Yield all ports again and again; another run beside this one most likely begins elsewhere."""
    begin = random.SystemRandom().randrange(len(ports))
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_PORTS = _in_turn(
    own_ports(
        int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
        int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
    )
)


def free_port() -> int:
    """
    Return a loopback port that nobody listens on now, and that nobody else is given before it is used.

    No client is given it, nor another worker of pytest-xdist, which would find it free as well.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float = PATIENCE_S, what: Callable[[], str] = lambda: ""
) -> None:
    """Look again and again until the condition holds; fail with `what` when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing in {timeout_s} s: {what()}"
        time.sleep(0.02)
