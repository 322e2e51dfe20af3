"""
One load on one server by wrk, and several servers loaded in turn.
"""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.processes import BenchError, Process
from bench.results import Numbers, Row, medians
from bench.traffic import Traffic

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Run:
    """What one load has shown. Waits are from a request to its answer, in µs, as wrk corrects them for pauses."""

    requests: int
    requests_s: float
    cpu_us: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """A server, and what makes the requests of one load."""

    process: Process
    traffic: Callable[[], Traffic]


def load(process: Process, traffic: Traffic, *, seconds: int, cores: str | None, connections: int = CONNECTIONS) -> Run:
    """
    Load a server and return what that has shown.

    Args:
        seconds: at most; less when each request may be sent once only and they run out.
        cores: to which wrk is bound; None lets it use all.

    Raises:
        BenchError: an answer was not 2xx, or a connection broke.
    """
    bound = ["taskset", "-c", cores] if cores else []
    command = [*bound, "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", "10s", "--script", str(SCRIPT), process.url, "--"]
    command += [str(traffic.head), str(traffic.items), str(traffic.length), "once" if traffic.once else "again"]
    process.shorten_log()
    before_s = process.cpu_s()
    said = _said_by(command)
    cpu_s = process.cpu_s() - before_s
    result = re.search(r"^RESULT (.*)$", said, re.MULTILINE)
    if result is None:
        raise BenchError(f"wrk: {said}")
    told = json.loads(result[1])
    if told["refused"] or told["broken"] or not told["requests"]:
        raise BenchError(f"{told} of {traffic.items.name}: {process.log_end()}")
    return Run(
        requests=told["requests"],
        requests_s=told["requests"] * 1e6 / told["duration_us"],
        cpu_us=cpu_s * 1e6 / told["requests"],
        **{name: float(told[name]) for name in ("p50_us", "p99_us", "p999_us", "max_us")},
    )


def _said_by(command: list[str]) -> str:
    """Run wrk to its end, or until its requests have run out, and return what it says."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as wrk:
        assert wrk.stdout is not None
        try:
            lines = []
            for line in wrk.stdout:
                if line == "EXHAUSTED\n":
                    wrk.send_signal(signal.SIGINT)
                lines.append(line)
        finally:
            wrk.kill()
    return "".join(lines)


def alternate(
    servers: Mapping[str, Loaded],
    *,
    rounds: int,
    seconds: int,
    load_cores: str | None,
    say: Callable[[str], None],
    warm_s: int = 1,
) -> dict[str, list[Run]]:
    """Load the servers in turn, A B B A, so that a drift hits none of them more; each is warmed up first."""
    for server in servers.values() if warm_s else ():
        load(server.process, server.traffic(), seconds=warm_s, cores=load_cores)
    runs: dict[str, list[Run]] = {name: [] for name in servers}
    in_order = list(servers.items())
    for number in range(rounds):
        for name, server in in_order if number % 2 == 0 else reversed(in_order):
            run = load(server.process, server.traffic(), seconds=seconds, cores=load_cores)
            runs[name].append(run)
            say(
                f"  {number + 1}/{rounds} {name:26} {run.cpu_us:7.1f} µs CPU {run.requests_s:8,.0f}/s"
                f"  p50 {run.p50_us / 1000:7.2f}  p99 {run.p99_us / 1000:7.2f} ms"
            )
    return runs


def row(name: str, title: str, runs: list[Run], **others: float | None) -> Row:
    """Return the row of a server's runs, with what else is known of it."""
    numbers: list[Numbers] = [dict(asdict(run)) for run in runs]
    return Row(name, title, {**medians(numbers), **others}, numbers)


def memory_of(process: Process) -> Numbers:
    """Return what the server's processes take now, in MB (10^6 bytes)."""
    memory = process.memory()
    return {
        "rss_mb": memory.rss / 1e6,
        "pss_mb": None if memory.pss is None else memory.pss / 1e6,
        "processes": memory.processes,
    }
