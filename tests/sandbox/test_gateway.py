"""The gateway as the SDK sees it, with the real service behind it."""

import dataclasses
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from authsvc.payloads import payload
from authsvc.payloads.payload import MAX_AGE_MS, MAX_SKEW_MS
from authsvc.sandbox.chat.users import md5_of
from authsvc.sandbox.files import PICTURE_ID
from authsvc.sandbox.verification import Service
from tests.conftest import Clock, Seen
from tests.sandbox.conftest import Line, Sandbox
from tests.support import made_up
from tests.support.running import free_port
from tests.support.vendor_stand_in import Reply, VendorStandIn, vendor_stand_in

GOOD = {"code": 0, "message": "success"}
NEVER_LOGGED_IN = {"code": 882004, "message": "auth fail"}


@pytest.fixture
def issued(client: FlaskClient, bearer: dict[str, str]) -> dict[str, object]:
    """A fresh payload, with what the SDK adds to it."""
    answer = client.post("/v1/auth-payload", headers=bearer)
    assert answer.status_code == 200
    return {**answer.get_json(), "fromPlatForm": "j", "flag": 0}


@pytest.fixture
def logged_in(line: Line, issued: dict[str, object]) -> Line:
    """A connection on which somebody is logged in."""
    assert line.ask("c_init", issued) == GOOD
    assert line.ask("register", {"username": "ming", "password": md5_of("word"), "is_md5": True}) == GOOD
    told = line.ask("login", {"username": "ming", "password": md5_of("word"), "is_md5": True, "version": "2"})
    assert told["code"] == 0
    return line


def test_init(line: Line, issued: dict[str, object]) -> None:
    """A fresh payload opens the connection, its timestamp as a string or as a number."""
    assert line.ask("c_init", issued | {"timestamp": int(str(issued["timestamp"]))}) == GOOD


def test_what_the_sdk_sends_again(sandbox: Sandbox, line: Line, issued: dict[str, object]) -> None:
    """The same init on the same connection is accepted again; on another one it is a replay."""
    for _ in range(5):
        assert line.ask("c_init", issued) == GOOD
    other = Line.opened(sandbox)
    told = other.ask("c_init", issued)
    assert told == {"code": 889001, "message": "the payload was already used"}
    assert other.ask("login", {"username": "ming", "password": md5_of("word")}) == NEVER_LOGGED_IN
    other.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"appkey": made_up.OTHER_APPKEY}, {"code": 880101, "message": "appkey not exist"}),
        ({"signature": "0" * 32}, {"code": 880102, "message": "signatu fail"}),
        ({"random_str": "f" * 32}, {"code": 880102, "message": "signatu fail"}),
        ({"timestamp": "1750000000000"}, {"code": 880102, "message": "signatu fail"}),
        ({"timestamp": None}, {"code": 880002, "message": "invalid parameter"}),
        ({"random_str": "404"}, {"code": 880003, "message": "invalid value"}),
    ],
)
def test_a_changed_payload(
    line: Line, issued: dict[str, object], change: dict[str, object], told: dict[str, object]
) -> None:
    """Each field is covered, and refused in the vendor's words."""
    assert line.ask("c_init", issued | change) == told
    assert line.ask("get_resource", {"media_id": PICTURE_ID}) == NEVER_LOGGED_IN


def test_a_field_is_missing(line: Line, issued: dict[str, object]) -> None:
    """Nothing is made up for it."""
    del issued["signature"]
    assert line.ask("c_init", issued)["code"] == 880002


@pytest.mark.parametrize(
    ("age_ms", "code"), [(MAX_AGE_MS - 1, 0), (MAX_AGE_MS, 880106), (-MAX_SKEW_MS, 0), (-MAX_SKEW_MS - 1, 880106)]
)
def test_time(line: Line, clock: Clock, age_ms: int, code: int) -> None:
    """Too old and too new are the one code that the vendor has for it."""
    clock.now_ms += MAX_AGE_MS + MAX_SKEW_MS  # the store is older than any payload here
    signed = payload.issue(
        appkey=made_up.APPKEY, master_secret=made_up.MASTER_SECRET, random_str="r" * 20, now_ms=clock.now_ms - age_ms
    )
    assert line.ask("c_init", dict(signed.to_dict()))["code"] == code


