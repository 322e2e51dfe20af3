"""
The fixtures of the whole suite, and the guard that no secret shows up in anything that a test makes visible.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from werkzeug.test import TestResponse

from authsvc.app import create_app
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.support import canaries, made_up, patience
from tests.support.running import Service
from tests.support.services import redis_server

__all__ = ["redis_server"]

_set_trace = sys.settrace


def _set_trace_again(function: Any) -> None:
    """
    Trace as `sys.settrace`, which fails while another thread is in it (CPython 3.11).

    Coverage's hook is installed so in each new thread; one whose hook failed would end before it has begun.
    """
    while True:
        try:
            return _set_trace(function)
        except RuntimeError:
            time.sleep(0.0001)


sys.settrace = _set_trace_again

# What the suite itself is told must not reach the processes that it starts: authsvc refuses names it does not know.
for name in [name for name in os.environ if name.startswith("AUTHSVC_") and not name.startswith("AUTHSVC_REQUIRE_")]:
    del os.environ[name]

# `FUZZ_CASES` makes the long form of every property: so many cases, from a random seed. Else they are always the same.
hypothesis_settings.register_profile(
    "authsvc",
    max_examples=int(os.environ.get("FUZZ_CASES", "100")),
    derandomize="FUZZ_CASES" not in os.environ,
    deadline=None,  # other processes take what time they like
    suppress_health_check=[HealthCheck.too_slow],  # the same, while a case is drawn
    database=None,
)
hypothesis_settings.load_profile("authsvc")

LONG_FORMS = {
    "DUTIES_S",
    "FUZZ_CASES",
    "KILLS",
    "LOAD_S",
    "MODEL_STEPS",
    "PAGES",
    "RAW_CASES",
    "SIEGE_S",
    "SOAK_PAYLOADS",
}
SHOWN_EVERY_S = 10.0


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(scope="session", autouse=True)
def long_timeouts() -> Iterator[None]:
    """Wait long for stand-ins of other services."""
    with pytest.MonkeyPatch.context() as patch:
        patience.with_other_services(patch.setattr)
        yield


class Seen(logging.Handler):
    """Everything that a test made visible: log records with their tracebacks, answers, output of processes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def leaks(self) -> list[str]:
        return [text for text in self.texts if canaries.is_shown_in(text)]


@pytest.fixture(autouse=True)
def seen() -> Iterator[Seen]:
    """Fail any test that lets a canary secret into a log line, a traceback, an answer or a process's output."""
    seen = Seen()
    seen.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(seen)
    root.setLevel(logging.DEBUG)
    yield seen
    root.setLevel(level)
    root.removeHandler(seen)
    assert seen.leaks() == []


@pytest.fixture(autouse=True)
def patient_stores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have stores wait for a machine that stands still, in all tests but those that use `own_limits`."""
    with pytest.MonkeyPatch.context() as patch:
        if "own_limits" not in request.fixturenames:
            patience.with_stores(patch.setattr)
        yield


@pytest.fixture
def own_limits() -> None:
    """The stores of this test wait no longer than the service's do: to find one unavailable is what it is about."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail any test that starts a process with a canary secret among its arguments, or whose processes do."""
    canaries.STARTED.clear()
    yield
    assert not any(map(canaries.is_shown_in, canaries.STARTED)), f"{item.name}: a secret among a process's arguments"
    if not canaries.STARTED and not has_children():
        return  # to look through all processes takes longer than most tests
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = arguments.read_text(errors="replace")
        except OSError:
            continue
        assert not canaries.is_shown_in(text), f"{item.name}: a secret in {arguments}"


def has_children() -> bool:
    """Return whether any process that this one has started lives; those of a fixture may outlive many tests."""
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            if children.read_text():
                return True
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail any test that prints a canary secret."""
    report = yield
    if any(canaries.is_shown_in(text) for _, text in report.sections):
        report.outcome = "failed"
        report.longrepr = "a secret was printed"
        report.sections.clear()
    return report


class GuardedClient(FlaskClient):
    """Flask's test client, with every answer put before the guard."""

    seen: Seen

    def open(self, *args: object, **kwargs: object) -> TestResponse:
        response = super().open(*args, **kwargs)  # type: ignore[arg-type] # whatever it takes
        self.seen.texts.append(f"{response.headers}\n{response.get_data(as_text=True)}")
        return response


@pytest.fixture
def clock() -> Clock:
    """The app's clock: now, and standing still."""
    return Clock(time.time_ns() // 1_000_000)


@pytest.fixture
def progress(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show on the terminal how far the long form of a test is, now and then; its short form has no need of it."""
    shown_s = time.monotonic()

    def show(how_far: str) -> None:
        nonlocal shown_s
        if LONG_FORMS.isdisjoint(os.environ) or time.monotonic() - shown_s < SHOWN_EVERY_S:
            return
        shown_s = time.monotonic()
        with capsys.disabled():
            # pytest-xdist shows what its workers write here, and nothing else of them.
            print(f"\n{request.node.name}: {how_far}", end="", file=sys.stderr, flush=True)  # noqa: T201 -- is meant

    return show


BOTH_WAYS = {"test_answers", "test_app", "test_bootstrap", "test_views"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the API twice: by the direct door where it applies, and all by Flask's."""
    if "settings" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("settings", ["direct", "flask"], indirect=True)


@contextmanager
def direct_door_closed() -> Iterator[None]:
    """Have each app that is made meanwhile answer everything by Flask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("authsvc.app.Direct", lambda flask, *_, **__: flask)
        yield


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """One app, JWT and session cookie and gateway as ways to log in, one verifier."""
    with direct_door_closed() if getattr(request, "param", "direct") == "flask" else nullcontext():
        yield Settings(
            appkey=made_up.APPKEY,
            master_secret=Secret(made_up.MASTER_SECRET),
            jwt_key=Secret(made_up.JWT_KEY),
            jwt_algorithms=("HS256",),
            session_key=(Secret(made_up.SESSION_KEY),),
            gateway_secret=(Secret(made_up.GATEWAY_SECRET),),
            verifier_keys=(Secret(made_up.VERIFIER_KEY),),
            allowed_origins=frozenset({"https://app.example"}),
            signature_route=True,
            vendor_url="http://127.0.0.1:9",  # nobody listens there
        )


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A SQLite store, born ten seconds ago."""
    store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=clock)
    clock.now_ms -= 10_000
    store.ping()
    clock.now_ms += 10_000
    yield store
    store.close()


@pytest.fixture
def app(settings: Settings, store: Store, clock: Clock, seen: Seen) -> Iterator[Flask]:
    """The service, in this process."""
    app = create_app(settings, store=store, now_ms=clock)
    app.test_client_class = type("Client", (GuardedClient,), {"seen": seen})
    yield app
    app.extensions["authsvc"].stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of it that is nobody yet."""
    return app.test_client()


@pytest.fixture
def bearer() -> dict[str, str]:
    """The Authorization header of a logged-in user."""
    return bearer_of("ming")


def bearer_of(user_id: str, **claims: object) -> dict[str, str]:
    """Return the Authorization header of a user who is logged in for an hour."""
    payload = {"sub": user_id, "exp": int(time.time()) + 3600} | claims
    token = jwt.encode(payload, made_up.JWT_KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def verifier() -> dict[str, str]:
    """The Authorization header of a verifier."""
    return {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}


@pytest.fixture
def service(tmp_path: Path, seen: Seen) -> Iterator[Service]:
    """The service as its user starts it: `authsvc serve`, real processes on a loopback port. Not started yet."""
    service = Service(tmp_path)
    yield service
    service.stop()
    seen.texts.append(service.log())
