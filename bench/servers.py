"""
The servers that are compared: how each is started, and whether this machine can.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from authsvc.server.limits import THREADS
from authsvc.settings.model import Settings
from bench import made_up
from bench.processes import LOAD_CORES, SERVER_CORES, BenchError, Process, free_port

PEERS = Path(__file__).parent / "peers"
# authsvc's own Python, to which `make bench` gives what an image has, and that of the peers.
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
PEERS_PYTHON = os.environ.get("BENCH_PEERS_PYTHON", sys.executable)
TRACED_PYTHON = os.environ.get("BENCH_TRACED_PYTHON", sys.executable)  # as PYTHON, with the extra `otel`
ROOT = Path(__file__).parents[1]
BEFORE = "599cc04"  # the commit before every route had the direct door
WORKERS = 2
OURS = ("authsvc-granian", "authsvc-gunicorn")
ISSUING = (
    "go",
    "fastify",
    "express",
    "express-string",
    "fastapi",
    "flask",
)
WITH_SESSIONS = ("fastify-session", "express-session", "flask-session")
BARE = ("bare-granian-constant", "bare-granian-signing", "bare-gunicorn-constant", "bare-worker-constant")
TITLES = {
    "authsvc-granian": "authsvc, granian",
    "authsvc-gunicorn": "authsvc, gunicorn",
    "go": "Go net/http, JWT by hand",
    "fastify": "Fastify + fast-jwt, cache on",
    "express": "Express + jsonwebtoken, KeyObject",
    "express-string": "Express + jsonwebtoken, string secret",
    "fastapi": "FastAPI + PyJWT, uvicorn",
    "flask": "Flask + PyJWT, gunicorn gthread",
    "fastify-redis": "Fastify + ioredis",
    "fastify-session": "Fastify + @fastify/secure-session",
    "express-session": "Express + express-session, in memory",
    "flask-session": "Flask and its session, gunicorn gthread",
    "authsvc-before": f"authsvc as of {BEFORE}, granian",
    "bare-granian-constant": "granian, an answer that never changes",
    "bare-granian-signing": "granian, a signature for everybody",
    "bare-gunicorn-constant": "gunicorn gthread, an answer that never changes",
    "bare-worker-constant": "gunicorn with our worker, an answer that never changes",
}
_VARIABLES = {
    "APPKEY": made_up.APPKEY,
    "MASTER_SECRET": made_up.MASTER_SECRET,
    "JWT_KEY": made_up.JWT_KEY,
    "VERIFIER_KEY": made_up.VERIFIER_KEY,
    "SESSION_KEY": made_up.SESSION_KEY,
    "NODE_ENV": "production",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """
    Where servers run.

    Attributes:
        folder: for their files and logs.
        cores: to which a server is bound, such as "0"; None lets it use all.
        load_cores: the same for what loads it and for what it asks.
        settings: of authsvc alone, without their prefix.
        variables: other variables for authsvc alone, which its interpreter, a library or the C library reads.
        python: authsvc's.
    """

    folder: Path
    workers: int = WORKERS
    cores: str | None = SERVER_CORES
    load_cores: str | None = LOAD_CORES
    settings: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    python: str = PYTHON


def missing(name: str) -> str | None:
    """Return what this machine lacks for the server, or None."""
    if name == "authsvc-before":
        known = ["git", "-C", str(ROOT), "cat-file", "-e", f"{BEFORE}^{{commit}}"]
        is_here = shutil.which("git") and not subprocess.run(known, capture_output=True, check=False).returncode
        return None if is_here else "not a checkout with its history"
    if name == "go":
        return None if shutil.which("go") else "no go"
    if name == "fastify-redis" and shutil.which("redis-server") is None:
        return "no redis-server"
    if name.startswith(("express", "fastify")):
        if shutil.which("node") is None:
            return "no node"
        return None if (PEERS / "node_modules").is_dir() else "no npm packages: make bench installs them"
    if name == "fastapi" and not all(map(importlib.util.find_spec, ("fastapi", "uvicorn"))):
        return "no FastAPI: pip install '.[bench]'"
    return None


def server(name: str, stage: Stage, *, redis_url: str = "") -> Process:
    """
    Return one of the servers, not yet started.

    Args:
        redis_url: what `fastify-redis` claims in.
    """
    if name in OURS:
        return _authsvc(name.removeprefix("authsvc-"), stage)
    if name == "authsvc-before":
        return _authsvc("granian", stage, of=_checked_out(stage.folder))
    variables = _VARIABLES | {"WORKERS": str(stage.workers), "REDIS_URL": redis_url}
    return Process(
        _command(name, stage),
        variables | {"KEY_FORM": "string" if name == "express-string" else "object"},
        log=stage.folder / f"{name}.log",
        folder=PEERS,
        cores=stage.cores,
    )


def floor(stage: Stage, libraries: Sequence[str], *, when: Literal["before", "after"] = "before") -> Process:
    """Return a server that says ok, with libraries imported "before" the fork of its workers, or "after"."""
    command = [PYTHON, "-m", "bench.floor", "{port}", when, *libraries]
    log, speaks_http = stage.folder / "floor.log", "granian" in libraries
    return Process(command, {}, log=log, folder=ROOT, cores=stage.cores, speaks_http=speaks_http)


def redis(stage: Stage) -> Process:
    """Return a Redis that keeps nothing on disk, on the cores of the load: its work is not the server's."""
    command = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--dir", str(stage.folder)]
    return Process(command, {}, log=stage.folder / "redis.log", cores=stage.load_cores, speaks_http=False)


