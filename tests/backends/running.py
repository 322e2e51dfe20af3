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
from email.message import Message
from pathlib import Path

from tests.support import made_up, needed, node
from tests.support.docs import ENGLISH, Block, Document
from tests.support.running import clean_environment, free_port, is_listening, wait_until

FOLDER = Path(__file__).parent
JARS = Path("/usr/share/java")
# Debian's Spring is in jars of this older name.
SPRING = [f"spring3-{name}" for name in ("aop", "beans", "context", "core", "expression", "web", "web.servlet")]
JETTY = [f"jetty9-{name}" for name in ("http", "io", "security", "server", "servlet", "util")]
SECRETS = {"flask-secret-key": made_up.SESSION_KEY, "jwt-key": made_up.JWT_KEY}

# What runs an app, by its port, its folder, and the code of its page.
Command = Callable[[int, Path, str], list[str]]


def _python(script: str, *arguments: str) -> Command:
    return lambda port, folder, _: [sys.executable, str(FOLDER / script), str(port), str(folder), *arguments]


def _express(port: int, _folder: Path, _code: str) -> list[str]:
    return [node.node(), str(FOLDER / "express.cjs"), str(port)]


def _nest(port: int, folder: Path, code: str) -> list[str]:
    decorators = '--tsconfig-raw={"compilerOptions":{"experimentalDecorators":true}}'
    text = (FOLDER / "nest.ts").read_text().replace("// the page's code", code)
    (folder / "app.mjs").write_text(node.run_node("esbuild", "--loader=ts", "--format=esm", decorators, text=text))
    (folder / "node_modules").symlink_to(node.MODULES)
    return [node.node(), str(folder / "app.mjs"), str(port)]


def _php(script: str) -> Command:
    def command(port: int, folder: Path, code: str) -> list[str]:
        (folder / "code").write_text(f"<?php\n{code}")
        settings = ["-d", f"session.save_path={folder}", "-d", "include_path=/usr/share/php"]
        return [needed.program("php"), *settings, "-S", f"127.0.0.1:{port}", str(FOLDER / script)]

    return command


def _laravel(port: int, folder: Path, code: str) -> list[str]:
    needed.file(Path("/usr/share/php/Illuminate"), "php-laravel-framework")
    return _php("laravel.php")(port, folder, code)


def _go(port: int, folder: Path, code: str) -> list[str]:
    go, built = needed.program("go"), folder / "app"
    (folder / "check.go").write_text(f'package main\n\nimport "net/http"\n\n{code}')
    (folder / "app.go").write_text((FOLDER / "app.go").read_text())
    subprocess.run([go, "build", "-o", str(built), "app.go", "check.go"], cwd=folder, check=True, timeout=300)
    return [str(built), str(port)]


def _spring(port: int, folder: Path, code: str) -> list[str]:
    path = [JARS / f"{name}.jar" for name in (*SPRING, *JETTY, "commons-logging", "servlet-api")]
    for jar in path:
        needed.file(jar, "libspring-web-servlet-java and libjetty9-java")
    (folder / "Spring.java").write_text((FOLDER / "Spring.java").read_text() + code)
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    return [needed.program("java"), *quick, "-cp", ":".join(map(str, path)), str(folder / "Spring.java"), str(port)]


def is_settings(block: Block) -> bool:
    return block.language == "sh" and "export " in block.text


@dataclass(frozen=True, slots=True)
class App:
    """What runs it, and where in docs/backends/ its code is: the page, the language, and a word of the block."""

    command: Command
    page: str
    language: str
    word: str

    def document(self) -> Document:
        return ENGLISH.page(f"backends/{self.page}")

    def code(self, folder: Path) -> str:
        """Return the page's code, its secrets in this folder."""
        (block,) = self.document().find(self.language, self.word)
        return block.text.replace("/etc/secrets", str(folder))

    def settings(self, folder: Path) -> dict[str, str]:
        """Return what the page has one set here: the first block of settings after its code."""
        document = self.document()
        (block,) = document.find(self.language, self.word)
        following = document.blocks[document.blocks.index(block) :]
        return next(block for block in following if is_settings(block)).exports(folder)


_DJANGO = "django.contrib.sessions.backends."
ASKED: dict[str, App] = {
    "flask-session": App(_python("flask_app.py"), "flask", "python", "/auth/check"),
    "django-signed-cookies": App(
        _python("django_app.py", f"{_DJANGO}signed_cookies"), "django", "python", "auth_check"
    ),
    "django-files": App(_python("django_app.py", f"{_DJANGO}file"), "django", "python", "auth_check"),
    "fastapi": App(_python("fastapi_app.py"), "fastapi", "python", "/auth/check"),
    "express-session": App(_express, "express", "js", "/auth/check"),
    "nest": App(_nest, "express", "ts", "auth/check"),
    "php": App(_php("session.php"), "laravel", "php", "session_start"),
    "laravel": App(_laravel, "laravel", "php", "Route::get"),
    "go": App(_go, "go", "go", "authCheck"),
    "spring": App(_spring, "spring", "java", "/auth/check"),
    "introspection": App(_python("introspection.py"), "flask", "python", "/auth/check"),
}
READ: dict[str, App] = {
    "flask": App(_python("whole_app.py", "flask"), "flask", "python", "SECRET_KEY_FALLBACKS"),
    "fastapi-jwt": App(_python("whole_app.py", "fastapi"), "fastapi", "python", "jwt.encode"),
}


@dataclass(slots=True)
class Backend:
    """One of them, running."""

    process: subprocess.Popen[bytes]
    port: int
    settings: Mapping[str, str]  # of authsvc beside it

    def is_up(self) -> bool:
        """Return whether it answers; fail once it has ended. The first answer may take longer than authsvc waits."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"
        return is_listening(self.port) and self._send("GET", "/auth/check")[0] < 500

    def log_in(self, user_id: str) -> dict[str, str]:
        """Log the user in; return the headers of his requests from then on."""
        status, headers, content = self._send("POST", f"/login?user={user_id}")
        assert status in {200, 204}, content
        if content:
            return {"Authorization": f"Bearer {json.loads(content)['access_token']}"}
        return {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    def ban(self, user_id: str) -> None:
        """End what the user was given."""
        assert self._send("POST", f"/ban?user={user_id}")[0] == 204

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(60)

    def _send(self, method: str, path: str) -> tuple[int, Message, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={"Content-Length": "0"})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


@contextmanager
def running(name: str, folder: Path) -> Iterator[Backend]:
    """Run one of `ASKED` or `READ`, with its files in this folder."""
    port, log, app = free_port(), folder / "log", (ASKED | READ)[name]
    for secret, text in SECRETS.items():
        (folder / secret).write_text(f"{text}\n")
    code = app.code(folder)
    (folder / "code").write_text(code)
    command = app.command(port, folder, code)
    variables = {
        "CODE": str(folder / "code"),
        "NODE_PATH": str(node.MODULES),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with log.open("w") as out:
        process = subprocess.Popen(command, env=clean_environment() | variables, stdout=out, stderr=out)
    settings = {name: value.replace(":5000", f":{port}") for name, value in app.settings(folder).items()}
    backend = Backend(process, port, settings)
    try:
        wait_until(backend.is_up, what=log.read_text)
        yield backend
    finally:
        backend.kill()
