"""
What the benchmark runs on: the machine, and the version of everything that is measured.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from bench.servers import PEERS, PEERS_PYTHON, PYTHON, ROOT, TRACED_PYTHON

_PYTHON = (
    "granian",
    "gunicorn",
    "flask",
    "pyjwt",
    "redis",
    "opentelemetry-sdk",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
)
_NODE = ("express", "jsonwebtoken", "express-session", "fastify", "fast-jwt", "@fastify/secure-session", "ioredis")


def described() -> dict[str, str]:
    """Return what is known, in an order to be read."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _said(["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", "authsvc"]),
        "machine": f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}, {pages / 1e9:.0f} GB",
        "load average before": f"{os.getloadavg()[0]:.1f}",  # by which to see whether the machine did other work
        "kernel": platform.release(),
        "Python": _python(),
        **{name: version for name in _PYTHON if (version := _distribution(name))},
        "Node.js": _said(["node", "--version"]),
        **{name: version for name in _NODE if (version := _package(name))},
        "Go": _said(["go", "version"]),
        "Redis": _said(["redis-server", "--version"]),
        "wrk": _said(["wrk", "--version"]),
    }


def _said(command: list[str]) -> str:
    """Return the version that a program tells; wrk exits with 1 after doing so."""
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    first = (done.stdout + done.stderr).strip().partition("\n")[0]
    version = re.search(r"\d+(\.\d+)+", first)
    return version[0] if version and command[0] != "git" else first


def _python() -> str:
    """Return the version of authsvc's Python, and where it lies, which tells who built it."""
    words = "import platform, sys; print(platform.python_version(), 'in', sys.base_prefix)"
    return subprocess.run([PYTHON, "-c", words], capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _distribution(name: str) -> str | None:
    """Return the version that authsvc runs with; of what only peers or tracing have, theirs."""
    for python in (PYTHON, PEERS_PYTHON, TRACED_PYTHON):
        places = [str(path) for path in Path(python).parents[1].glob("lib/python*/site-packages")]
        for found in importlib.metadata.distributions(name=name, path=places):
            return found.version
    return None


def _package(name: str) -> str | None:
    path = PEERS / "node_modules" / name / "package.json"
    return str(json.loads(path.read_text())["version"]) if path.exists() else None
