"""The log: what a line has in it, what never is, and that it costs and stops nobody."""

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from authsvc.app import create_app
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.telemetry import access_log
from authsvc.telemetry.access_log import Finished, RequestLog
from tests.conftest import Clock, bearer_of
from tests.processes.test_sockets import send
from tests.support import made_up
from tests.support.running import Service, wait_until

NOW_MS = 1_750_000_000_007
DONE = Finished(method="GET", route="/v1/resource", status=200, asked_ms=NOW_MS, took_s=0.0012345, request_id="r-1")
ISSUED = DONE._replace(
    method="POST",
    route="/v1/auth-payload",
    action="issued",
    appkey=made_up.APPKEY,
    user_id="ming@example",
    random_str="Hs6nL0dYc2XwVb81mKfQ",
)
Lines = list[dict[str, Any]]


@pytest.fixture
def written() -> list[bytes]:
    """What the log has written, a piece each."""
    return []


def log(written: list[bytes], **options: Any) -> RequestLog:
    return RequestLog(write=written.append, **options)


def write(log: RequestLog, done: Finished) -> None:
    log.write(log.lines(done))


def parsed(lines: bytes) -> Lines:
    return [json.loads(line) for line in lines.splitlines()]


def test_a_line_a_request(written: list[bytes]) -> None:
    """Time in UTC with milliseconds, route, status, how long it took, and the request's id."""
    write(log(written), DONE)
    assert parsed(written[0]) == [
        {
            "time": "2025-06-15T15:06:40.007Z",
            "level": "info",
            "event": "request",
            "method": "GET",
            "route": "/v1/resource",
            "status": 200,
            "took_ms": 1.234,
            "request_id": "r-1",
        }
    ]


def test_a_line_a_payload(written: list[bytes]) -> None:
    """A second line in the same write: the app, the user's hash, the beginning of the random_str."""
    write(log(written, users=access_log.hashed(b"key")), ISSUED._replace(trace_id="ab" * 16))
    request, audit = parsed(*written)
    user = audit.pop("user")
    assert len(user) == 16
    assert "ming" not in user
    assert request["trace_id"] == "ab" * 16
    assert audit == {
        "time": "2025-06-15T15:06:40.007Z",
        "level": "info",
        "event": "issued",
        "route": "/v1/auth-payload",
        "app": made_up.APPKEY,
        "random_str": "Hs6nL0dY",
        "request_id": "r-1",
        "trace_id": "ab" * 16,
    }


def test_a_refusal(written: list[bytes]) -> None:
    """Both lines have its code and name; of a payload that was never known, what is missing is null."""
    write(log(written), DONE._replace(status=401, code=882004, refusal="not-logged-in", action="issued"))
    for line in parsed(*written):
        assert (line["code"], line["refusal"]) == (882004, "not-logged-in")
    assert parsed(*written)[1]["event"] == "refused"
    assert [parsed(*written)[1][name] for name in ("app", "user", "random_str")] == [None] * 3


@pytest.mark.parametrize(
    ("level", "status", "is_logged"), [("INFO", 200, True), ("WARNING", 200, False), ("ERROR", 503, True)]
)
def test_levels(written: list[bytes], level: str, status: int, is_logged: bool) -> None:  # noqa: FBT001 -- a case's own
    """From WARNING on only failures of the service are logged."""
    write(log(written, level=level), DONE._replace(status=status))
    assert bool(b"".join(written)) == is_logged
    assert all(line["level"] == ("info" if status < 500 else "warning") for line in parsed(b"".join(written)))


@pytest.mark.parametrize("route", ["/healthz", "/readyz"])
def test_health_is_silent(written: list[bytes], route: str) -> None:
    """A probe every second leaves no line."""
    write(log(written), DONE._replace(route=route, status=503))
    assert written == [b""]


def test_for_people(written: list[bytes]) -> None:
    """The same, in words on a line."""
    write(log(written, form="console"), ISSUED)
    first, second = written[0].decode().splitlines()
    assert "request" in first
    assert "status=200" in first
    assert "issued" in second
    assert "user=ming@example" in second


def test_hashes_are_keyed() -> None:
    """One user has one hash under a key, another under another; nobody can try users out without the key."""
    assert access_log.hashed(b"a")("ming") == access_log.hashed(b"a")("ming")
    assert len({access_log.hashed(b"a")("ming"), access_log.hashed(b"b")("ming"), access_log.hashed(b"a")("ana")}) == 3


