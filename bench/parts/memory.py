"""
Memory: what the libraries take, one after the other, what authsvc takes with them, and what could make it less.
"""

from bench import loading, servers, traffic
from bench.bench import Bench
from bench.processes import Process
from bench.results import Part, Row
from bench.servers import Stage

GRANIAN, GUNICORN = servers.OURS
PEERS = ("fastify", "express", "express-string")
LIBRARIES = {
    "granian, with an app that says ok": ("granian", "granian.server"),
    "… and Flask": ("flask",),
    "… and PyJWT with cryptography": ("jwt", "cryptography.hazmat.primitives.serialization"),
    "… and pydantic": ("pydantic.main", "pydantic.types", "pydantic.json_schema"),
    "… and urllib3": ("urllib3",),
    "… and structlog, prometheus-client": ("structlog", "prometheus_client"),
    "… and click, orjson, SQLite: all of them": ("click", "orjson", "sqlite3"),
}
ALL = [name for names in LIBRARIES.values() for name in names]


def by_what_is_loaded(bench: Bench) -> Part:
    """Floors, authsvc, tries to make it less, and the Node.js peers; each after as many requests."""
    many, all_at_once = bench.scale.settling, loading.CONNECTIONS
    with bench.stage() as folder:
        stage = Stage(folder)

        def row(
            name: str, title: str, process: Process, *, requests: int = many, connections: int = all_at_once
        ) -> Row:
            with process:
                _load(process, stage, requests, connections)
                numbers = loading.memory_of(process)
            bench.say(f"  {title:70} {numbers['rss_mb']:6.1f} MB RSS")
            return Row(name, title, numbers)

        def ours(what: str, words: str, requests: int = many, connections: int = all_at_once, **variables: str) -> Row:
            process = servers.server(GRANIAN, Stage(folder, variables=variables))
            if variables:
                process.start()  # once before: what is compiled for it meanwhile takes memory too
                process.stop()
            name, title = f"{GRANIAN}-{what}", f"{servers.TITLES[GRANIAN]}: {words}"
            return row(name, title, process, requests=requests, connections=connections)

        rows = [row("python", "Python alone, three processes", servers.floor(stage, []), requests=0)]
        loaded: list[str] = []
        for title, names in LIBRARIES.items():
            loaded += names
            rows.append(row(f"floor-{names[0]}", title, servers.floor(stage, loaded)))
        after = servers.floor(stage, ALL, when="after")
        rows += [
            row("floor-after", "all of them, but imported after the fork", after),
            row(GRANIAN, servers.TITLES[GRANIAN], servers.server(GRANIAN, stage)),
            ours("idle", "before the first request", 0),
            ours("one", "over one connection", connections=1),
            ours("arena", "with MALLOC_ARENA_MAX=1", MALLOC_ARENA_MAX="1"),
            ours(
                "bare",
                "without docstrings, PYTHONOPTIMIZE=2",
                PYTHONOPTIMIZE="2",
                PYTHONPYCACHEPREFIX=f"{folder}/compiled",
                PYTHONDONTWRITEBYTECODE="",
            ),
        ]
        rows += [row(name, servers.TITLES[name], servers.server(name, stage)) for name in bench.those_here(*PEERS)]
    return Part(
        "memory",
        "Memory: what takes it",
        f"Two workers and their parent after {many:,} requests over {all_at_once} connections, or as a row says. "
        "The libraries of the first rows are imported before the fork, and nothing is done with them.",
        ["rss_mb", "pss_mb", "processes"],
        rows,
    )


def _load(process: Process, stage: Stage, requests: int, connections: int) -> None:
    asked = traffic.issue(stage.folder)
    while requests > 0:
        run = loading.load(process, asked, seconds=2, cores=stage.load_cores, connections=connections)
        requests -= run.requests
