"""Tests of `views`: what travels in headers and bodies. That every answer keeps its contract, test_answers holds."""

import io
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse

from authsvc.app import create_app
from authsvc.errors import InvalidRequest
from authsvc.payloads import signature
from authsvc.ratelimit.rate import Rate
from authsvc.settings.model import Settings
from authsvc.stores.store import Pulse, Store
from authsvc.telemetry import tracing
from authsvc.web.request import BODY_S, Request
from tests.conftest import bearer_of
from tests.support import contract, made_up
from tests.support.vendor_stand_in import vendor_stand_in

if TYPE_CHECKING:
    from tests.conftest import Clock

ISSUE, VERIFY = "/v1/auth-payload", "/v1/auth-payload/verify"
ALLOWED, OTHER = "https://app.example", "https://elsewhere.example"
RANDOM_STR = "9f86d081884c7d659a2feaa0c55ad015"
QUOTA = re.compile(r'"user";r=([0-9]+);t=([0-9]+)')

Serve = Callable[..., FlaskClient]


@pytest.fixture
def serve(settings: Settings, store: Store, clock: "Clock", request: pytest.FixtureRequest) -> Serve:
    """Return a client of a service of its own, with these settings changed."""

    def serve(*, store: Store = store, **changes: object) -> FlaskClient:
        app = create_app(settings.model_copy(update=changes), store=store, now_ms=clock)
        request.addfinalizer(app.extensions["authsvc"].stop)
        return app.test_client()

    return serve


@pytest.fixture
def user(client: FlaskClient) -> FlaskClient:
    """A client with the session cookie of the app's logged-in user."""
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    client.set_cookie("session", serializer.dumps({"_user_id": "ming"}))
    return client


def quota_of(answer: TestResponse) -> tuple[int, int]:
    """Return the RateLimit header: how many are left, for how many seconds."""
    match = QUOTA.fullmatch(answer.headers["RateLimit"])
    assert match is not None, answer.headers["RateLimit"]
    return int(match[1]), int(match[2])