@pytest.fixture
def stdout() -> Iterator[Callable[[int], None]]:
    """Puts another file in the place of stdout."""
    kept = os.dup(access_log.STDOUT)

    def replace_by(other: int) -> None:
        os.dup2(other, access_log.STDOUT)

    yield replace_by
    os.dup2(kept, access_log.STDOUT)
    os.close(kept)


def test_nobody_reads(stdout: Callable[[int], None]) -> None:
    """A pipe whose reader has gone, and one that is full, lose whole lines and stop nobody."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    stdout(write)
    for _ in range(40):
        access_log.to_stdout(b"x" * 4_000)
    assert len(os.read(read, 200_000)) == 64_000  # of the 65 536 bytes that a pipe takes
    os.close(read)
    access_log.to_stdout(b"x")
    os.close(write)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = kept
    root.setLevel(level)


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_others_log(root: logging.Logger, form: access_log.Format) -> None:
    """Every logger's records come in the same form, with their traceback, from the level on that is set."""
    out = io.StringIO()
    access_log.configure(level="INFO", form=form, stream=out)
    logging.getLogger("some.library").debug("too fine")
    held = made_up.MASTER_SECRET  # a local variable, as in a function that signs
    try:
        int("x" + held[:0])
    except ValueError:
        logging.getLogger("some.library").exception("it failed: %s", "why")
    text = out.getvalue()
    assert held not in text
    assert "too fine" not in text
    if form == "console":
        assert "it failed: why" in text
        assert "ValueError: invalid literal" in text
        return
    (line,) = parsed(text.encode())
    assert list(line)[:4] == ["time", "level", "event", "logger"]
    assert (line["level"], line["event"], line["logger"]) == ("error", "it failed: why", "some.library")
    assert "ValueError: invalid literal" in line["exception"]


HOSTILE = "\x1b]0;owned\x07\u202e\x9b2J\u2028\r\n2026-01-01 [info] issued"