def sandbox(stage: Stage, service_url: str) -> Process:
    """Return the stand-in for the vendor, which knows the same app."""
    variables = {f"AUTHSVC_{name}": value for name, value in _secrets(stage.folder, ours=("VERIFIER_KEYS",)).items()}
    command = [sys.executable, "-m", "authsvc", "sandbox", "--bind", "127.0.0.1:{port}", "--service", service_url]
    return Process(command, variables, log=stage.folder / "sandbox.log", cores=stage.load_cores)


def _authsvc(kind: str, stage: Stage, *, of: Path | None = None) -> Process:
    """Return authsvc with everything on; `of` is the folder of another checkout."""
    name = f"authsvc-{kind}" if of is None else "authsvc-before"
    settings = {
        "JWT_ALGORITHMS": "HS256",
        "STORE_URL": f"sqlite://{stage.folder}/{name}.db",
        "RATE_LIMIT": "100000000/minute",
        "ALLOWED_ORIGINS": "https://app.example",
        "VENDOR_URL": "http://127.0.0.1:9",  # nobody listens there
        "DRAIN_DELAY_S": "0",
        "GATEWAY_USER_HEADER": "RemoteUser",  # without a hyphen, because granian lets its underscore twin pass for it
    }
    if "metrics_bind" in Settings.model_fields:
        settings["METRICS_BIND"] = f"127.0.0.1:{free_port()}"
    secrets = _secrets(stage.folder, ours=("JWT_KEY", "VERIFIER_KEYS", "GATEWAY_SECRET", "SESSION_KEY"))
    given = settings | dict(stage.settings)
    if "APPS_FILE" in given:
        secrets = {name: value for name, value in secrets.items() if name not in ("APPKEY", "MASTER_SECRET_FILE")}
    return Process(
        [
            *(stage.python, "-m", "authsvc"),
            *("serve", "--server", kind, "--workers", str(stage.workers), "--bind", "127.0.0.1:{port}"),
        ],
        {f"AUTHSVC_{name}": value for name, value in (secrets | given).items()} | dict(stage.variables),
        log=stage.folder / f"{name}.log",
        folder=of,
        cores=stage.cores,
    )


def _checked_out(folder: Path) -> Path:
    """Return a folder with authsvc as it was."""
    path = folder / "before"
    path.mkdir()
    archived = subprocess.run(
        ["git", "-C", str(ROOT), "archive", BEFORE, "authsvc", "openapi.yaml"], capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(path)], input=archived.stdout, check=True)
    return path


def _secrets(folder: Path, ours: Sequence[str]) -> dict[str, str]:
    """Lay the secrets in files, as one does, and return the settings that name them."""
    values = {
        "MASTER_SECRET": made_up.MASTER_SECRET,
        "JWT_KEY": made_up.JWT_KEY,
        "VERIFIER_KEYS": made_up.VERIFIER_KEY,
        "GATEWAY_SECRET": made_up.GATEWAY_SECRET,
        "SESSION_KEY": made_up.SESSION_KEY,
    }
    settings = {"APPKEY": made_up.APPKEY}
    for name in ("MASTER_SECRET", *ours):
        path = folder / name.lower()
        path.write_text(values[name] + "\n")
        settings[f"{name}_FILE"] = str(path)
    return settings


def _command(name: str, stage: Stage) -> list[str]:
    workers = str(stage.workers)
    if name == "go":
        return [str(_built_go(stage.folder))]
    if name.startswith(("express", "fastify")):
        return ["node", f"{name.removesuffix('-string')}.js"]
    if name == "fastapi":
        arguments = ["--host", "127.0.0.1", "--port", "{port}", "--workers", workers, "--no-access-log"]
        return [PEERS_PYTHON, "-m", "uvicorn", "fastapi_app:app", *arguments]
    if name.startswith("bare-granian"):
        arguments = ["--host", "127.0.0.1", "--port", "{port}", "--workers", workers, "--interface", "wsgi"]
        arguments += ["--http", "1", "--no-ws", "--blocking-threads", str(THREADS), "--no-access-log"]
        return [PEERS_PYTHON, "-m", "granian", f"bare_app:{name.rpartition('-')[2]}", *arguments]
    apps = {"flask": "flask_app:app", "flask-session": "flask_session_app:app"}
    app, threads = (apps[name], 4) if name in apps else ("bare_app:constant", THREADS)
    worker = "authsvc.server.gunicorn_worker.Worker" if name == "bare-worker-constant" else "gthread"
    arguments = ["--bind", "127.0.0.1:{port}", "--workers", workers, "--worker-class", worker]
    return [PEERS_PYTHON, "-m", "gunicorn", app, *arguments, "--threads", str(threads)]


def _built_go(folder: Path) -> Path:
    binary = folder / "go-peer"
    if not binary.exists():
        command = ["go", "build", "-o", str(binary), "."]
        variables = os.environ | {"GOTMPDIR": str(folder)}  # which is cleared away also when this is interrupted
        done = subprocess.run(command, cwd=PEERS, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"go build: {done.stderr}")
    return binary
