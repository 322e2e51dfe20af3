"""Where a secret of a running service could be looked for from outside: core files, /proc, the history of the code."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import bearer_of
from tests.support import canaries
from tests.support.running import Service, wait_until

ROOT = Path(__file__).parents[2]
SERVERS = pytest.mark.parametrize("server", ["gunicorn", "granian"])


MADE_UP = re.compile("0123456|fedcba|canary|made-up")


def given(text: str) -> set[str]:
    """Return what looks like a vendor's masterSecret that is given to a name."""
    return set(re.findall(r"(?i)master_?secret\w*[\"']?\s*[:=]\s*[\"']?([0-9a-f]{24})\b", text))


def processes(service: Service) -> set[int]:
    assert service.process is not None
    return {service.process.pid} | service.workers()


@SERVERS
def test_no_core_file(service: Service, server: str) -> None:
    """No process may leave one, whatever its shell allowed: all secrets would be in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        service.start("--server", server, "--workers", "2")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    service.wait_for_workers(2)
    for pid in processes(service):
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    victim = min(service.workers())
    os.kill(victim, signal.SIGABRT)
    wait_until(lambda: victim not in service.workers(), what=service.log)
    assert list(service.folder.glob("core*")) == []


@SERVERS
def test_no_secret_in_proc(service: Service, server: str) -> None:
    """With secrets in files neither the environment nor the command line of any process shows one."""
    service.start("--server", server, "--workers", "2")
    service.wait_for_workers(2)
    assert service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming")).status == 200
    for pid in processes(service):
        for name in ("environ", "cmdline", "comm", "maps", "status"):
            assert not canaries.is_shown_in(Path(f"/proc/{pid}/{name}").read_text(errors="replace")), name
    # Others of the same user could read the memory, and the environment where secrets are in it.
    assert {Path(f"/proc/{pid}/mem").stat().st_mode & 0o077 for pid in processes(service)} == {0}


def with_secrets_in_variables(service: Service) -> None:
    """Give the service its secrets as variables, not as files."""
    for name in [name for name in service.variables if name.endswith("_FILE")]:
        service.variables[name.removesuffix("_FILE")] = Path(service.variables.pop(name)).read_text().strip()
    assert canaries.is_shown_in(str(service.variables))


def holds_no_secret(service: Service) -> None:
    """A worker's environment and what it hands each request have none of authsvc's variables, and the others."""
    shown = service.ask("GET", "/environment").json()
    assert "PATH" in shown["os.environ"]  # type: ignore[operator] # it is a dict, or this fails
    assert "PATH_INFO" in shown["request"]  # type: ignore[operator] # the same
    assert "AUTHSVC_" not in json.dumps(shown)


@SERVERS
def test_no_secret_in_a_workers_environment(service: Service, server: str) -> None:
    """What was read is taken out of it, and is there when a worker is replaced, or a file changes."""
    with_secrets_in_variables(service)
    service.variables["AUTHSVC_SESSION_KEY_FILE"] = str(service.secret_file("session-key", "made-up" * 6))
    service.command = (sys.executable, "-m", "tests.support.environment_shown", "serve")
    service.start("--server", server, "--workers", "1")
    holds_no_secret(service)
    (worker,) = service.wait_for_workers(1)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in service.workers() and service.is_alive(), what=service.log)
    holds_no_secret(service)
    service.secret_file("session-key", "made-up" * 7)
    service.signal(signal.SIGHUP)
    wait_until(lambda: "changed settings are in use" in service.log(), what=service.log)
    assert service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming")).status == 200


def test_no_secret_in_a_plain_gunicorns_workers(service: Service) -> None:
    """Started by the settings that we ship. Its SIGHUP makes new workers, which have their secrets too."""
    with_secrets_in_variables(service)
    app = "tests.support.environment_shown:create()"
    service.command = (
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        str(ROOT / "deploy" / "gunicorn.conf.py"),
        "-w",
        "1",
        app,
    )
    service.start()
    holds_no_secret(service)
    workers = service.workers()
    service.signal(signal.SIGHUP)
    wait_until(lambda: service.workers().isdisjoint(workers) and service.is_alive(), what=service.log)
    holds_no_secret(service)
    assert service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming")).status == 200


def test_no_secret_in_any_commit() -> None:
    """No line that was ever added gives a masterSecret that is not plainly made up, or holds a private key."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no repository here")
    command = ["git", "log", "--no-color", "--patch", "--unified=0", "-G", "secret|private key", "-i"]
    history = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode(errors="replace")
    added = "\n".join(line[1:] for line in history.splitlines() if line.startswith("+"))
    assert len(added) > 10_000, "there is a history"
    assert given(added) - {text for text in given(added) if MADE_UP.search(text)} == set()
    assert re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}", added) == []


def test_a_secret_in_a_commit_would_be_seen() -> None:
    """The test above can fail."""
    random = hashlib.md5(b"x", usedforsecurity=False).hexdigest()[:24]
    for line in (f"master_secret = '{random}'", f"AUTHSVC_MASTER_SECRET={random}", f'"master_secret": "{random}"'):
        assert given(line) == {random}
        assert not MADE_UP.search(random)