def is_text(out: str) -> bool:
    """Return whether it is lines of printable characters, none of them long."""
    return all(line.isprintable() and len(line) < 3_000 for line in out.split("\n"))


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("fast_lane", [True, False])
def test_chosen_text_is_cut_and_escaped(
    settings: Settings,
    store: Store,
    capfd: pytest.CaptureFixture[str],
    form: str,
    fast_lane: bool,  # noqa: FBT001 -- a column
) -> None:
    """An appkey and a random_str that are refused reach the log, but direct no terminal and fill no disk."""
    app = create_app(settings.model_copy(update={"log_format": form, "fast_lane": fast_lane}), store=store)
    client, verifier = app.test_client(), {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
    capfd.readouterr()
    shape = {"random_str": "Hs6nL0dYc2XwVb81mKfQ", "signature": "0" * 32, "timestamp": "1750000000000"}
    for appkey in (HOSTILE, "a" * 60_000, HOSTILE + "a" * 60_000):
        answer = client.post("/v1/auth-payload/verify", json={"appkey": appkey} | shape, headers=verifier)
        assert answer.status_code == 404
    for random_str in (HOSTILE, HOSTILE * 200):
        answer = client.post("/v1/auth-payload", json={"random_str": random_str}, headers=bearer_of("ming"))
        assert answer.status_code == 400
        body = {"timestamp": 1_750_000_000_000, "appkey": made_up.APPKEY, "randomStr": random_str}
        assert client.post("/v1/signature", json=body, headers=bearer_of("ming")).status_code == 400
    app.extensions["authsvc"].stop()
    out = capfd.readouterr().out
    assert out.count("refused") == 7
    assert is_text(out)
    assert "\\x1b]0;owned" in out
    assert "a" * 100 in out


@pytest.mark.parametrize("form", ["json", "console"])
def test_chosen_text_in_a_traceback(root: logging.Logger, form: access_log.Format) -> None:
    """A library's message and exception may quote a request; no line of theirs passes for one of the service."""
    out = io.StringIO()
    access_log.configure(level="INFO", form=form, stream=out)
    root.error("it failed: %s", HOSTILE * 5_000, exc_info=ValueError(HOSTILE * 5_000))
    for text in parsed(out.getvalue().encode())[0].values() if form == "json" else [out.getvalue()]:
        assert is_text(text)
        assert len(text) < 20_000
        assert not any(line.startswith("2026") for line in text.split("\n")[1:])
    assert "ValueError: " in out.getvalue()


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_garbage_directs_no_terminal(service: Service, server: str) -> None:
    """Whatever a server logs of a request that it cannot read."""
    service.variables |= {"AUTHSVC_LOG_FORMAT": "console", "AUTHSVC_LOG_LEVEL": "DEBUG"}
    service.start("--server", server, "--workers", "1")
    chosen = HOSTILE.encode()
    for raw in (
        b"GET /" + chosen + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9" + chosen,
        chosen + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + chosen + b": a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + chosen + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + chosen + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: \x1b[2J\xc2\x9b\r\ntraceparent: 00-\x1b\r\n\r\n",
    ):
        send(service, raw)
    assert service.stop() == 0
    assert is_text(service.log())


def asked(settings: Settings, store: Store, clock: Clock, capfd: pytest.CaptureFixture[str], **update: Any) -> Lines:
    """Issue, be refused, verify, be refused, lose the way; return the lines."""
    app = create_app(settings.model_copy(update=update), store=store, now_ms=clock)
    client: FlaskClient = app.test_client()
    capfd.readouterr()
    named = {"X-Request-Id": "r-7", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    issued = client.post("/v1/auth-payload", headers=bearer_of("ming") | named).get_json()
    client.post("/v1/auth-payload?token=in-the-query", headers={"Authorization": "Bearer not.a.token"})
    verifier = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
    for _ in range(2):
        client.post("/v1/auth-payload/verify", json=issued, headers=verifier)
    client.post("/v1/bootstrap", headers=bearer_of("ming"))
    client.post(
        "/v1/signature",
        json={"timestamp": clock.now_ms, "appkey": made_up.APPKEY, "randomStr": "Hs6nL0dYc2XwVb81mKfQ"},
        headers=bearer_of("ming"),
    )
    client.open("/no/such?x=in-the-query", method="BREW")
    client.get("/v1/resource/in-the-path", headers=bearer_of("ming"))
    app.extensions["authsvc"].stop()
    out = capfd.readouterr().out
    for hidden in (issued["signature"], "in-the-query", "in-the-path", "not.a.token", issued["random_str"]):
        assert hidden not in out
    return parsed(out.encode())


def test_the_lines_of_the_service(
    settings: Settings, store: Store, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line for every request and for every payload; nothing that a caller could use or must not read."""
    lines = asked(settings, store, clock, capfd)
    seen = [(line["event"], line["route"], line.get("refusal")) for line in lines]
    assert seen == [
        ("request", "/v1/auth-payload", None),
        ("issued", "/v1/auth-payload", None),
        ("request", "/v1/auth-payload", "not-logged-in"),
        ("refused", "/v1/auth-payload", "not-logged-in"),
        ("request", "/v1/auth-payload/verify", None),
        ("verified", "/v1/auth-payload/verify", None),
        ("request", "/v1/auth-payload/verify", "replayed"),
        ("refused", "/v1/auth-payload/verify", "replayed"),
        ("request", "/v1/bootstrap", None),
        ("issued", "/v1/bootstrap", None),
        ("request", "/v1/signature", None),
        ("issued", "/v1/signature", None),
        ("request", "unmatched", "no-such-route"),
        ("request", "/v1/resource/{media_id}", "vendor-busy"),
    ]
    assert {line["request_id"] for line in lines[:2]} == {"r-7"}
    assert {line["trace_id"] for line in lines[:2]} == {"ab" * 16}
    assert lines[12]["method"] == "other"
    assert len({lines[place]["user"] for place in (1, 9, 11)}) == 1
    assert "ming" not in str(lines)


def test_users_by_id(settings: Settings, store: Store, clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    """Where it is set, the log has the user's id."""
    assert asked(settings, store, clock, capfd, log_users="id")[1]["user"] == "ming"


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_every_line_of_a_server_is_json(service: Service, server: str) -> None:
    """The servers' own lines too; a changed secret is logged by its fingerprint."""
    service.start("--server", server, "--workers", "1")
    assert service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming")).status == 200
    service.secret_file("master-secret", made_up.OTHER_MASTER_SECRET)
    wait_until(lambda: "of fingerprint" in service.log(), what=service.log)
    assert service.stop() == 0
    lines = parsed(service.log().encode())
    assert {"request", "issued", "changed settings are in use"} <= {line["event"] for line in lines}
    assert any(line.get("logger", "").lstrip("_").startswith(server) for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)
