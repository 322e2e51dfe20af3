"""
Pages whose servers restart under them: they come back, none loops, and nobody sees a 5xx.

`PAGES` makes the long form: so many pages.
"""

import json
import os
import subprocess
from typing import IO, Any, cast

from tests.browser.sandboxes import SandboxProcess
from tests.conftest import Seen, bearer_of
from tests.support.node import FOLDER, node
from tests.support.running import Service, clean_environment

PAGES = int(os.environ.get("PAGES", "250"))


def test_many_pages(service: Service, sandbox: SandboxProcess, seen: Seen) -> None:
    """When gateway and service restart at once, every page settles with a few requests, and none is answered 5xx."""
    sandbox.start()
    service.start("--workers", "2")
    tokens = [bearer_of(f"user-{number}")["Authorization"].removeprefix("Bearer ") for number in range(PAGES)]
    variables = {
        "SANDBOX": sandbox.url,
        "SERVICE": f"http://127.0.0.1:{service.port}",
        "TOKENS": ",".join(tokens),
    }
    with subprocess.Popen(
        [node(), "storm.mjs"], cwd=FOLDER, env=clean_environment() | variables, stdin=-1, stdout=-1, text=True
    ) as pages:
        try:
            first = told(pages)
            assert first["ready"] == PAGES, first
            sandbox.stop()
            service.stop()
            service.start("--workers", "2")
            sandbox.start()
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
