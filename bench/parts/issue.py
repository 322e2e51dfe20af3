"""
Issuing: `POST /v1/auth-payload` for 1 000 different users, on every server.
"""

from contextlib import ExitStack

from bench import loading, servers, traffic
from bench.bench import MORE_ROUNDS, Bench
from bench.loading import Loaded, Run
from bench.processes import LOAD_CORES, SERVER_CORES
from bench.results import Numbers, Part
from bench.servers import Stage

STARTS = 4  # of both against an earlier commit
COLUMNS = ["cpu_us", "requests_s", "p50_us", "p99_us", "p999_us", "rss_mb", "pss_mb", "processes"]


def on_one_core(bench: Bench) -> Part:
    """Every server with two workers on one core; wrk has the other."""
    names = bench.those_here(*servers.OURS, *servers.ISSUING)
    return _issued(
        bench,
        "issue",
        "Issue: two workers on one core",
        "The server is bound to one core and wrk to the other, 32 keep-alive connections; requests/s is per core.",
        names,
        cores=(SERVER_CORES, LOAD_CORES),
    )


def against_before(bench: Bench) -> Part:
    """
    Ours beside itself as it was, many times in turn and started anew now and then, to see a twentieth.

    Two starts of the same code differ by 2 %, for as long as they run: by where their memory lies, and by their seed.
    """
    names = bench.those_here("authsvc-granian", "authsvc-before")
    return _issued(
        bench,
        "before",
        f"Issue: against commit {servers.BEFORE}",
        "Two workers on one core, Bearer, on the same Python and with the same libraries and settings.",
        names,
        cores=(SERVER_CORES, LOAD_CORES),
        rounds=2 * MORE_ROUNDS * bench.scale.rounds // STARTS,
        starts=STARTS,
    )


def on_two_cores(bench: Bench) -> Part:
    """The fastest with two workers on both cores, of which wrk takes its share, and granian by itself."""
    names = bench.those_here(*servers.OURS, "go", "fastify", "express", "bare-granian-signing")
    return _issued(
        bench,
        "cores",
        "Issue: two workers on two free cores",
        "Nothing is bound; wrk shares the two cores with the server. The bare app looks at nothing and signs.",
        names,
        cores=(None, None),
    )


def ten_times(bench: Bench) -> Part:
    """Ten loads on gunicorn, each with 32 connections of its own: does one worker get them all?"""
    with bench.stage() as folder, ExitStack() as stack:
        stage = Stage(folder, cores=None, load_cores=None)
        process = bench.started(stack, "authsvc-gunicorn", stage)
        asked = traffic.issue(folder)
        runs = loading.alternate(
            {"authsvc-gunicorn": Loaded(process, lambda: asked)},
            rounds=10,
            seconds=bench.scale.growth_s,
            load_cores=None,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )["authsvc-gunicorn"]
    row = loading.row("authsvc-gunicorn", servers.TITLES["authsvc-gunicorn"], runs)
    slowest = min(run.requests_s for run in runs)
    row.numbers["slowest_s"] = slowest
    row.numbers["slowest_ratio"] = slowest / (row.numbers["requests_s"] or 1)
    return Part(
        "collapse",
        "Issue on gunicorn: ten runs",
        "Ten loads one after the other, each with 32 new keep-alive connections, on two free cores.",
        ["requests_s", "slowest_s", "slowest_ratio", "cpu_us", "p99_us"],
        [row],
    )


def _issued(
    bench: Bench,
    name: str,
    title: str,
    about: str,
    names: list[str],
    *,
    cores: tuple[str | None, str | None],
    rounds: int | None = None,
    starts: int = 1,
) -> Part:
    runs: dict[str, list[Run]] = {one: [] for one in names}
    for _ in range(starts):
        loaded, memory = _loaded(bench, names, cores, rounds or MORE_ROUNDS * bench.scale.rounds)
        for one in names:
            runs[one] += loaded[one]
    rows = [loading.row(one, servers.TITLES[one], runs[one], **memory[one]) for one in names]
    return Part(name, title, about, COLUMNS, rows)


def _loaded(
    bench: Bench, names: list[str], cores: tuple[str | None, str | None], rounds: int
) -> tuple[dict[str, list[Run]], dict[str, Numbers]]:
    """Start the servers and load them in turn; return their runs, and their memory at the end."""
    with bench.stage() as folder, ExitStack() as stack:
        stage = Stage(folder, cores=cores[0], load_cores=cores[1])
        asked = traffic.issue(folder)
        processes = {one: bench.started(stack, one, stage) for one in names}
        runs = loading.alternate(
            {one: Loaded(process, lambda: asked) for one, process in processes.items()},
            rounds=rounds,
            seconds=bench.scale.seconds,
            load_cores=stage.load_cores,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )
        return runs, {one: loading.memory_of(process) for one, process in processes.items()}