def cors(answer: TestResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def test_a_payload_has_exactly_the_four_fields(client: FlaskClient, clock: "Clock", bearer: dict[str, str]) -> None:
    """All four are strings, signed by the masterSecret over the server's time, ready for `JIM.init`."""
    payload = client.post(ISSUE, headers=bearer).get_json()
    assert re.fullmatch("[0-9a-f]{32}", payload["random_str"])
    assert payload == {
        "appkey": made_up.APPKEY,
        "random_str": payload["random_str"],
        "timestamp": str(clock.now_ms),
        "signature": signature.sign(
            appkey=made_up.APPKEY,
            timestamp_ms=clock.now_ms,
            random_str=payload["random_str"],
            master_secret=made_up.MASTER_SECRET,
        ),
    }


def test_a_payload_comes_with_its_time(client: FlaskClient, clock: "Clock", bearer: dict[str, str]) -> None:
    """The headers have the server's time and the remaining validity, and forbid to cache the answer."""
    headers = client.post(ISSUE, headers=bearer).headers
    assert headers["X-Server-Time-Ms"] == str(clock.now_ms)
    assert headers["X-Expires-In-Ms"] == "600000"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_clients_random_str_is_the_one_signed(client: FlaskClient, bearer: dict[str, str]) -> None:
    """A random_str that the client brings comes back in its payload."""
    answer = client.post(ISSUE, headers=bearer, json={"random_str": RANDOM_STR, "appkey": made_up.APPKEY})
    assert answer.get_json()["random_str"] == RANDOM_STR


def test_a_payload_is_accepted_once(
    client: FlaskClient, clock: "Clock", bearer: dict[str, str], verifier: dict[str, str]
) -> None:
    """An issued payload verifies, with its expiry; the second time it is a replay, with a fresh one as the remedy."""
    payload = client.post(ISSUE, headers=bearer).get_json()
    first = client.post(VERIFY, headers=verifier, json=payload)
    assert first.get_json() == {"valid": True, "appkey": made_up.APPKEY, "expires_at_ms": clock.now_ms + 600_000}
    second = client.post(VERIFY, headers=verifier, json=payload)
    assert (second.status_code, second.get_json()["code"], second.get_json()["retry"]) == (409, 889001, "now")


def test_the_same_holder_may_present_a_payload_again(
    client: FlaskClient, bearer: dict[str, str], verifier: dict[str, str]
) -> None:
    """The SDK retransmits on one connection; another connection, or none that is named, gets a refusal."""
    payload = client.post(ISSUE, headers=bearer).get_json()
    answers = [
        client.post(VERIFY, headers=verifier, json=payload | holder).status_code
        for holder in ({"holder": "one"}, {"holder": "one"}, {"holder": "other"}, {})
    ]
    assert answers == [200, 200, 409, 409]


def test_a_page_cannot_choose_its_holder(client: FlaskClient, bearer: dict[str, str], verifier: dict[str, str]) -> None:
    """A gateway that passes the page's body on and names the connection is safe from what the page adds."""

    def gateway(page_sent: bytes, *, connection: str) -> tuple[int, str]:
        headers = verifier | {"X-Holder": connection, "Content-Type": "application/json"}
        answer = client.post(VERIFY, data=page_sent, headers=headers)
        return answer.status_code, answer.get_json().get("detail", "")

    payload = client.post(ISSUE, headers=bearer).get_json()
    honest, hostile = (json.dumps(fields).encode() for fields in (payload, payload | {"holder": "mine"}))
    both = "holder: must not be in the body together with the header X-Holder, which the verifier sets"
    for connection in ("one", "two"):
        assert gateway(hostile, connection=connection) == (400, both)
    assert [gateway(honest, connection=connection)[0] for connection in ("one", "one", "two")] == [200, 200, 409]
    assert gateway(hostile, connection="one") == (400, both)
    assert gateway(honest, connection="one,two") == (400, "X-Holder: contains a comma or was sent twice")
    for broken in ("", "a b", "x" * 129, "\xe9"):
        assert gateway(honest, connection=broken)[0] == 400


@pytest.mark.parametrize(
    ("moved_ms", "outcome"),
    [
        (599_999, None),
        (600_000, "/problems/expired"),
        (600_001, "/problems/expired"),
        (-29_999, None),
        (-30_000, None),
        (-30_001, "/problems/not-yet-valid"),
    ],
)
def test_a_payload_lives_ten_minutes(
    client: FlaskClient,
    clock: "Clock",
    bearer: dict[str, str],
    verifier: dict[str, str],
    moved_ms: int,
    outcome: str | None,
) -> None:
    """To the millisecond, and thirty seconds before its birth; a refusal about time has the server's."""
    payload = client.post(ISSUE, headers=bearer).get_json()
    clock.now_ms += moved_ms
    answer = client.post(VERIFY, headers=verifier, json=payload).get_json()
    assert answer.get("type") == outcome
    assert answer.get("server_time_ms") == (clock.now_ms if outcome else None)


def test_answers_have_the_rate_limit(client: FlaskClient, bearer: dict[str, str]) -> None:
    """Each counted answer has what is left of how many, whether it is a payload or a refusal."""
    first, second, third = (client.post(ISSUE, headers=bearer, json={"random_str": text * 20}) for text in "aa-")
    assert [answer.status_code for answer in (first, second, third)] == [200, 409, 200]
    assert {answer.headers["RateLimit-Policy"] for answer in (first, second, third)} == {'"user";q=60;w=60'}
    assert [quota_of(answer)[0] for answer in (first, second, third)] == [59, 58, 57]
    assert all(1 <= quota_of(answer)[1] <= 60 for answer in (first, second, third))


def test_too_many_requests_get_retry_after(serve: Serve, clock: "Clock") -> None:
    """Retry-After and RateLimit name the same second; others are not held up, and at that second it goes on."""
    client = serve(rate_limit=Rate(2, 60_000))
    assert [client.post(ISSUE, headers=bearer_of("ming")).status_code for _ in range(2)] == [200, 200]
    refused = client.post(ISSUE, headers=bearer_of("ming"))
    assert (refused.status_code, refused.headers["RateLimit-Policy"]) == (429, '"user";q=2;w=60')
    remaining, reset_s = quota_of(refused)
    assert (remaining, refused.headers["Retry-After"]) == (0, str(reset_s))
    assert refused.get_json()["detail"] == f"more than 2 requests in 60 s; try again in {reset_s} s"
    assert client.post(ISSUE, headers=bearer_of("ana")).status_code == 200
    clock.now_ms += reset_s * 1000
    assert client.post(ISSUE, headers=bearer_of("ming")).status_code == 200


def test_uncounted_requests_have_no_rate_limit(client: FlaskClient, verifier: dict[str, str]) -> None:
    """Who is not logged in has no limit of its own, and the routes beside have none."""
    for answer in (client.post(ISSUE), client.post(VERIFY, headers=verifier), client.get("/healthz")):
        assert not {"RateLimit", "RateLimit-Policy", "Retry-After"} & set(answer.headers.keys())


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object, /) -> NoReturn:
        raise AssertionError("the body was read")


