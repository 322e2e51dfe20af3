"""Tests of deploy/gunicorn.conf.py: `authsvc serve` and plain gunicorn both serve by it."""

import runpy
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from authsvc.arbiter import Worker
from authsvc.vendor import TOTAL_S
from tests import made_up
from tests.conftest import bearer_of
from tests.readme import ROOT
from tests.running import Service, clean_environment, wait_until

CONF = ROOT / "deploy" / "gunicorn.conf.py"
ISSUE = "/v1/auth-payload"


def test_the_times_fit_together() -> None:
    """gunicorn keeps connections longer than nginx does, and lets the slowest answer end before it ends itself."""
    conf = runpy.run_path(str(CONF))
    assert conf["keepalive"] > 60
    assert TOTAL_S + 1 < conf["graceful_timeout"] < conf["timeout"]


def test_a_worker_looks_its_settings_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later they are plain attributes, with what they were before."""
    cfg = Config()
    worker = Worker(1, 0, [], SimpleNamespace(wsgi=lambda: None), 30, cfg, Logger(cfg))
    before = {name: getattr(cfg, name) for name in cfg.settings}
    worker.load_wsgi()
    worker.tmp.close()
    monkeypatch.delattr(Config, "__getattr__")
    assert {name: getattr(cfg, name) for name in cfg.settings} == before


@pytest.fixture
def plain(service: Service) -> Service:
    """The service on plain gunicorn. Running."""
    with (service.folder / "service.log").open("ab") as log:
        service.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "-c",
                str(CONF),
                "-b",
                f"127.0.0.1:{service.port}",
                "authsvc.app:create_app()",
            ],
            env=clean_environment() | service.variables,
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: is_alive(service), timeout_s=20, what=service.log)
    return service


def is_alive(service: Service) -> bool:
    try:
        return service.ask("GET", "/healthz").status == 200
    except OSError:
        return False


def test_plain_gunicorn(plain: Service) -> None:
    """It serves, refuses an underscore twin, makes new workers on SIGHUP, and ends well on SIGTERM."""
    assert plain.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    gateway = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "ming"}
    assert plain.ask("POST", ISSUE, headers=gateway).status == 200
    assert plain.ask("POST", ISSUE, headers=gateway | {"X_Forwarded_User": "eve"}).status == 400
    before = plain.workers()
    plain.signal(signal.SIGHUP)
    wait_until(lambda: not plain.workers() & before, timeout_s=20, what=plain.log)
    assert plain.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    assert plain.stop() == 0
    assert "Traceback" not in plain.log()
