"""Tests of real answers: for each operation and each refusal one, held to the contract."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authsvc.app import create_app
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.payloads import payload
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores import open_store
from authsvc.stores.store import Store
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Vendor
from authsvc.web.chinese import CHINESE
from tests.conftest import bearer_of
from tests.support import contract, made_up
from tests.support.vendor_stand_in import Reply, VendorStandIn, url_of, vendor_stand_in

if TYPE_CHECKING:
    from tests.conftest import Clock

NOW_MS = 1795456800000
ISSUE, VERIFY = "POST /v1/auth-payload", "POST /v1/auth-payload/verify"
RANDOM_STR = "9f86d081884c7d659a2feaa0c55ad015"
RESOURCE, REDIRECT = "GET /v1/resource", "GET /v1/resource/{media_id}"
SIGN = "POST /v1/signature"
BATCH, BOOT = "POST /v1/resources", "POST /v1/bootstrap"
LITTLE: dict[str, object] = {"vendor_budget": Rate(4, 60_000)}  # one for a user
SINGLE_USE: dict[str, object] = {"jwt_single_use": True}
ACCOUNTS: dict[str, object] = {"account_key": Secret(made_up.ACCOUNT_KEY)}
AWAY = "unix:///nonexistent/redis.sock"


def signed(*, age_ms: int = 0, **changes: str) -> dict[str, str]:
    """Return a payload of so many milliseconds ago."""
    issued = payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=RANDOM_STR,
        now_ms=NOW_MS - age_ms,
    )
    return issued.to_dict() | changes


def chosen(**changes: object) -> dict[str, object]:
    """Return what jchat-web asks to be signed."""
    return {"timestamp": NOW_MS, "appkey": made_up.APPKEY, "randomStr": RANDOM_STR} | changes


@dataclass(frozen=True)
class Asked:
    """A request, asked `times` times of a service with these settings; `outcome` is a problem's name or "ok"."""

    operation: str
    outcome: str
    who: str = "nobody"
    json: object = None
    data: bytes | None = None
    times: int = 1
    name: str = "expired"
    query: str = ""
    others: bool = False
    store_url: str | None = None
    is_draining: bool = False
    vendor: Reply | None = None
    frozen: bool = False
    media_id: str = "qiniu/image/a.png"
    settings: dict[str, object] = field(default_factory=dict)


