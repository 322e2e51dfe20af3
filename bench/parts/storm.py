"""
A reconnect storm: thousands of pages that all ask for a payload at once, each on a connection of its own.
"""

from contextlib import ExitStack

from bench import crowd, servers, traffic
from bench.bench import Bench
from bench.processes import LOAD_CORES, Process, bound_to
from bench.results import Numbers, Part, Row, medians
from bench.servers import Stage


def of_pages(bench: Bench) -> Part:
    """Every server in turn, again and again."""
    names = bench.those_here(*servers.OURS, "go", "fastify", "express")
    requests = [
        traffic.request("POST", "/v1/auth-payload", token).encode() for token in traffic.tokens(bench.scale.clients)
    ]
    with bench.stage() as folder, ExitStack() as stack:
        processes: dict[str, Process] = {name: bench.started(stack, name, Stage(folder)) for name in names}
        runs: dict[str, list[Numbers]] = {name: [] for name in names}
        for number in range(bench.scale.rounds):
            for name, process in processes.items():
                with bound_to(LOAD_CORES):
                    waits = crowd.storm(process.port, requests, timeout_s=60)
                runs[name].append({"all_ms": waits.all_s * 1000, "worst_ms": waits.worst_s * 1000})
                bench.say(
                    f"  {number + 1}/{bench.scale.rounds} {name:26} all after {waits.all_s * 1000:7.0f} ms,"
                    f" worst wait {waits.worst_s * 1000:7.0f} ms"
                )
    return Part(
        "storm",
        f"Reconnect storm of {bench.scale.clients:,} pages",
        "Each page opens a connection of its own, all at the same moment; two workers on one core, the pages on the "
        "other. A wait is from the start of connecting to the payload.",
        ["all_ms", "worst_ms"],
        [Row(name, servers.TITLES[name], medians(runs[name]), runs[name]) for name in names],
    )
