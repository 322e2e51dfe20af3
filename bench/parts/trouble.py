"""
Issuing while Redis is up, slow and down: it never waits for the network, so nobody should see a difference.
"""

import shutil
import time
from contextlib import ExitStack

from bench import loading, servers, traffic
from bench.bench import MORE_ROUNDS, Bench
from bench.loading import Run
from bench.proxy import Proxy
from bench.results import Part
from bench.servers import Stage

TITLES = {"up": "Redis up", "slow": "Redis slow by 100 ms", "down": "Redis down"}
SETTLE_S = 1.0  # the limiter tells the store twice a second


def of_redis(bench: Bench) -> Part:
    """One server that reaches its Redis through a proxy: which lets pass, delays, or refuses."""
    runs: dict[str, list[Run]] = {name: [] for name in TITLES}
    with bench.stage() as folder, ExitStack() as stack:
        if shutil.which("redis-server"):
            redis = stack.enter_context(servers.redis(Stage(folder)))
            proxy = stack.enter_context(Proxy(redis.port))
            stage = Stage(folder, settings={"STORE_URL": f"redis://127.0.0.1:{proxy.port}/0"})
            process = bench.started(stack, "authsvc-granian", stage)
            asked = traffic.issue(folder)
            loading.load(process, asked, seconds=bench.scale.warm_s, cores=stage.load_cores)
            rounds = MORE_ROUNDS * bench.scale.rounds
            for number in range(rounds):
                in_turn = list(TITLES) if number % 2 == 0 else list(reversed(TITLES))  # a drift hits none of them more
                for state in in_turn:
                    proxy.turn(state)
                    time.sleep(SETTLE_S)
                    run = loading.load(process, asked, seconds=bench.scale.seconds, cores=stage.load_cores)
                    runs[state].append(run)
                    bench.say(
                        f"  {number + 1}/{rounds} {TITLES[state]:26} {run.cpu_us:7.1f} µs CPU {run.requests_s:8,.0f}/s"
                    )
        else:
            bench.say("  without Redis: no redis-server")
    return Part(
        "trouble",
        "Issue while Redis is up, slow and down",
        "granian, two workers on one core; Redis is reached through a proxy that lets pass, delays by 100 ms, or "
        "refuses, in turn.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "p999_us"],
        [loading.row(name, TITLES[name], found) for name, found in runs.items() if found],
    )