ASKED = [
    Asked(ISSUE, "ok", "user"),
    Asked(ISSUE, "ok", "user", json={"appkey": made_up.APPKEY, "random_str": RANDOM_STR}),
    Asked(ISSUE, "ok", "user", store_url=AWAY),
    Asked(ISSUE, "invalid-request", "user", json={"timestamp": "1795456800000"}),
    Asked(ISSUE, "invalid-request", "user", data=b"{}"),
    Asked(ISSUE, "invalid-random-str", "user", json={"random_str": "404"}),
    Asked(ISSUE, "not-logged-in"),
    Asked(ISSUE, "not-logged-in-yet", "early user"),
    Asked(ISSUE, "cross-site", "foreign page"),
    Asked(ISSUE, "unknown-appkey", "user", json={"appkey": made_up.OTHER_APPKEY}),
    Asked(ISSUE, "replayed", "user", json={"random_str": RANDOM_STR}, times=2),
    Asked(ISSUE, "body-too-large", "user", data=b" " * 65_537),
    Asked(ISSUE, "too-many-requests", "user", times=2, settings={"rate_limit": Rate(1, 60_000)}),
    Asked(ISSUE, "temporarily-unavailable", "user", json={"random_str": RANDOM_STR}, store_url=AWAY),
    Asked(VERIFY, "ok", "verifier", json=signed()),
    Asked(VERIFY, "ok", "verifier", json=signed(holder="connection-4711"), times=5),
    Asked(VERIFY, "ok", "verifier", json={**signed(), "timestamp": NOW_MS}),
    Asked(VERIFY, "invalid-request", "verifier", json={**signed(), "timestamp": float(NOW_MS)}),
    Asked(VERIFY, "invalid-request", "verifier", json={}),
    Asked(VERIFY, "invalid-random-str", "verifier", json=signed(random_str="404")),
    Asked(VERIFY, "not-logged-in", "user", json=signed()),
    Asked(VERIFY, "unknown-appkey", "verifier", json=signed(appkey=made_up.OTHER_APPKEY)),
    Asked(VERIFY, "replayed", "verifier", json=signed(), times=2),
    Asked(VERIFY, "body-too-large", "verifier", data=b" " * 65_537),
    Asked(VERIFY, "bad-signature", "verifier", json=signed(signature="0" * 32)),
    Asked(VERIFY, "expired", "verifier", json=signed(age_ms=600_000)),
    Asked(VERIFY, "not-yet-valid", "verifier", json=signed(age_ms=-30_001)),
    Asked(VERIFY, "temporarily-unavailable", "verifier", json=signed(), store_url=AWAY),
    *[
        asked
        for operation in (RESOURCE, REDIRECT)
        for asked in (
            Asked(operation, "ok", "user", media_id="/avatar"),
            Asked(operation, "ok", "user", vendor=Reply.json({"url": "http://media.file.jpush.cn/a"})),
            Asked(operation, "invalid-request", "user", query="&appkey=a&appkey=b"),
            Asked(operation, "invalid-request", "user", query="&at=1"),
            Asked(operation, "invalid-media-id", "user", media_id="qiniu/../b"),
            Asked(operation, "not-logged-in"),
            Asked(operation, "not-logged-in-yet", "early user"),
            Asked(operation, "unknown-appkey", "user", query=f"&appkey={made_up.OTHER_APPKEY}"),
            Asked(operation, "unknown-media", "user", vendor=Reply(404)),
            Asked(operation, "too-many-requests", "user", settings=LITTLE, times=2, others=True),
            Asked(operation, "vendor-refused", "user", vendor=Reply.json({"url": "http://elsewhere.example/"})),
            Asked(operation, "vendor-busy", "user", vendor=Reply(503)),
            Asked(operation, "vendor-slow", "user", frozen=True),
            Asked(operation, "temporarily-unavailable", "single-use user", store_url=AWAY, settings=SINGLE_USE),
        )
    ],
    Asked(RESOURCE, "invalid-request", "user", media_id=""),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b", "/avatar", "a/b", "a/../b"], "appkey": made_up.APPKEY}),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b"], "fresh": True}),
    Asked(BATCH, "invalid-request", "user", json={"media_ids": ["a/b"], "fresh": "true"}),
    *(Asked(operation, "ok", "user", query="&fresh=true") for operation in (RESOURCE, REDIRECT)),
    *(Asked(operation, "invalid-request", "user", query="&fresh=1") for operation in (RESOURCE, REDIRECT)),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b"]}, vendor=Reply(503)),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a", "b"]}, settings=LITTLE),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b"]}, vendor=Reply(404)),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b"]}, vendor=Reply.json({})),
    Asked(BATCH, "ok", "user", json={"media_ids": ["a/b"]}, frozen=True),
    Asked(BATCH, "ok", "user", json={"media_ids": [f"a/{number}" for number in range(100)]}),
    *[
        Asked(BATCH, "invalid-request", "user", json={"media_ids": wrong})
        for wrong in ([], [7], "a/b", {"a": "b"}, None, [f"a/{number}" for number in range(101)])
    ],
    Asked(BATCH, "not-logged-in", json={"media_ids": ["a/b"]}),
    Asked(BATCH, "not-logged-in-yet", "early user", json={"media_ids": ["a/b"]}),
    Asked(BATCH, "cross-site", "foreign page", json={"media_ids": ["a/b"]}),
    Asked(BATCH, "unknown-appkey", "user", json={"media_ids": ["a/b"], "appkey": made_up.OTHER_APPKEY}),
    Asked(BATCH, "body-too-large", "user", data=b" " * 65_537),
    Asked(BATCH, "temporarily-unavailable", "single-use user", store_url=AWAY, settings=SINGLE_USE),
    Asked(BOOT, "ok", "user"),
    Asked(BOOT, "ok", "user", json={"appkey": made_up.APPKEY}, settings=ACCOUNTS, vendor=Reply.json([], status=201)),
    Asked(BOOT, "invalid-request", "user", json={"random_str": RANDOM_STR}),
    Asked(BOOT, "not-logged-in"),
    Asked(BOOT, "not-logged-in-yet", "early user"),
    Asked(BOOT, "cross-site", "foreign page"),
    Asked(BOOT, "unknown-appkey", "user", json={"appkey": made_up.OTHER_APPKEY}),
    Asked(BOOT, "body-too-large", "user", data=b" " * 65_537),
    Asked(BOOT, "too-many-requests", "user", times=2, settings={"rate_limit": Rate(1, 60_000)}),
    Asked(BOOT, "account-taken", "user", settings=ACCOUNTS, vendor=Reply.json({"error": {"code": 899001}}, status=403)),
    Asked(BOOT, "vendor-refused", "user", settings=ACCOUNTS, vendor=Reply(401)),
    Asked(BOOT, "vendor-busy", "user", settings=ACCOUNTS, vendor=Reply(503)),
    Asked(BOOT, "vendor-slow", "user", settings=ACCOUNTS, frozen=True),
    Asked(BOOT, "temporarily-unavailable", "single-use user", store_url=AWAY, settings=SINGLE_USE),
    Asked(SIGN, "ok", "user", json=chosen()),
    Asked(SIGN, "ok", "user", json=chosen(timestamp=str(NOW_MS - 30_000))),
    Asked(SIGN, "ok", "user", json=chosen(timestamp=NOW_MS + 30_000)),
    Asked(SIGN, "invalid-request", "user", json=chosen(timestamp=NOW_MS // 1000)),
    Asked(SIGN, "invalid-request", "user", json=chosen(random_str=RANDOM_STR)),
    Asked(SIGN, "invalid-request", "user", json={"timestamp": NOW_MS, "randomStr": RANDOM_STR}),
    Asked(SIGN, "invalid-request", "user"),
    Asked(SIGN, "invalid-random-str", "user", json=chosen(randomStr="404")),
    Asked(SIGN, "not-logged-in", json=chosen()),
    Asked(SIGN, "not-logged-in-yet", "early user", json=chosen()),
    Asked(SIGN, "cross-site", "foreign page", json=chosen()),
    Asked(SIGN, "unknown-appkey", "user", json=chosen(appkey=made_up.OTHER_APPKEY)),
    Asked(SIGN, "replayed", "user", json=chosen(), times=2),
    Asked(SIGN, "body-too-large", "user", data=b" " * 65_537),
    Asked(SIGN, "expired", "user", json=chosen(timestamp=NOW_MS - 30_001)),
    Asked(SIGN, "not-yet-valid", "user", json=chosen(timestamp=NOW_MS + 30_001)),
    Asked(SIGN, "too-many-requests", "user", json=chosen(), times=2, settings={"rate_limit": Rate(1, 60_000)}),
    Asked(SIGN, "temporarily-unavailable", "user", json=chosen(), store_url=AWAY),
    Asked("GET /client.js", "ok"),
    Asked("GET /client.d.ts", "ok"),
    Asked("GET /healthz", "ok"),
    Asked("GET /readyz", "ok"),
    Asked("GET /readyz", "not-ready", is_draining=True),
    Asked("GET /readyz", "not-ready", store_url=AWAY),
    Asked("GET /problems/{name}", "ok"),
    Asked("GET /problems/{name}", "no-such-route", name="nothing"),
    Asked("GET /openapi.yaml", "ok"),
]


@pytest.fixture
def clock(clock: "Clock") -> "Clock":
    """The app's clock, at the time of the payloads above."""
    clock.now_ms = NOW_MS
    return clock


@pytest.fixture(scope="module")
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback."""
    with vendor_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def answer_to(
    settings: Settings,
    store: Store,
    clock: "Clock",
    bearer: dict[str, str],
    verifier: dict[str, str],
    stand_in: VendorStandIn,
) -> Iterator[Callable[..., TestResponse]]:
    """Ask a service of its own, in English if no Accept-Language is named, and give its last answer."""
    stops: list[Callable[[], None]] = []
    gateway = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "ming"}
    foreign = {"Origin": "https://elsewhere.example"}
    headers = {
        "nobody": {},
        "user": bearer,
        "early user": bearer_of("ming", nbf=int(time.time()) + 600),
        "single-use user": bearer_of("ming", jti="made-up"),
        "verifier": verifier,
        "foreign page": gateway | foreign,
    }

    def answer_to(asked: Asked, language: str = "en") -> TestResponse:
        asked_store = open_store(asked.store_url, now_ms=clock) if asked.store_url else store
        used = settings.model_copy(update=asked.settings)
        stand_in.reply = lambda question: asked.vendor or Reply.json({"url": url_of(question, now_s=NOW_MS / 1000)})
        stand_in.freeze() if asked.frozen else stand_in.thaw()
        app = create_app(
            used,
            store=asked_store,
            vendor=Vendor(
                stand_in.url,
                budget=Budget(used.vendor_budget, asked_store),
                breaker=CircuitBreaker(),
                now_ms=clock,
                total_s=0.2 if asked.frozen else 5,
            ),
            now_ms=clock,
            is_draining=lambda: asked.is_draining,
        )
        stops.extend((app.extensions["authsvc"].stop, asked_store.close))
        client = app.test_client()
        sent = headers[asked.who] | {"Accept-Language": language}
        *before, last = [ask(client, asked, sent, number) for number in range(asked.times)]
        assert all(answer.status_code in {200, 302} for answer in before)
        return last

    yield answer_to
    for stop in stops:
        stop()


def ask(client: FlaskClient, asked: Asked, headers: dict[str, str], number: int = 0) -> TestResponse:
    media_id = asked.media_id + (f".{number}" if asked.others else "")
    method, path = path_of(asked.operation, name=asked.name, media_id=media_id)
    query = (f"media_id={quote(media_id)}" if asked.operation == RESOURCE and media_id else "") + asked.query
    return client.open(
        path, method=method, headers=headers, json=asked.json, data=asked.data, query_string=query.removeprefix("&")
    )


def path_of(operation: str, *, name: str = "expired", media_id: str = "a/b") -> tuple[str, str]:
    """Return method and path of an operation."""
    method, path = operation.replace("{name}", name).replace("{media_id}", media_id).split()
    return method, path


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.operation} {asked.outcome}")
def test_every_answer_keeps_the_contract(answer_to: Callable[..., TestResponse], asked: Asked) -> None:
    """Status, headers, media type and body of a real answer are as written for its operation."""
    answer = answer_to(asked)
    contract.check_answer(answer, asked.operation)
    if asked.outcome == "ok":
        assert answer.status_code in {200, 302}
    else:
        assert answer.get_json()["type"] == f"/problems/{asked.outcome}"


@pytest.mark.parametrize("asked", {asked.outcome: asked for asked in ASKED if asked.outcome != "ok"}.values())
def test_every_refusal_in_chinese(answer_to: Callable[..., TestResponse], asked: Asked) -> None:
    """Its words are Chinese; what programs read, the contract has as constants."""
    answer = answer_to(asked, "zh-TW,en;q=0.5")
    contract.check_answer(answer, asked.operation)
    body = answer.get_json()
    assert answer.headers["Content-Language"] == CHINESE.tag
    assert (body["type"], body["title"]) == (f"/problems/{asked.outcome}", CHINESE.problems[asked.outcome].title)
    assert re.search("[\u4e00-\u9fff]", body["detail"])
    assert body["message"] == body["detail"]


@pytest.mark.parametrize("operation", contract.operations())
def test_every_refusal_of_an_operation_was_seen(operation: str) -> None:
    """The contract lists no refusal that the test above did not get; 500 has a test of its own."""
    listed = set().union(*map(contract.refusals, contract.responses(operation).values()))
    seen = {asked.outcome for asked in ASKED if asked.operation == operation}
    assert listed - {"internal-error"} == seen - {"ok"}


@pytest.mark.parametrize("operation", contract.operations())
def test_a_fault_of_ours_keeps_the_contract(app: Flask, operation: str) -> None:
    """A view that fails in a way nobody foresaw answers 500 in the shape of every refusal, without the reason."""

    def fail(**_: str) -> NoReturn:
        raise RuntimeError("nobody foresaw this")

    app.view_functions = dict.fromkeys(app.view_functions, fail)
    answer = ask(app.test_client(), Asked(operation, "internal-error"), {})
    assert answer.status_code == 500
    contract.check_answer(answer, operation)
    assert "foresaw" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("operation", [ISSUE, VERIFY])
def test_a_body_that_ends_early_is_refused(
    client: FlaskClient, bearer: dict[str, str], verifier: dict[str, str], operation: str
) -> None:
    """What a client left unfinished is not taken for a request without a body."""
    answer = client.post(
        operation.split()[1],
        headers=bearer if operation == ISSUE else verifier,
        environ_overrides={"CONTENT_LENGTH": "2"},
    )
    contract.check_answer(answer, operation)
    assert answer.get_json()["detail"] == "request: is malformed, or ends before its Content-Length"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/auth-payload/", "/v1//auth-payload", "/V1/auth-payload", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_any_other_path_is_no_such_route(client: FlaskClient, method: str, path: str) -> None:
    """A path is right or wrong: nothing redirects, because a redirect would lose the body of a POST."""
    answer = client.open(path, method=method)
    assert answer.status_code == 404
    contract.check_response(answer, contract.NO_ROUTE)


@pytest.mark.parametrize("operation", contract.operations())
def test_any_other_method_is_not_allowed(client: FlaskClient, operation: str) -> None:
    """The refusal names the methods that the path has."""
    method, path = path_of(operation)
    allowed = {method, "OPTIONS"} | ({"HEAD"} if method == "GET" else set())
    for other in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} - allowed:
        answer = client.open(path, method=other)
        assert answer.status_code == 405
        contract.check_response(answer, contract.NO_METHOD)
        assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("operation", contract.operations())
def test_head_and_options_work(client: FlaskClient, operation: str) -> None:
    """HEAD answers as GET does but for the body; OPTIONS names the methods."""
    method, path = path_of(operation)
    assert method in client.options(path).headers["Allow"].split(", ")
    if method == "GET":
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content_type, head.get_data()) == (get.status_code, get.content_type, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"status": 201},
        {"status": 422},
        {"headers": {"X-Request-Id": None}},
        {"headers": {"X-Request-Id": "not well formed"}},
        {"headers": {"Cache-Control": "private"}},
        {"headers": {"X-Expires-In-Ms": "600001"}},
        {"headers": {"RateLimit": "59"}},
        {"headers": {"X-Debug": "1"}},
        {"headers": {"Content-Type": "text/html"}},
        {"body": b"{}"},
        {"body": b'{"error":1}'},
    ],
    ids=str,
)
def test_an_answer_that_breaks_the_contract_is_noticed(
    answer_to: Callable[..., TestResponse], change: dict[str, Any]
) -> None:
    """The check of this suite fails for a wrong status, header, type or body."""
    answer = answer_to(ASKED[0])
    contract.check_answer(answer, ISSUE)
    answer.status_code = change.get("status", 200)
    for name, value in change.get("headers", {}).items():
        answer.headers.pop(name, None)
        if value is not None:
            answer.headers[name] = value
    if "body" in change:
        answer.set_data(change["body"])
    with pytest.raises(AssertionError):
        contract.check_answer(answer, ISSUE)
