"""An app that is built before its process forks: under `gunicorn --preload`, and in a process that forks by itself."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from authsvc.payloads import signature
from authsvc.web.forks import PerProcess
from tests.conftest import bearer_of
from tests.support import made_up
from tests.support.running import Service, clean_environment, wait_until

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ISSUE = "/v1/auth-payload"


@pytest.fixture
def preloaded(service: Service) -> Service:
    """The service on gunicorn as it comes, which builds it before it forks its two workers. Running."""
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{service.port}"]
    with (service.folder / "service.log").open("ab") as log:
        service.process = subprocess.Popen(
            [*command, "--threads", "4", "authsvc.app:create_app()"],
            env=clean_environment() | service.variables,
            stdout=log,
            stderr=log,
        )
    wait_until(service.is_alive, what=service.log)
    return service


def signed_by(service: Service) -> str:
    """Return whose masterSecret a payload is signed by that the service issues now."""
    issued = service.ask("POST", ISSUE, headers=bearer_of("ming")).json()
    return next(secret for secret in (made_up.MASTER_SECRET, made_up.OTHER_MASTER_SECRET) if is_by(issued, secret))


def is_by(issued: dict[str, object], secret: str) -> bool:
    fields = {name: str(issued[name]) for name in ("appkey", "random_str")}
    return issued["signature"] == signature.sign(
        **fields, timestamp_ms=int(str(issued["timestamp"])), master_secret=secret
    )


def test_preloaded(preloaded: Service) -> None:
    """Workers log what they answer and see a new secret, those made later too; a claim of one is known to all."""
    payload = preloaded.ask("POST", ISSUE, headers=bearer_of("ming")).json()
    wait_until(lambda: '"event":"issued"' in preloaded.log(), what=preloaded.log)
    verifier = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
    asked = [preloaded.ask("POST", f"{ISSUE}/verify", headers=verifier, body=payload).status for _ in range(6)]
    assert asked == [200] + [409] * 5
    preloaded.secret_file("master-secret", made_up.OTHER_MASTER_SECRET)
    wait_until(
        lambda: all(signed_by(preloaded) == made_up.OTHER_MASTER_SECRET for _ in range(6)),
        what=preloaded.log,
    )
    killed = preloaded.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(preloaded.workers() - killed) == 2, what=preloaded.log)
    lines = preloaded.log().count('"event":"issued"')
    assert preloaded.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    wait_until(lambda: preloaded.log().count('"event":"issued"') > lines, what=preloaded.log)
    assert preloaded.stop() == 0
    assert "Traceback" not in preloaded.log()


def saying(text: str) -> "WSGIApplication":
    def app(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [text.encode()]

    return app


def said_by(app: "WSGIApplication") -> str:
    pieces, _, _ = run_wsgi_app(app, create_environ())
    return b"".join(pieces).decode()


def in_child(told: Callable[[], str], *, fork: Callable[[], int] = os.fork) -> str:
    """Return what the function returns in a process that is forked from this one."""
    reading, writing = os.pipe()
    pid = fork()
    if pid == 0:
        os.write(writing, told().encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading) as pipe:  # noqa: PTH123 -- a descriptor
        return pipe.read()


def test_a_child_builds_its_own() -> None:
    """With its first request, and with the next one if that fails; the parent keeps the one that it had."""
    built: list[str] = []

    def build() -> "WSGIApplication":
        built.append("once")
        if len(built) == 1:
            raise OSError("made up")
        return saying(f"built {len(built)} times")

    app = PerProcess(saying("the parent's"), build)

    def asked() -> str:
        with pytest.raises(OSError, match="made up"):
            said_by(app)
        return f"{said_by(app)}, {said_by(app)}"

    assert in_child(asked) == "built 2 times, built 2 times"
    assert said_by(app) == "the parent's"
    assert built == []


def test_requests_that_come_at_once_wait_for_it() -> None:
    """It is built once, by whichever thread is first."""
    is_awaited = threading.Event()
    built: list[str] = []

    def build() -> "WSGIApplication":
        built.append("once")
        assert is_awaited.wait(60)
        return saying(f"built {len(built)} times")

    app = PerProcess(saying("the parent's"), build)

    def waiting() -> int:
        return sum(frame.f_code.co_name == "_build_own" for frame in sys._current_frames().values())

    def asked() -> str:
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(said_by, app) for _ in range(2)]
            wait_until(lambda: waiting() == 1 and bool(built))  # the other is in `build`
            is_awaited.set()
            return ", ".join(answer.result() for answer in answers)

    assert in_child(asked) == "built 1 times, built 1 times"


def test_middleware_stays() -> None:
    """What was put around the app before the fork is there after it."""
    inner = PerProcess(saying("the parent's"), lambda: saying("the child's"))

    def around(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return [b"around ", *inner(environ, start_response)]

    assert in_child(lambda: said_by(around)) == "around the child's"


def test_what_nobody_has_any_more_is_not_built() -> None:
    """An app that has gone before the fork leaves nothing behind that a child would stumble over."""
    app = PerProcess(saying("gone"), lambda: saying("never"))
    del app
    assert in_child(lambda: "well") == "well"


def test_a_fork_past_pythons_hooks_is_refused() -> None:
    """As uWSGI forks: nobody has closed the store's file before, and who should do something learns what."""
    app = PerProcess(saying("the parent's"), lambda: saying("the child's"))

    def refused() -> str:
        with pytest.raises(RuntimeError, match="lazy-apps = true"):
            said_by(app)
        return "refused"

    assert in_child(refused, fork=ctypes.PyDLL(None).fork) == "refused"
    assert in_child(lambda: said_by(app)) == "the child's"
