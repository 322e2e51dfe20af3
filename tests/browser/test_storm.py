"""
Pages whose servers restart under them: they come back, none loops, and nobody sees a 5xx.

`PAGES` makes the long form: so many pages.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests import made_up
from tests.conftest import Seen, bearer_of
from tests.node import FOLDER, node
from tests.running import Service, clean_environment, free_port, is_listening, wait_until

PAGES = int(os.environ.get("PAGES", "250"))


@pytest.fixture
def start_sandbox(tmp_path: Path, service: Service, seen: Seen) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start the vendor's stand-in, each time at the same place."""
    log, port = tmp_path / "sandbox.log", free_port()
    variables = {
        "AUTHSVC_APPKEY": made_up.APPKEY,
        "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
        "AUTHSVC_VERIFIER_KEYS": made_up.VERIFIER_KEY,
    }
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        where = ("--bind", f"127.0.0.1:{port}", "--service", f"http://127.0.0.1:{service.port}")
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "authsvc", "sandbox", *where],
                env=clean_environment() | variables,
                stdout=file,
                stderr=file,
            )
        started.append(process)
        wait_until(lambda: is_listening(port), timeout_s=20, what=log.read_text)
        return process

    start.port = port  # type: ignore[attr-defined]
    yield start
    for process in started:
        process.terminate()
        process.wait(10)
    seen.texts.append(log.read_text())


def test_many_pages(service: Service, start_sandbox: Callable[[], subprocess.Popen[bytes]], seen: Seen) -> None:
    """When gateway and service restart at once, every page settles with a few requests, and none is answered 5xx."""
    sandbox = start_sandbox()
    service.start("--workers", "2")
    tokens = [bearer_of(f"user-{number}")["Authorization"].removeprefix("Bearer ") for number in range(PAGES)]
    variables = {
        "SANDBOX": f"http://127.0.0.1:{start_sandbox.port}",  # type: ignore[attr-defined]
        "SERVICE": f"http://127.0.0.1:{service.port}",
        "TOKENS": ",".join(tokens),
    }
    with subprocess.Popen(
        [node(), "storm.mjs"], cwd=FOLDER, env=clean_environment() | variables, stdin=-1, stdout=-1, text=True
    ) as pages:
        try:
            first = told(pages)
            assert first["ready"] == PAGES, first
            sandbox.terminate()
            service.stop()
            sandbox.wait(10)
            service.start("--workers", "2")
            start_sandbox()
            say(pages, "restarted")
            again = told(pages)
            say(pages, "end")
            seen.texts.append(str(again))
            assert again["ready"] == PAGES, again
            assert again["most"] <= 5, again
            assert not [status for status in again["statuses"] if status.startswith("5")], again
        finally:
            pages.terminate()


def told(pages: subprocess.Popen[str]) -> dict[str, Any]:
    """Return how it went, once all pages have settled."""
    return cast("dict[str, Any]", json.loads(cast("IO[str]", pages.stdout).readline()))


def say(pages: subprocess.Popen[str], word: str) -> None:
    stdin = cast("IO[str]", pages.stdin)
    stdin.write(f"{word}\n")
    stdin.flush()