UNREAD = {"CONTENT_LENGTH": "1000000", "wsgi.input": Unread()}


@pytest.mark.parametrize(("path", "who"), [(ISSUE, "bearer"), (VERIFY, "verifier")])
def test_a_body_too_large_by_its_own_word_is_not_read(
    client: FlaskClient, request: pytest.FixtureRequest, path: str, who: str
) -> None:
    """A Content-Length far over 64 KiB is refused at once."""
    headers = request.getfixturevalue(who)
    answer = client.post(path, headers=headers, environ_overrides=UNREAD)
    assert (answer.status_code, answer.get_json()["type"]) == (413, "/problems/body-too-large")


@pytest.mark.parametrize(("length", "status"), [(65_536, 200), (65_537, 413), (65_538, 413), (1_000_000, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_read_up_to_64_kib(
    client: FlaskClient, bearer: dict[str, str], length: int, status: int, *, chunked: bool
) -> None:
    """With a Content-Length and, as a server hands a chunked body on, without one; no body is cut off and then used."""
    stream = io.BytesIO(b"{}".ljust(length))
    if chunked:
        variables = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": stream}
        answer = client.post(ISSUE, headers=bearer, content_type="application/json", environ_overrides=variables)
    else:
        answer = client.post(
            ISSUE, headers=bearer, content_type="application/json", input_stream=stream, content_length=length
        )
    assert answer.status_code == status


def test_a_body_that_is_held_back() -> None:
    """Who began a request long ago is neither logged in by it, nor is its time that of now."""
    quick, held = (
        Request(EnvironBuilder(method="POST", data=b"{}").get_environ(), 0, tracing.create({})) for _ in range(2)
    )
    held.begun_s -= BODY_S
    assert quick.read() == b"{}"
    with pytest.raises(InvalidRequest, match="body: took longer than 10 s to arrive"):
        held.read()


class Torn:
    """A body that ends early, in the form of a server."""

    def read(self, _size: int) -> bytes:
        raise OSError("malformed")


def test_a_broken_body(client: FlaskClient, bearer: dict[str, str]) -> None:
    """It is the client's fault, and nothing is issued for half a body."""
    variables = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": Torn()}
    answer = client.post(ISSUE, headers=bearer, content_type="application/json", environ_overrides=variables)
    assert answer.status_code == 400
    assert answer.get_json()["type"] == "/problems/invalid-request"


@pytest.mark.parametrize("path", [ISSUE, VERIFY])
@pytest.mark.parametrize("name", ["appkey", "random_str"])
def test_an_unpaired_surrogate_is_a_bad_request(
    client: FlaskClient, bearer: dict[str, str], verifier: dict[str, str], path: str, name: str
) -> None:
    """JSON can spell it and the log cannot write it: the answer was a 500."""
    fields = {"appkey": made_up.APPKEY, "random_str": RANDOM_STR}
    if path == VERIFY:
        fields |= {"signature": "0" * 32, "timestamp": "1" * 13}
    content = json.dumps(fields | {name: "\ud800" * 20})
    headers = verifier if path == VERIFY else bearer
    answer = client.post(path, headers=headers, data=content, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["detail"] == "body: contains an unpaired surrogate, which is not valid text"


@pytest.mark.parametrize("path", [ISSUE, VERIFY])
def test_a_strangers_body_is_not_read(client: FlaskClient, path: str) -> None:
    """A request without a login is refused for that, before any other fault."""
    assert client.post(path, environ_overrides=UNREAD).status_code == 401


@pytest.mark.parametrize(("path", "accepted"), [(ISSUE, "accepted: "), (VERIFY, "a verifier key is required")])
def test_a_request_without_credentials_gets_the_accepted_ones(client: FlaskClient, path: str, accepted: str) -> None:
    """401 names the scheme in WWW-Authenticate, as HTTP demands, and the ways in `detail`."""
    answer = client.post(path)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="authsvc"'
    assert accepted in answer.get_json()["detail"]


@pytest.mark.parametrize("request_id", ["a", "x" * 128, "0-9.A_z", "4bf92f3577b34da6a3ce929d0e0e4736"])
@pytest.mark.parametrize("path", ["/healthz", ISSUE, "/nowhere"])
def test_a_well_formed_request_id_is_kept(client: FlaskClient, path: str, request_id: str) -> None:
    """It comes back in the header, and in the body of a refusal."""
    answer = client.get(path, headers={"X-Request-Id": request_id})
    assert answer.headers["X-Request-Id"] == request_id
    assert answer.get_json().get("request_id", request_id) == request_id


@pytest.mark.parametrize(
    "request_id",
    [
        "",
        " ",
        "a b",
        "a\n",
        "a\nERROR authsvc.views: forged",
        "a\r\nSet-Cookie: b=c",
        "\x1b[31m",
        "\x00",
        "ü",
        "\u00e6\u009e\u0081",  # 极 as WSGI hands it on
        "\u00e2\u0080\u00a8",  # a line separator, the same way
        "%0a",
        "x" * 129,
    ],
)
def test_any_other_request_id_is_replaced(client: FlaskClient, request_id: str) -> None:
    """Nothing that could break a log line or a header is taken over."""
    answer = client.get("/nowhere", environ_overrides={"HTTP_X_REQUEST_ID": request_id})
    made = answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert answer.get_json()["request_id"] == made


def test_every_request_id_made_is_another(client: FlaskClient) -> None:
    """A request without an id gets one that no other has."""
    assert len({client.get("/healthz").headers["X-Request-Id"] for _ in range(10)}) == 10


def test_an_allowed_origin_passes_the_preflight(client: FlaskClient) -> None:
    """Its pages may send the method, the credentials and the headers that a call needs."""
    asked = {
        "Origin": ALLOWED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = client.options(ISSUE, headers=asked)
    assert (answer.status_code, answer.get_data()) == (200, b"")
    headers = cors(answer)
    assert set(headers.pop("Access-Control-Allow-Methods").split(", ")) == {"POST", "OPTIONS"}
    assert {"Authorization", "traceparent"} <= set(headers.pop("Access-Control-Allow-Headers").split(", "))
    assert headers == {
        "Access-Control-Allow-Origin": ALLOWED,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": (
            "X-Request-Id, X-Server-Time-Ms, X-Expires-In-Ms, RateLimit, RateLimit-Policy, Retry-After"
        ),
        "Access-Control-Max-Age": "600",
    }


def test_more_headers_can_be_allowed(serve: Serve) -> None:
    """Those that the app's own code puts on every request."""
    headers = cors(serve(allowed_headers=("X-App-Version",)).options(ISSUE, headers={"Origin": ALLOWED}))
    assert headers["Access-Control-Allow-Headers"].endswith(", X-App-Version")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", ISSUE, "use POST"), ("PUT", "/v1/resource", "use GET"), ("DELETE", "/v1/resources", "use POST")],
)
def test_405_names_the_right_method(client: FlaskClient, method: str, path: str, expected: str) -> None:
    """In words, for who reads the answer; Allow has all of them."""
    body = client.open(path, method=method).get_json()
    assert body["detail"] == body["message"] == f"this path does not accept this method; {expected}"


@pytest.mark.parametrize("origin", [OTHER, "null", "http://app.example", "https://app.example:8443", None])
def test_no_other_origin_passes_the_preflight(client: FlaskClient, origin: str | None) -> None:
    """The answer has no CORS header at all, so the browser sends nothing further."""
    asked = {"Access-Control-Request-Method": "POST"} | ({} if origin is None else {"Origin": origin})
    assert cors(client.options(ISSUE, headers=asked)) == {}


def test_a_page_of_an_allowed_origin_can_read_the_answer(user: FlaskClient) -> None:
    """A payload and a refusal alike, or the page could not read the refusal."""
    headers = {"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"}
    issued = user.post(ISSUE, headers=headers)
    refused = user.post(ISSUE, headers=headers, json={"appkey": "another"})
    assert (issued.status_code, refused.status_code) == (200, 404)
    for answer in (issued, refused):
        assert cors(answer).keys() == {
            "Access-Control-Allow-Origin",
            "Access-Control-Allow-Credentials",
            "Access-Control-Expose-Headers",
        }
        assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED


def test_a_page_of_another_origin_cannot_read_the_answer(client: FlaskClient, bearer: dict[str, str]) -> None:
    """Not even with a token, which no browser adds by itself, so that the request is answered."""
    answer = client.post(ISSUE, headers=bearer | {"Origin": OTHER, "Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, cors(answer)) == (200, {})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://sub.localhost"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": ALLOWED}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OTHER}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Origin": OTHER}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
    ],
)
def test_a_cookie_counts_only_on_the_same_site(user: FlaskClient, headers: Mapping[str, str], status: int) -> None:
    """A page elsewhere cannot use the cookie that the browser adds by itself, and learns no payload by trying."""
    answer = user.post(ISSUE, headers=headers)
    assert answer.status_code == status
    assert ("signature" in answer.get_json()) is (status == 200)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/healthz", ISSUE, "/problems/expired", "/nowhere"])
@pytest.mark.parametrize("origin", [None, ALLOWED, OTHER])
def test_every_answer_varies_by_origin(client: FlaskClient, method: str, path: str, origin: str | None) -> None:
    """Else a cache on the way could give one origin's answer to another."""
    answer = client.open(path, method=method, headers={} if origin is None else {"Origin": origin})
    (vary,) = answer.headers.getlist("Vary")
    assert vary.split(", ")[0] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("OPTIONS", "/nowhere", 404),
        ("HEAD", "/nowhere", 404),
        ("GET", ISSUE, 405),
        ("HEAD", ISSUE, 405),
        ("POST", "/healthz", 405),
        ("NONSENSE", "/healthz", 405),
    ],
)
def test_no_route_and_no_method_have_the_shape_of_every_refusal(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    """No page of the framework's comes through; HEAD has the headers alone."""
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert ("Allow" in answer.headers) is (status == 405)
    if method == "HEAD":
        assert answer.get_data() == b""
    else:
        body = answer.get_json()
        assert body.keys() == {"type", "title", "status", "detail", "request_id", "retry", "code", "message"}
        assert (body["status"], body["code"], body["retry"]) == (status, 880002, "never")


def test_the_type_of_a_refusal_leads_to_its_help_page(client: FlaskClient, bearer: dict[str, str]) -> None:
    """The page has the title of the refusal."""
    refusal = client.post(ISSUE, headers=bearer, json={"random_str": "404"}).get_json()
    page = client.get(refusal["type"])
    assert page.mimetype == "text/html"
    assert refusal["title"] in page.get_data(as_text=True)


def test_not_ready_names_the_fault(client: FlaskClient, serve: Serve, store: Store) -> None:
    """All checks with their words, and the wrong ones in the sentence."""

    class Fast(Broken):
        def ping(self) -> Pulse:
            return Pulse(store.ping().clock_ms + 30_001, "maxmemory-policy is allkeys-lru")

    assert client.get("/readyz").get_json()["ready"] is True
    body = serve(store=Fast()).get("/readyz").get_json()
    wrong = "clock: 30001 ms off the store's, memory: maxmemory-policy is allkeys-lru"
    assert (body["detail"], body["status"]) == (wrong, 503)
    assert body["checks"] == {
        "secrets": "ok",
        "store": "ok",
        "clock": "30001 ms off the store's",
        "memory": "maxmemory-policy is allkeys-lru",
        "background": "ok",
        "vendor": "ok",
        "draining": "ok",
    }


class Broken:
    """A store with a bug."""

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        raise RuntimeError(f"{key} {value} {keep_ms} {since_ms}: the bug in its own words")

    def get(self, key: str) -> str | None:
        return key

    def put(self, key: str, value: str, *, keep_ms: int) -> None: ...

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        assert keep_ms
        return dict(hits)

    def ping(self) -> Pulse:
        return Pulse(0)

    def close(self) -> None: ...


def test_a_bug_is_logged_and_not_shown(
    serve: Serve, bearer: dict[str, str], verifier: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has the request id and no word of the bug; the log has the traceback under the same id."""
    client = serve(store=Broken())
    payload = client.post(ISSUE, headers=bearer).get_json()
    caplog.clear()
    answer = client.post(VERIFY, headers=verifier | {"X-Request-Id": "seen-by-the-caller"}, json=payload)
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert answer.get_json()["request_id"] == "seen-by-the-caller"
    assert (answer.get_json()["code"], answer.headers["Retry-After"]) == (882001, "5")
    shown = f"{answer.headers}{answer.get_data(as_text=True)}"
    assert not any(word in shown for word in ("bug", "RuntimeError", "Traceback", "verify:"))
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "request seen-by-the-caller failed")
    assert "the bug in its own words" in caplog.text


def test_no_refusal_is_logged(client: FlaskClient, bearer: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """The client's faults are in the answer only; they cannot fill the log."""
    for headers, body in (({}, {}), (bearer, {"random_str": "404"}), (bearer, {"unknown": 1})):
        assert client.post(ISSUE, headers=headers, json=body).status_code in {400, 401}
    assert client.get("/nowhere").status_code == 404
    assert caplog.records == []


def test_a_redirect_to_a_fresh_url_is_not_kept(serve: Serve, bearer: dict[str, str]) -> None:
    """Or a browser that asks for a fresh URL once more would be answered by its own cache with the stale one."""
    with vendor_stand_in() as stand_in:
        client = serve(vendor_url=stand_in.url)
        kept = [
            client.get(f"/v1/resource/a/b?fresh={fresh}", headers=bearer).headers["Cache-Control"]
            for fresh in ("false", "true")
        ]
    assert kept[0].startswith("private, max-age=3")
    assert kept[1] == "private, max-age=0"
    assert len(stand_in.asked) == 2


def test_a_batch_has_the_servers_clock(serve: Serve, clock: "Clock", bearer: dict[str, str]) -> None:
    """With it a page knows the validity of a URL, independent of its own clock."""
    with vendor_stand_in() as stand_in:
        answer = serve(vendor_url=stand_in.url).post("/v1/resources", headers=bearer, json={"media_ids": ["a"]})
    assert answer.headers["X-Server-Time-Ms"] == str(clock.now_ms)


def test_the_signature_is_bare_text(client: FlaskClient, clock: "Clock", bearer: dict[str, str]) -> None:
    """32 characters and nothing else, which jchat-web reads as they are."""
    asked = {"timestamp": clock.now_ms, "appkey": made_up.APPKEY, "randomStr": RANDOM_STR}
    answer = client.post("/v1/signature", headers=bearer, json=asked)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.get_data(as_text=True) == signature.sign(
        appkey=made_up.APPKEY, timestamp_ms=clock.now_ms, random_str=RANDOM_STR, master_secret=made_up.MASTER_SECRET
    )


def test_jchat_web_logs_in_registers_and_logs_in(
    client: FlaskClient, clock: "Clock", bearer: dict[str, str], verifier: dict[str, str]
) -> None:
    """Without a reload it has one randomStr, and three payloads of it that are each good once."""
    for _ in ("login", "register", "login"):
        clock.now_ms += 1_000
        asked = {"timestamp": clock.now_ms, "appkey": made_up.APPKEY, "randomStr": RANDOM_STR}
        signed = client.post("/v1/signature", headers=bearer, json=asked).get_data(as_text=True)
        presented = {
            "appkey": made_up.APPKEY,
            "random_str": RANDOM_STR,
            "signature": signed,
            "timestamp": str(clock.now_ms),
        }
        for status in (200, 409):
            assert client.post("/v1/auth-payload/verify", headers=verifier, json=presented).status_code == status
    assert client.post(ISSUE, headers=bearer, json={"random_str": RANDOM_STR}).status_code == 409


def test_the_signature_route_is_off_unless_set(serve: Serve, bearer: dict[str, str]) -> None:
    """Then there is no such route, for anybody."""
    answer = serve(signature_route=False).post("/v1/signature", headers=bearer, json={})
    assert (answer.status_code, answer.get_json()["type"]) == (404, "/problems/no-such-route")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/client.js", "text/javascript; charset=utf-8"), ("/client.d.ts", "application/typescript")],
)
def test_the_module_is_asked_for_anew_and_sent_once(client: FlaskClient, path: str, content_type: str) -> None:
    """A page of any origin may import it, without credentials; what it has already is not sent again."""
    answer = client.get(path, headers={"Origin": OTHER})
    assert answer.content_type == content_type
    assert cors(answer) == {"Access-Control-Allow-Origin": "*"}
    assert answer.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")
    contract.check_answer(again, f"GET {path}")
