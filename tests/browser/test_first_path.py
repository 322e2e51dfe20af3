"""The README's first path, word for word: from a clean folder to a page in a real browser that says it is connected."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.conftest import VENDOR_SDKS
from tests.conftest import Seen
from tests.support import made_up, needed
from tests.support.demo_process import PROGRAM
from tests.support.docs import CHINESE, ENGLISH, ROOT, Docs
from tests.support.running import PATIENCE_S, Service, clean_environment, free_port, is_listening, wait_until

STAND_IN = ROOT / "authsvc" / "static" / "sdk.js"
SDK = Path(VENDOR_SDKS[0]) if VENDOR_SDKS else STAND_IN
SECRETS = {
    "jmessage-master-secret": made_up.MASTER_SECRET,
    "flask-secret-key": made_up.SESSION_KEY,
    "account-key": made_up.ACCOUNT_KEY,
    "verifier-keys": made_up.VERIFIER_KEY,
}
# What the README's app calls `users`, and leaves to its reader.
USERS = """
import flask_login

class users:
    def get(user_id):
        user = flask_login.UserMixin()
        user.id = user_id
        return user

    def check(form):
        return users.get(form["name"])

"""


class FirstPath:
    """A folder with what the README has its reader write, and the processes that it has its reader start."""

    def __init__(self, folder: Path, docs: Docs, stack: ExitStack) -> None:
        self.folder, self.docs, self._stack = folder, docs, stack
        self.ports = {port: free_port() for port in ("8000", "8100", "5000", "8080")}
        self.gateway = self.ports["8080"]
        self.site = f"http://127.0.0.1:{self.gateway}"
        self._variables = clean_environment() | {
            "PATH": f"{self._write_the_program()}:{needed.PATH}",
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self._make_secrets()

    def _make_secrets(self) -> None:
        """Have the README's commands make the files; then write secrets into them that no log may have."""
        made = self.text("sh", "install -d").replace("sudo ", "")
        subprocess.run(["bash", "-euc", made], env=self._variables, check=True)
        secrets = self.folder / "secrets"
        assert {path.name for path in secrets.iterdir()} == SECRETS.keys() - {"verifier-keys"}
        assert all(path.stat().st_mode & 0o777 == 0o600 and path.stat().st_size > 20 for path in secrets.iterdir())
        for name, text in SECRETS.items():
            (secrets / name).write_text(f"{text}\n")

    def text(self, language: str, word: str) -> str:
        """Return the only block like this of the README or the sandbox's page, with ports and folders of here."""
        blocks = self.docs.readme.blocks + self.docs.page("sandbox").blocks
        (block,) = (block for block in blocks if block.language == language and word in block.text)
        text = re.sub("|".join(self.ports), lambda found: str(self.ports[found[0]]), block.text)
        return text.replace("/etc/secrets", str(self.folder / "secrets"))

    def _write_the_program(self) -> Path:
        """Write `authsvc` with the longer time-outs that it has in tests, and return its folder."""
        program = self.folder / "bin" / "authsvc"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
        program.chmod(0o755)
        return program.parent

    def write_the_app(self) -> None:
        static = self.folder / "static"
        static.mkdir()
        (static / "jmessage-sdk-web.min.js").write_bytes(SDK.read_bytes())
        (static / "chat.html").write_text(self.text("html", "/static/chat.js"))
        (static / "chat.js").write_text(self.text("js", "await connect(JIM, { login: true, onState })"))
        (self.folder / "app.py").write_text(USERS + self.text("python", "LoginManager"))

    def write_the_gateway(self) -> None:
        temporary = "".join(
            f"{name}_temp_path {self.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/nginx.log; events {{}}
            http {{ access_log off; {temporary} {self.text("nginx", "listen")} }}"""
        )

    def start_all(self) -> None:
        """Start what stands in the vendor's place, then the app, the service and the gateway."""
        start = self.text("sh", "authsvc check").replace(
            "python3 -m venv .venv && . .venv/bin/activate && pip install .", "set -eu"
        )
        terminal = self.text("sh", "authsvc sandbox")
        exports = "".join(f"{line}\n" for line in start.splitlines() if line.startswith("export "))
        bind = f"authsvc sandbox --bind 127.0.0.1:{self.ports['8100']}"
        sandbox = self._start("sandbox", ["bash", "-c", exports + terminal.replace("authsvc sandbox", bind)])
        app = self._start(
            "app", [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(self.ports["5000"])]
        )
        program = needed.program("nginx")
        command = [program, "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf", "-e", f"{self.folder}/nginx.log"]
        gateway = self._start("gateway", command)
        self._wait_for(sandbox, self.ports["8100"])  # `authsvc check` asks it
        # The second terminal, but for its last line, which is also that of the first recipe.
        given = self.text("sh", "AUTHSVC_SDK_OPTIONS").rpartition("authsvc serve")[0].replace("\\\n", "\n")
        given = "".join(f"export {line}\n" for line in given.splitlines() if line)
        service = self._start("service", ["bash", "-c", given + start])
        for process, port in ((app, self.ports["5000"]), (gateway, self.gateway), (service, self.ports["8000"])):
            self._wait_for(process, port)

    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self._variables, stdout=log, stderr=log, process_group=0
            )
        self._stack.callback(end, process)
        return process

    def _wait_for(self, process: subprocess.Popen[bytes], port: int) -> None:
        def is_up() -> bool:
            assert process.poll() is None, self.log()
            return is_listening(port)

        wait_until(is_up, what=self.log)


def end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # the second one ends the service's drain
        if process.poll() is None:
            os.killpg(process.pid, number)
    process.wait(PATIENCE_S)


@pytest.fixture(params=[ENGLISH, CHINESE], ids=lambda docs: docs.language)
def path(request: pytest.FixtureRequest, tmp_path: Path, seen: Seen) -> Iterator[FirstPath]:
    with ExitStack() as stack:
        path = FirstPath(tmp_path, request.param, stack)
        path.write_the_app()
        path.write_the_gateway()
        path.start_all()
        yield path
        seen.texts.append(path.log())


def test_the_first_path_ends_with_a_connected_page(path: FirstPath, page: Page) -> None:
    """A user logs in to the app, opens the page, and it says `ready`; nothing that it loads is missing."""
    failed: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            failed.append(f"{response.status} {response.url}")

    logged_in = page.request.post(f"{path.site}/login", form={"name": "7"}, max_redirects=0)
    assert logged_in.status == 302
    page.on("response", note)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # the browser asks for it by itself
    page.goto(f"{path.site}/static/chat.html")
    expect(page.locator("#state")).to_have_text("ready")
    assert failed == []
    door = Service(path.folder)
    door.port = path.gateway
    for open_to_all in ("/client.d.ts", "/openapi.yaml", "/problems/expired"):
        assert door.ask("GET", open_to_all).status == 200
    assert door.ask("GET", "/readyz").status == 404
