"""
A server as a process: started in a session of its own, measured by /proc, ended with everything that it started.
"""

import http.client
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_S = os.sysconf("SC_CLK_TCK")
MAX_LOG_BYTES = 64 * 1024 * 1024
SERVER_CORES, LOAD_CORES = "0", "1"  # where both have a core of their own


class BenchError(Exception):
    """A server did not start, or did not do what the load asked of it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """
    What the processes of one server take, in bytes.

    Attributes:
        rss: resident, summed; pages that processes share count in each of them.
        pss: the same with each shared page counted once; None where the kernel does not tell.
    """

    rss: int
    pss: int | None
    processes: int


class Process:
    """
    A server on a loopback port. A context manager.

    Args:
        command: may hold `{port}`.
        folder: its working folder; None is the current one.
        log: gets what it prints.
        cores: such as "0", to which it and its children are bound; None lets it use all.
        speaks_http: whether it is ready once it answers a request, or already when it takes a connection.
    """

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        log: Path,
        folder: Path | None = None,
        cores: str | None = None,
        speaks_http: bool = True,
    ) -> None:
        self.port = free_port()
        self._command = [part.replace("{port}", str(self.port)) for part in command]
        self._variables = {"PORT": str(self.port), **variables}
        self._folder = folder
        self._log = log
        self._cores = cores
        self._speaks_http = speaks_http
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it, wait for its first answer, and return how long that took, in seconds."""
        bound = ["taskset", "-c", self._cores] if self._cores else []
        outlived = ["setpriv", "--pdeathsig", "TERM"]  # for when we are killed, and cannot stop it
        began_s = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*outlived, *bound, *self._command],
                env=_clean_environment() | self._variables,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # by which all that it starts is found again
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise BenchError(f"{self._command[0]} ended: {self.log_end()}")
            if time.monotonic() - began_s > 60:
                raise BenchError(f"{self._command[0]} does not answer: {self.log_end()}")
            time.sleep(0.002)
        return time.monotonic() - began_s

    def stop(self) -> None:
        """Ask it to end, and end whatever is left of it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        while pids := self.pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def pids(self) -> list[int]:
        """Return the ids of all its processes that run, those it started included."""
        return [pid for pid, fields in _processes() if self._process and int(fields[3]) == self._process.pid]

    def cpu_s(self) -> float:
        """Return the user and system time that all its processes have used so far, in seconds."""
        assert self._process is not None
        ticks = [int(fields[11]) + int(fields[12]) for _, fields in _processes() if int(fields[3]) == self._process.pid]
        return sum(ticks) / TICKS_S

    def memory(self) -> Memory:
        """Return what its processes take now."""
        pids = self.pids()
        rss, pss = 0, 0
        for pid in pids:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            rss += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024
        try:
            for pid in pids:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                pss += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except OSError:
            return Memory(rss, None, len(pids))
        return Memory(rss, pss, len(pids))

    def log_end(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def shorten_log(self) -> None:
        """Empty its log when it has grown large: an audit line a request is a gigabyte soon."""
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            os.truncate(self._log, 0)

    def _answers(self) -> bool:
        if not self._speaks_http:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        else:
            return True
        finally:
            connection.close()


@contextmanager
def bound_to(cores: str) -> Iterator[None]:
    """Bind this thread to cores for a while; what it starts meanwhile inherits that."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    while True:
        port = random.randrange(20_000, 32_768)  # below Linux's range for clients
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _processes() -> list[tuple[int, list[str]]]:
    """Return the id and the fields of /proc/<pid>/stat, from the state on, of all processes but the dead."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found.append((int(path.parent.name), fields))
    return found


def _clean_environment() -> dict[str, str]:
    """Return what a service manager gives a server. The rest is meant for others, and costs those that hand it on."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
