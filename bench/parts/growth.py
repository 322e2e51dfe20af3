"""
What a request costs as things grow: workers, apps, users.
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import loading, made_up, servers, traffic
from bench.bench import Bench
from bench.loading import Loaded
from bench.processes import Process
from bench.results import Part, Row
from bench.servers import Stage

WORKERS = (1, 2, 4)
APPS = (1, 100, 1_000)
USERS = (1_000, 10_000, 100_000, 1_000_000)
LONGEST_PASS_S = 120


def of_workers(bench: Bench) -> Part:
    """Issuing with one, two and four workers on two cores."""
    rows: list[Row] = []
    for name in servers.OURS:
        with bench.stage() as folder, ExitStack() as stack:
            processes: dict[str, Process] = {}
            for workers in WORKERS:
                stage = Stage(folder, workers=workers, cores=None, load_cores=None)
                processes[f"{name}-{workers}"] = bench.started(stack, name, stage)
            runs = loading.alternate(
                {key: Loaded(process, partial(traffic.issue, folder)) for key, process in processes.items()},
                rounds=bench.scale.growth_rounds,
                seconds=bench.scale.growth_s,
                load_cores=None,
                say=bench.say,
            )
            rows += [
                loading.row(
                    key, f"{servers.TITLES[name]}, workers: {workers}", runs[key], **loading.memory_of(processes[key])
                )
                for workers, key in zip(WORKERS, processes, strict=True)
            ]
    return Part(
        "workers",
        "Cost against the number of workers",
        "Issuing, on two free cores that wrk shares.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "rss_mb", "pss_mb"],
        rows,
    )


def of_apps(bench: Bench) -> Part:
    """Issuing for one of many apps, which the request names."""
    with bench.stage() as folder, ExitStack() as stack:
        servers_of: dict[str, Loaded] = {}
        for number in APPS:
            appkeys = [f"{index:024x}" for index in range(number)]
            stage = Stage(folder, settings={"APPS_FILE": str(_apps_file(folder, appkeys))})
            process = bench.started(stack, "authsvc-granian", stage)
            servers_of[str(number)] = Loaded(process, partial(traffic.issue_for, folder, appkeys))
        runs = loading.alternate(
            servers_of,
            rounds=bench.scale.growth_rounds,
            seconds=bench.scale.growth_s,
            load_cores=Stage(folder).load_cores,
            say=bench.say,
        )
        rows = [
            loading.row(f"apps-{name}", f"apps: {int(name):,}", runs[name], **loading.memory_of(server.process))
            for name, server in servers_of.items()
        ]
    return Part(
        "apps",
        "Cost against the number of apps",
        "Issuing on granian, two workers on one core; each request names its app in its body.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "rss_mb"],
        rows,
    )


def of_users(bench: Bench) -> Part:
    """Issuing for so many different users, one after the other; each has asked once before it is measured."""
    rows: list[Row] = []
    for users in (number for number in USERS if number <= bench.scale.most_users):
        with bench.stage() as folder, ExitStack() as stack:
            stage = Stage(folder)
            process = bench.started(stack, "authsvc-granian", stage)
            asked = traffic.issue(folder, users)
            once = traffic.Traffic(asked.head, asked.items, asked.length, once=True)
            first = loading.load(process, once, seconds=LONGEST_PASS_S, cores=stage.load_cores)
            run = loading.load(process, asked, seconds=bench.scale.seconds, cores=stage.load_cores)
            bench.say(f"  users: {users:9,}  first {first.cpu_us:6.1f} µs CPU, then {run.cpu_us:6.1f} µs")
            others = {"first_cpu_us": first.cpu_us, "seen": float(first.requests), **loading.memory_of(process)}
            rows.append(loading.row(f"users-{users}", f"users: {users:,}", [run], **others))
    return Part(
        "users",
        "Cost against the number of users",
        "Issuing on granian, two workers on one core. “First” is each user's first request, “seen” how many of them "
        "asked; the others are of the next seconds, users one after the other.",
        ["seen", "first_cpu_us", "cpu_us", "requests_s", "p50_us", "p99_us", "rss_mb"],
        rows,
    )


def _apps_file(folder: Path, appkeys: list[str]) -> Path:
    path = folder / f"apps-{len(appkeys)}.toml"
    tables = [f'[apps.{appkey}]\nmaster_secret = "{made_up.MASTER_SECRET}"\n' for appkey in appkeys]
    path.write_text("\n".join(tables))
    return path
