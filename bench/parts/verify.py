"""
Verifying: fresh payloads, each presented once, on Redis and on SQLite.
"""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from bench import asking, loading, servers, traffic
from bench.bench import Bench
from bench.loading import CONNECTIONS, Loaded
from bench.processes import Process
from bench.results import Part, Row
from bench.servers import Stage
from bench.traffic import Traffic

MOST_A_RUN = 100_000  # more than the fastest verifies in one load
CLAIMING_WORKERS = 4
LONGEST_S = 120


def against_fastify(bench: Bench) -> Part:
    """The same checks and the same claim in the same Redis; and ours on SQLite."""
    with bench.stage() as folder, ExitStack() as stack:
        stage = Stage(folder)
        processes: dict[str, Process] = {}
        titles: dict[str, str] = {}
        if shutil.which("redis-server"):
            redis_url = f"redis://127.0.0.1:{stack.enter_context(servers.redis(stage)).port}/0"
            on_redis = Stage(folder, settings={"STORE_URL": redis_url})
            for name in bench.those_here(*servers.OURS, "fastify-redis"):
                processes[name] = bench.started(stack, name, on_redis, redis_url=redis_url)
                titles[name] = servers.TITLES[name] + ("" if name == "fastify-redis" else ", Redis")
        else:
            bench.say("  without Redis: no redis-server")
        for name in servers.OURS:
            processes[f"{name}-sqlite"] = bench.started(stack, name, stage)
            titles[f"{name}-sqlite"] = servers.TITLES[name] + ", SQLite"
        for process in processes.values():
            asking.begin_memory(process.port)
        runs = loading.alternate(
            {name: Loaded(process, lambda: _fresh(folder, MOST_A_RUN)) for name, process in processes.items()},
            rounds=bench.scale.rounds,
            seconds=bench.scale.seconds,
            load_cores=stage.load_cores,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )
    return Part(
        "verify",
        "Verify: shape, signature, time, claim",
        "Two workers on one core; wrk and Redis have the other. Every payload is made just before and presented once.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "p999_us", "max_us"],
        [loading.row(name, titles[name], runs[name]) for name in processes],
    )


def on_sqlite(bench: Bench) -> Part:
    """Four processes that claim in one SQLite file as fast as they can: how long does the unluckiest wait?"""
    with bench.stage() as folder, ExitStack() as stack:
        stage = Stage(folder, workers=CLAIMING_WORKERS, cores=None, load_cores=None)
        rows: list[Row] = []
        for name in servers.OURS:
            process = bench.started(stack, name, stage)
            asking.begin_memory(process.port)
            payloads = _fresh(folder, bench.scale.claims + CONNECTIONS)  # as many are under way when the last is sent
            run = loading.load(process, payloads, seconds=LONGEST_S, cores=None)
            bench.say(
                f"  {run.requests:,} claims, {run.requests_s:,.0f}/s, the worst waited {run.max_us / 1000:.1f} ms"
            )
            rows.append(loading.row(name, servers.TITLES[name], [run]))
    return Part(
        "sqlite",
        "Verify on SQLite: four workers at full load",
        f"{bench.scale.claims:,} payloads, each presented once, over 32 connections; nothing is bound to a core.",
        ["requests", "requests_s", "p50_us", "p99_us", "p999_us", "max_us"],
        rows,
    )


def _fresh(folder: Path, number: int) -> Traffic:
    time.sleep(0.002)  # a payload of the very millisecond in which the store's memory began is refused
    return traffic.verify(folder, number)