def test_login(sandbox: Sandbox, line: Line, issued: dict[str, object], clock: Clock) -> None:
    """Only after init, only with an account, only with its password, only once; the answer names the user."""
    account = {"username": "ming", "password": md5_of("word")}
    assert line.ask("login", account) == NEVER_LOGGED_IN
    assert line.ask("c_init", issued) == GOOD
    assert line.ask("login", account) == {"code": 880103, "message": "user not exist"}
    sandbox.ask("POST", "/v1/users/", json=[{"username": "ming", "password": "word"}])
    assert line.ask("login", account | {"password": md5_of("other")}) == {"code": 880104, "message": "invalid password"}
    here = {"platform": "web", "mtime": clock.now_ms // 1000, "isOnline": True, "isLogin": True, "flag": False}
    assert line.ask("login", account) == GOOD | {"username": "ming", "online_list": [here]}
    assert line.ask("login", account)["code"] == 880107


@pytest.mark.parametrize("data", [{}, {"username": "ming"}, {"username": 7, "password": "word"}])
def test_login_with_half_of_it(line: Line, issued: dict[str, object], data: dict[str, object]) -> None:
    """A field that is missing, or no text, is named."""
    line.ask("c_init", issued)
    line.ask("register", {"username": "ming", "password": md5_of("word")})
    told = line.ask("login", data)
    assert told["code"] == 880002
    assert told["message"].endswith(": must be a string")


def test_register(line: Line, issued: dict[str, object]) -> None:
    """Only after init, once a name, and only a name that the vendor takes."""
    account = {"username": "ming", "password": md5_of("word")}
    assert line.ask("register", account) == NEVER_LOGGED_IN
    line.ask("c_init", issued)
    assert line.ask("register", account) == GOOD
    assert line.ask("register", account) == {
        "code": 882002,
        "message": "user exit，no such user，password error，uid invalid，gid invalid",
    }
    assert line.ask("register", account | {"username": "m"})["code"] == 880003


def test_a_resource(sandbox: Sandbox, logged_in: Line) -> None:
    """Its URL really serves the file."""
    told = logged_in.ask("get_resource", {"media_id": PICTURE_ID})
    assert told.keys() == {"code", "message", "url"}
    answer = sandbox.ask("GET", told["url"].removeprefix(sandbox.url))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert logged_in.ask("get_resource", {"media_id": "qiniu/none"}) == {"code": 880005, "message": "file not exist"}


def test_what_needs_a_login(line: Line, issued: dict[str, object]) -> None:
    """To be initialised is not enough."""
    line.ask("c_init", issued)
    for event in ("get_resource", "get_upload_token", "sync_check"):
        assert line.ask(event, {"media_id": PICTURE_ID}) == NEVER_LOGGED_IN


def test_unknown_event(logged_in: Line) -> None:
    """An event that is not known here is refused by its name."""
    assert logged_in.ask("get_nothing", {}) == {
        "code": 880002,
        "message": "the sandbox does not know the event get_nothing",
    }


@pytest.mark.parametrize(
    "keys",
    [
        {"sync_key": 0, "sync_type": 1, "sync_event_key": 0, "msg_receipt_key": 0},
        {"sync_key": 1750000000000, "sync_type": 0, "sync_event_key": "17", "msg_receipt_key": 3},
        {"sync_key": 0},
    ],
)
def test_sync_check_echoes(logged_in: Line, keys: dict[str, object]) -> None:
    """The SDK takes its keys over from the answer, so a page that asked for roaming keeps it."""
    assert logged_in.ask("sync_check", keys) == GOOD | keys


@pytest.mark.parametrize("size", [11_000, 150_000])
def test_an_event_that_is_too_long(logged_in: Line, size: int) -> None:
    """It is refused by the vendor's code, and the connection serves what follows."""
    assert logged_in.ask("get_resource", {"media_id": "小" * size}) == {
        "code": 880206,
        "message": "length of message exceed limit",
    }
    assert logged_in.ask("get_resource", {"media_id": PICTURE_ID})["code"] == 0
    assert logged_in.ask("get_resource", {"media_id": "m" * 65_000})["code"] == 880005


@pytest.mark.parametrize("data", [None, [], "text", {}, {"rid": "7"}])
def test_events_without_a_rid(line: Line, data: object) -> None:
    """Nobody could tell what an answer belongs to, so there is none."""
    line.emit("c_init", data)
    line.say("2")
    assert line.hear() == "3"


def test_silent(sandbox: Sandbox, line: Line, issued: dict[str, object]) -> None:
    """Not even an ack comes; once it speaks again the same init is answered."""
    sandbox.behave(gateway="silent")
    line.emit("c_init", issued | {"rid": 7})
    line.say("2")
    assert line.hear() == "3"
    sandbox.behave(gateway="ok")
    assert line.ask("c_init", issued) == GOOD


def test_deaf(sandbox: Sandbox, line: Line, issued: dict[str, object]) -> None:
    """An ack, and nothing after it."""
    sandbox.behave(gateway="deaf")
    line.emit("c_init", issued | {"rid": 7})
    assert line.event() == ("ack", {"rid": 7})
    line.say("2")
    assert line.hear() == "3"


def test_slow(sandbox: Sandbox, line: Line, issued: dict[str, object]) -> None:
    """The ack at once, the answer later; others are not held up, and nobody waits for a client that has gone."""
    sandbox.behave(gateway="slow", delay_s=0.01)
    line.emit("c_init", issued | {"rid": 7})
    assert line.event() == ("ack", {"rid": 7})
    assert line.event() == ("c_init", {"rid": 7} | GOOD)
    sandbox.behave(delay_s=3600)
    line.emit("c_init", issued | {"rid": 8})
    assert line.event() == ("ack", {"rid": 8})
    line.say("2")
    assert line.hear() == "3"


@pytest.mark.parametrize(("mode", "code"), [("wrong", 880001), ("full", 882005)])
def test_refusing(sandbox: Sandbox, line: Line, issued: dict[str, object], mode: str, code: int) -> None:
    """It refuses whatever comes."""
    sandbox.behave(gateway=mode)
    assert line.ask("c_init", issued)["code"] == code


def test_gone(sandbox: Sandbox, line: Line) -> None:
    """Connections break and none can be made, until it is back."""
    assert sandbox.behave(gateway="gone")["connections"] == 0
    assert line.hear() is None
    assert sandbox.ask("GET", "/socket.io/?EIO=3&transport=polling").status_code == 503
    sandbox.behave(gateway="ok")
    Line.opened(sandbox).close()


def test_drop(sandbox: Sandbox, line: Line) -> None:
    """As when a gateway restarts: everybody is out and may come back at once."""
    assert sandbox.behave(drop=True)["connections"] == 0
    assert line.hear() is None
    Line.opened(sandbox).close()


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """Something else that listens where the service should."""
    with vendor_stand_in() as stand_in:
        yield stand_in


def answered_by(service: Service, clock: Clock, issued: dict[str, object]) -> dict[str, object]:
    """Return what an init is told when this is the service."""
    sandbox = Sandbox(service, clock)
    try:
        line = Line.opened(sandbox)
        told = line.ask("c_init", issued)
        line.close()
        return told
    finally:
        sandbox.close()


def test_the_service_is_away(clock: Clock, issued: dict[str, object], seen: Seen) -> None:
    """Then nobody is let in, and the log says why."""
    nowhere = Service(f"http://127.0.0.1:{free_port()}", made_up.VERIFIER_KEY)
    assert answered_by(nowhere, clock, issued)["code"] == 882005
    assert any("the service does not answer" in text for text in seen.texts)


def test_another_key_than_the_services(verifying: Service, clock: Clock, issued: dict[str, object], seen: Seen) -> None:
    """Nobody is let in, and the log says which setting to look at."""
    told = answered_by(dataclasses.replace(verifying, verifier_key="another"), clock, issued)
    assert told == {"code": 882001, "message": "server internal error"}
    assert any("AUTHSVC_VERIFIER_KEYS" in text for text in seen.texts)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(body=b"<!doctype html>"),
        Reply.json({"error": "?"}, status=404),
        Reply.json([], status=404),
        Reply.json({"code": None, "message": ""}, status=404),
        Reply(status=302, headers={"Location": "/healthz"}, body=b"moved"),
    ],
)
def test_no_authsvc_at_all(
    stand_in: VendorStandIn, clock: Clock, issued: dict[str, object], seen: Seen, answer: Reply
) -> None:
    """What answers otherwise than the service would, lets nobody in."""
    stand_in.reply = lambda _: answer
    assert answered_by(Service(stand_in.url, made_up.VERIFIER_KEY), clock, issued)["code"] == 882001
    assert any("is no authsvc" in text for text in seen.texts)


def test_the_key_is_not_shown(verifying: Service) -> None:
    """Neither in a log nor in a traceback."""
    assert made_up.VERIFIER_KEY not in repr(verifying)
