"""Tests of deploy/gunicorn.conf.py: `authsvc serve` and plain gunicorn both serve by it."""

import http.client
import runpy
import signal
import ssl
import subprocess
import sys
import time

import pytest

from authsvc.vendor.client import TOTAL_S
from tests.conftest import bearer_of
from tests.support import made_up
from tests.support.certificates import make_certificates
from tests.support.docs import ROOT
from tests.support.running import Service, clean_environment, is_listening, wait_until

CONF = ROOT / "deploy" / "gunicorn.conf.py"
ISSUE = "/v1/auth-payload"


def test_the_times_fit_together() -> None:
    """gunicorn keeps connections longer than nginx does, and lets the slowest answer end before it ends itself."""
    conf = runpy.run_path(str(CONF))
    assert conf["keepalive"] > 60
    assert TOTAL_S + 1 < conf["graceful_timeout"] < conf["timeout"]


@pytest.fixture
def plain(service: Service) -> Service:
    """The service on plain gunicorn. Running."""
    launch(service)
    wait_until(service.is_alive, what=service.log)
    return service


def launch(service: Service, *arguments: str) -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", str(CONF), "-b", f"127.0.0.1:{service.port}", *arguments]
    with (service.folder / "service.log").open("ab") as log:
        service.process = subprocess.Popen(
            [*command, "authsvc.app:create_app()"],
            env=clean_environment() | service.variables,
            stdout=log,
            stderr=log,
        )


def test_plain_gunicorn(plain: Service) -> None:
    """It serves, refuses an underscore twin, makes new workers on SIGHUP, and ends well on SIGTERM."""
    assert plain.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    gateway = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "ming"}
    assert plain.ask("POST", ISSUE, headers=gateway).status == 200
    assert plain.ask("POST", ISSUE, headers=gateway | {"X_Forwarded_User": "eve"}).status == 400
    before = plain.workers()
    plain.signal(signal.SIGHUP)
    wait_until(lambda: not plain.workers() & before, what=plain.log)
    assert plain.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    assert plain.stop() == 0
    assert "Traceback" not in plain.log()


def test_plain_gunicorn_with_tls(service: Service) -> None:
    """It serves on connections that it decrypts itself, one request after the other and with bodies that take time."""
    made = make_certificates(service.folder)
    launch(service, "--certfile", str(made.certificate), "--keyfile", str(made.key))
    wait_until(lambda: is_listening(service.port), what=service.log)
    context = ssl.create_default_context(cafile=made.authority)
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=60, context=context)
    for _ in range(3):
        connection.putrequest("POST", ISSUE)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "2")
        connection.putheader("Authorization", bearer_of("ming")["Authorization"])
        connection.endheaders()
        for piece in (b"{", b"}"):
            time.sleep(0.05)
            connection.send(piece)
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:9]) == (200, b'{"appkey"')
    connection.close()
    assert service.stop() == 0
    assert "Traceback" not in service.log()
