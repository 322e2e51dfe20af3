"""The sandbox as its user starts it: `authsvc sandbox`, a process of its own."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from authsvc.bind import Bind
from authsvc.cli import main
from authsvc.errors import SettingsError
from authsvc.sandbox import server
from tests.conftest import Seen, bearer_of
from tests.support import made_up
from tests.support.running import PATIENCE_S, Service, clean_environment, free_port, wait_until

VARIABLES = {
    "AUTHSVC_APPKEY": made_up.APPKEY,
    "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
    "AUTHSVC_VERIFIER_KEYS": made_up.VERIFIER_KEY,
}


@pytest.fixture
def sandbox(tmp_path: Path, service: Service, seen: Seen) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The sandbox, running beside where the service will be, and its URL."""
    url = f"127.0.0.1:{free_port()}"
    log = tmp_path / "sandbox.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "authsvc",
                "sandbox",
                "--bind",
                url,
                "--service",
                f"http://127.0.0.1:{service.port}/",
                "--state",
                str(tmp_path / "state"),
            ],
            env=clean_environment() | VARIABLES | {"PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
        )
    wait_until(lambda: f"The sandbox is at http://{url}/" in log.read_text(), what=log.read_text)
    yield f"http://{url}", process
    if process.poll() is None:
        process.terminate()
    process.wait(PATIENCE_S)
    seen.texts.append(log.read_text())
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_asked(sandbox: tuple[str, subprocess.Popen[bytes]], number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it at once, an open connection or not."""
    url, process = sandbox
    assert requests.get(f"{url}/socket.io/?EIO=3&transport=polling", timeout=PATIENCE_S).status_code == 200
    process.send_signal(number)
    assert process.wait(20) == 0


def test_told_again_and_again(sandbox: tuple[str, subprocess.Popen[bytes]]) -> None:
    """Signals that come while it stops already change nothing, but at the very end; a traceback is never seen."""
    _, process = sandbox
    for number in itertools.islice(itertools.cycle([signal.SIGINT, signal.SIGTERM]), 5_000):
        if process.poll() is not None:
            break
        process.send_signal(number)
        time.sleep(0.0005)
    assert process.wait(PATIENCE_S) in {0, -signal.SIGINT, -signal.SIGTERM}


def test_the_start_line(sandbox: tuple[str, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """It names all that a page needs, so that no picture goes to the vendor's real host; the state is kept."""
    url, process = sandbox
    options = {"address": url.replace("http", "ws"), "upload_file": f"{url}/resource"}
    log = (tmp_path / "sandbox.log").read_text()
    found = re.search(r"new JMessage\((.+)\)", log)
    assert found is not None
    assert json.loads(found[1]) == options
    found = re.search("AUTHSVC_VENDOR_URL=(.+) AUTHSVC_MEDIA_HOSTS=(.+) AUTHSVC_SDK_OPTIONS='(.+)'", log)
    assert found is not None
    assert (found[1], found[2], json.loads(found[3])) == (url, "127.0.0.1", options)
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "state" / "state.json").exists()


def test_help() -> None:
    """The example sends uploads to the sandbox too."""
    told = CliRunner().invoke(main, ["sandbox", "--help"]).output
    assert (
        """AUTHSVC_SDK_OPTIONS='{"address": "ws://127.0.0.1:8100", "upload_file": "http://127.0.0.1:8100/resource"}'"""
        in told
    )
    assert "--state" in told


def test_with_the_service(sandbox: tuple[str, subprocess.Popen[bytes]], service: Service) -> None:
    """With the service pointed at it a page boots, with an account and a picture, and no vendor far and wide."""
    url, _ = sandbox
    service.variables["AUTHSVC_VENDOR_URL"] = url
    service.variables["AUTHSVC_MEDIA_HOSTS"] = "127.0.0.1"
    service.variables["AUTHSVC_ACCOUNT_KEY_FILE"] = str(service.secret_file("account-key", made_up.ACCOUNT_KEY))
    service.start("--workers", "1")
    booted = service.ask("POST", "/v1/bootstrap", headers=bearer_of("ming"))
    assert booted.status == 200, booted.body
    login = booted.json()["login"]
    assert isinstance(login, dict)
    assert login["username"] == "ming"
    told = service.ask("GET", "/v1/resource?media_id=qiniu/image/r/0A1B2C3D4E5F6071.png", headers=bearer_of("ming"))
    assert requests.get(str(told.json()["url"]), timeout=PATIENCE_S).content.startswith(b"\x89PNG")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])  # noqa: S104 -- refused
def test_only_on_this_machine(host: str) -> None:
    """It protects nothing, so nobody else may reach it."""
    with pytest.raises(SettingsError, match="--bind: the sandbox protects nothing"):
        server.check_bind(Bind(host, 8100))


def test_where_somebody_listens(sandbox: tuple[str, subprocess.Popen[bytes]]) -> None:
    """A port that is taken is named."""
    port = int(sandbox[0].rpartition(":")[2])
    with pytest.raises(SettingsError, match=f"--bind: cannot listen on localhost:{port}"):
        server.check_bind(Bind("localhost", port))


def run(variables: dict[str, str]) -> tuple[int, str]:
    nothing_else = {name: None for name in os.environ if name.startswith("AUTHSVC_")}
    result = CliRunner(env={**nothing_else, **variables}).invoke(
        main, ["sandbox", "--bind", f"127.0.0.1:{free_port()}"]
    )
    return result.exit_code, result.stderr


def test_without_a_verifier_key() -> None:
    """It could not ask the service."""
    variables = {name: value for name, value in VARIABLES.items() if name != "AUTHSVC_VERIFIER_KEYS"}
    code, told = run(variables)
    assert code == 2
    assert told.startswith("authsvc: AUTHSVC_VERIFIER_KEYS: is required")


def test_the_environment_is_clean() -> None:
    """The suite's own settings are not those of what it starts."""
    assert not [name for name in os.environ if name in VARIABLES]
