"""
The back ends as processes on loopback ports, and what a browser or a page of theirs sends.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import needed, node
from tests.support.docs import ENGLISH
from tests.support.running import clean_environment, free_port, is_listening, wait_until

FOLDER = Path(__file__).parent
Command = Callable[[int, Path], list[str]]


def _python(script: str, *arguments: str) -> Command:
    return lambda port, folder: [sys.executable, str(FOLDER / script), str(port), str(folder), *arguments]


def _php(port: int, folder: Path) -> list[str]:
    (block,) = ENGLISH.page("login").find("php", "session_start")
    (folder / "check.php").write_text(block.text)
    settings = ["-d", f"session.save_path={folder}"]
    return [needed.program("php"), *settings, "-S", f"127.0.0.1:{port}", str(FOLDER / "session.php")]


def _express(port: int, folder: Path) -> list[str]:
    (block,) = ENGLISH.page("login").find("js", 'app.get("/auth/check"')
    (folder / "check.js").write_text(block.text)
    return [node.node(), str(FOLDER / "express.cjs"), str(port)]


_DJANGO = "django.contrib.sessions.backends."
COMMANDS: Mapping[str, Command] = {
    "flask-session": _python("flask_app.py"),
    "django-signed-cookies": _python("django_app.py", f"{_DJANGO}signed_cookies"),
    "django-files": _python("django_app.py", f"{_DJANGO}file"),
    "express-session": _express,
    "php": _php,
    "introspection": _python("introspection.py"),
}


@dataclass(slots=True)
class Backend:
    """One of them, running."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/auth/check"

    def log_in(self, user_id: str) -> dict[str, str]:
        """Log the user in; return the headers of his requests from then on."""
        status, headers, content = self._post(f"/login?user={user_id}")
        assert status in {200, 204}, content
        if content:
            return {"Authorization": f"Bearer {json.loads(content)['access_token']}"}
        return {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    def ban(self, user_id: str) -> None:
        """End what the user was given."""
        assert self._post(f"/ban?user={user_id}")[0] == 204

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)

    def _post(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path, headers={"Content-Length": "0"})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


@contextmanager
def running(name: str, folder: Path) -> Iterator[Backend]:
    """Run one of `COMMANDS`, with its files in this folder."""
    port, log = free_port(), folder / "log"
    command = COMMANDS[name](port, folder)
    variables = {
        "AUTH_CHECK": str(folder / ("check.php" if name == "php" else "check.js")),
        "NODE_PATH": str(node.MODULES),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with log.open("w") as out:
        process = subprocess.Popen(command, env=clean_environment() | variables, stdout=out, stderr=out)
    backend = Backend(process, port)
    try:
        wait_until(lambda: is_listening(port), timeout_s=20, what=log.read_text)
        yield backend
    finally:
        backend.kill()
