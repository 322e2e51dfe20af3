"""
Every way of logging in on granian, and the other questions of a page's start, each beside Bearer in one run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from bench import asking, loading, made_up, servers, traffic
from bench.bench import Bench
from bench.loading import Loaded
from bench.processes import LOAD_CORES, Process
from bench.results import Part
from bench.servers import Stage
from bench.traffic import COOKIE, GATEWAY, Traffic
from bench.upstream import APP_COOKIE, Upstream

OURS = "authsvc-granian"
USERS_OF_APP = 100
ASKING = 4  # connections; the app is slow beside the load, and authsvc refuses what waits for it beyond 16 threads
LOGINS_A_RUN = 40_000  # more than are verified in one load
TITLES = {
    "bearer": "authsvc: Bearer",
    "named": "authsvc: Bearer, app named in the body",
    "bootstrap": "authsvc: Bearer, bootstrap",
    "gateway": "authsvc: gateway header",
    "session": "authsvc: session cookie, seen",
    "session-first": "authsvc: session cookie, at first sight",
    "app": "authsvc: ask the app, remembered",
}


def of_each(bench: Bench) -> Part:
    """Ours on one server, and peers that know their users by a cookie."""
    with bench.stage() as folder, ExitStack() as stack:
        app = stack.enter_context(Upstream())
        settings = {"LOGIN_URL": app.url, "LOGIN_CACHE_S": "60"}
        ours = bench.started(stack, OURS, Stage(folder, settings=settings))
        loads = {job: Loaded(ours, traffic_of) for job, traffic_of in jobs(folder, partial(_ask_first, ours)).items()}
        for name in bench.those_here(*servers.WITH_SESSIONS):
            peer = bench.started(stack, name, Stage(folder))
            loads[name] = Loaded(peer, partial(_same, _of_peer(folder, name, peer)))
        runs = loading.alternate(
            loads,
            rounds=bench.scale.rounds,
            seconds=bench.scale.seconds,
            load_cores=Stage(folder).load_cores,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )
    return Part(
        "logins",
        "Ways of logging in",
        "Two workers on one core; all of ours are asked of one server on granian, which knows every way. The cookies of"
        " “first sight” are all different, 1 000 users log in again and again. A session is as Flask-Login writes it;"
        " the peers' has the user's id alone. express-session's memory is of one process, so that peer has one worker.",
        ["cpu_us", "requests_s", "p50_us", "p99_us"],
        [loading.row(name, (TITLES | servers.TITLES)[name], runs[name]) for name in loads],
    )


def jobs(folder: Path, ask_first: Callable[[Traffic], object]) -> dict[str, Callable[[], Traffic]]:
    """Return what makes the requests of each row of ours; `ask_first` has the app asked about some beforehand."""
    same = {
        "bearer": traffic.issue(folder),
        "named": traffic.issue_for(folder, [made_up.APPKEY]),
        "bootstrap": traffic.bootstrap(folder),
        "gateway": traffic.issue_by(folder, "gateway", GATEWAY, traffic.names()),
        "session": traffic.issue_by(folder, "session", COOKIE, traffic.session_cookies()),
    }
    return {
        **{job: partial(_same, asked) for job, asked in same.items()},
        "session-first": partial(_first_sight, folder),
        "app": partial(_remembered, folder, ask_first, count()),
    }


def _first_sight(folder: Path) -> Traffic:
    return traffic.issue_by(folder, "session-first", COOKIE, traffic.session_cookies(LOGINS_A_RUN), once=True)


def _ask_first(ours: Process, asked: Traffic) -> None:
    loading.load(ours, asked, seconds=1, cores=LOAD_CORES, connections=ASKING)


def _remembered(folder: Path, ask_first: Callable[[Traffic], object], rounds: Iterator[int]) -> Traffic:
    """Return the requests of users about whom the app has just been asked, and never before."""
    first = next(rounds) * USERS_OF_APP
    logins = [f"{APP_COOKIE}=user-{first + number:07d}" for number in range(USERS_OF_APP)]
    asked = traffic.issue_by(folder, "app", COOKIE, logins)
    ask_first(asked)
    return asked


def _of_peer(folder: Path, name: str, peer: Process) -> Traffic:
    cookies = [asking.log_in(peer.port, user) for user in traffic.names()]
    return traffic.issue_by(folder, name, COOKIE, traffic.evened(cookies))


def _same(asked: Traffic) -> Traffic:
    return asked
