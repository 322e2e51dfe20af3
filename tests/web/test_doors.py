"""Both doors: the direct one is used wherever possible, and only the time distinguishes them."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, signals
from flask.sessions import SecureCookieSessionInterface
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.test import EnvironBuilder

from authsvc.app import create_app
from authsvc.auth.token_cache import LIFE_MS
from authsvc.payloads import payload
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores import open_store
from authsvc.stores.sqlite import SqliteStore
from authsvc.telemetry import spans
from authsvc.vendor.media import MARGIN_MS
from tests.conftest import Clock, bearer_of, direct_door_closed
from tests.support import made_up
from tests.support.running import wait_until
from tests.support.vendor_stand_in import Asked, Reply, url_of, vendor_stand_in

ISSUE, VERIFY, BOOT, SIGN = "/v1/auth-payload", "/v1/auth-payload/verify", "/v1/bootstrap", "/v1/signature"
RESOURCE, BATCH = "/v1/resource", "/v1/resources"
NOW_MS = 1_750_000_000_000
COUNTED = ("requests", "payloads_issued", "payloads_verified", "refusals", "media_lookups", "vendor_calls")
MEDIA_ID = "qiniu/image/j/a-b_c.d"
VERIFIER = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
GATEWAY = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "hua"}
TRACEPARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
DRAWN = re.compile("[0-9a-f]{32}")
Answer = tuple[str, list[tuple[str, str]], bytes]
Members = dict[str, object]


def cookie_of(user_id: str) -> str:
    """Return the session cookie of a user of the app, signed now by the clock of the system."""
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return f"session={serializer.dumps({'_user_id': user_id})}"


FOREVER = bearer_of("ming", exp=NOW_MS // 1000 * 2)
COOKIE = {"Cookie": f"lang=zh; {cookie_of('ming')}"}
USERS = [FOREVER, COOKIE, GATEWAY]


class Pair:
    """
    Two services that differ in their door alone, under one clock, each with a store of its own.

    When they are closed, what they logged, counted and traced has to be the same too.
    """

    def __init__(self, base: Settings, folder: Path, stack: ExitStack, clock: Clock, *, traced: bool = False) -> None:
        self.clock = clock
        self.reached_flask = self.asked = 0
        self.logged: list[list[bytes]] = [[], []]
        self.spans = [InMemorySpanExporter(), InMemorySpanExporter()]
        self._traced = traced
        stack.callback(self._compare)  # once both have stopped and logged everything
        self.apps = [self._made(base, folder, stack, number) for number in range(2)]
        per_process: Any = self.apps[0].wsgi_app
        direct = per_process.app
        beyond = direct.flask

        def counting(environ: Any, start_response: Any) -> Any:
            self.reached_flask += 1
            return beyond(environ, start_response)

        direct.flask = counting
        clock.now_ms += 1_000  # the stores are older than any payload

    def _made(self, base: Settings, folder: Path, stack: ExitStack, number: int) -> Flask:
        store = open_store(f"sqlite://{folder}/{number}.db", now_ms=self.clock)
        with pytest.MonkeyPatch.context() as patch, direct_door_closed() if number else nullcontext():
            patch.setattr(spans, "EXPORTERS", {"console": lambda: self.spans[number]})
            variables = {"OTEL_TRACES_EXPORTER": "console"} if self._traced else {}
            app = create_app(base, store=store, now_ms=self.clock, variables=variables)
        app.extensions["authsvc.recorder"].log.write = self.logged[number].append
        stack.callback(store.close)
        stack.callback(app.extensions["authsvc"].stop)
        return app

    def _compare(self) -> None:
        first, second = ([loggable(line) for line in b"".join(lines).splitlines()] for lines in self.logged)
        assert first == second
        first_counted, second_counted = (counted(app) for app in self.apps)
        assert first_counted == second_counted
        first_spans, second_spans = ([traceable(span) for span in one.get_finished_spans()] for one in self.spans)
        assert first_spans == second_spans
        assert len(first_spans) == (self.asked if self._traced else 0)

    def ask(self, **options: Any) -> Answer:
        """Ask both the same, and return what the direct one answered; the other answered the same."""
        self.asked += 1
        first, second = (asked(app, **options) for app in self.apps)
        assert comparable(first) == comparable(second)
        return first


def asked(app: Flask, *, environ: Mapping[str, Any] | None = None, **options: Any) -> Answer:
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        head.extend((status, headers))

    given = EnvironBuilder(**({"path": ISSUE, "method": "POST"} | options)).get_environ() | dict(environ or {})
    body = b"".join(app(given, start_response))  # type: ignore[arg-type] # nobody here calls what it returns
    return head[0], head[1], body


def comparable(answer: Answer) -> Answer:
    """Return the answer without what is drawn anew for each."""
    status, headers, body = answer
    kept = [(name, "…" if DRAWN.fullmatch(value) else value) for name, value in headers]
    # Flask names the methods of a path in an order of its own for each process and path.
    kept = [(name, ", ".join(sorted(value.split(", "))) if name == "Allow" else value) for name, value in kept]
    return status, kept, re.sub(rb'(?<=")[0-9a-f]{32}(?=")|^[0-9a-f]{32}$', b"...", body)


def loggable(line: bytes) -> dict[str, object]:
    """Return a line of the log without what is drawn anew for each request, and how long it took."""
    members: dict[str, object] = json.loads(line)
    members.pop("took_ms", None)
    for name in ("request_id", "trace_id"):
        if DRAWN.fullmatch(str(members.get(name))) and members[name] != "ab" * 16:
            members[name] = "…"
    if members["event"] == "issued":
        members["random_str"] = "…"
    return members


def counted(app: Flask) -> list[str]:
    """Return what was counted, and how often times were taken; not the times, nor what runs beside the requests."""
    lines = app.extensions["authsvc.recorder"].metrics.text().decode().splitlines()
    names = (*(f"authsvc_{name}_total" for name in COUNTED), "authsvc_request_duration_seconds_count")
    claims = 'authsvc_store_calls_total{operation="add"'
    return sorted(line for line in lines if line.startswith((*names, claims)))


def traceable(span: ReadableSpan) -> tuple[object, ...]:
    """Return the facts of a span, without its random ids and its times."""
    parent = None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
    return span.name, span.kind, parent, dict(span.attributes or {}), span.status.status_code


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[Pair]:
    """Two services."""
    with ExitStack() as stack:
        yield Pair(settings, tmp_path, stack, Clock(NOW_MS))


@pytest.fixture(params=[False, True], ids=["untraced", "traced"])
def unlimited(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two services without a limit that counts, of a vendor who knows one media_id, and registers everybody."""

    def reply_to(told_of: Asked) -> Reply:
        if told_of.method == "POST":
            return Reply.json([{}], status=201)
        is_known = dict(told_of.query)["mediaId"] == MEDIA_ID
        return Reply.json({"url": url_of(told_of, now_s=NOW_MS / 1000)}) if is_known else Reply(404)

    with ExitStack() as stack:
        stand_in = stack.enter_context(vendor_stand_in())
        stand_in.reply = reply_to
        many = Rate(1_000_000, 60_000)
        changed = {"vendor_url": stand_in.url, "rate_limit": many, "vendor_budget": Rate(8_000_000, 60_000)}
        changed |= {"account_key": Secret(made_up.ACCOUNT_KEY)}
        clock = Clock(NOW_MS)
        pair = Pair(settings.model_copy(update=changed), tmp_path, stack, clock, traced=request.param)
        yield pair
        assert pair.asked > pair.reached_flask


def payload_of(pair: Pair, **changed: object) -> Members:
    """Return a payload of now."""
    signed = payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=str(changed.get("random_str", "Hs6nL0dYc2XwVb81mKfQ")),
        now_ms=pair.clock.now_ms,
    )
    return signed.to_dict() | changed


@pytest.mark.parametrize("user", USERS, ids=["bearer", "cookie", "gateway"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", ISSUE, None),
        ("POST", ISSUE, {"appkey": made_up.APPKEY, "random_str": "r" * 32}),
        ("POST", BOOT, None),
        ("POST", SIGN, {"appkey": made_up.APPKEY, "timestamp": NOW_MS, "randomStr": "r" * 32}),
        ("GET", f"{RESOURCE}?media_id={MEDIA_ID}", None),
        ("GET", f"{RESOURCE}/{MEDIA_ID}", None),
        ("POST", BATCH, {"media_ids": [MEDIA_ID, "another"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_route_takes_the_direct_door(
    unlimited: Pair, user: dict[str, str], method: str, path: str, body: Members | None
) -> None:
    """By every way of logging in, with a body or without, traced or not: Flask hears of none."""
    given = {} if body is None else {"json": body}
    assert unlimited.ask(method=method, path=path, headers=user, **given)[0] in {"200 OK", "302 FOUND"}
    assert unlimited.ask(method=method, path=path)[0] == "401 UNAUTHORIZED"
    assert unlimited.reached_flask == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.yaml", "/client.js", "/client.d.ts"])
def test_what_has_no_user_takes_the_direct_door(pair: Pair, path: str) -> None:
    """A copy that is still good is not sent again, by either."""
    status, headers, _ = pair.ask(method="GET", path=path)
    assert status == "200 OK"
    etag = dict(headers).get("ETag", "none")
    assert pair.ask(method="GET", path=path, headers={"If-None-Match": etag})[0] in {"200 OK", "304 NOT MODIFIED"}
    assert pair.reached_flask == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"method": "HEAD", "path": "/healthz"},
        {"method": "OPTIONS"},
        {"method": "post"},
        {"path": f"{ISSUE}/"},
        {"path": f"{RESOURCE}/", "method": "GET"},
        {"path": f"{RESOURCE}/é", "method": "GET"},
        {"path": "/problems/expired", "method": "GET"},
        {"environ": {"SCRIPT_NAME": "/x"}},
        {"headers": {"Connection": "Upgrade", "Upgrade": "websocket"}},
    ],
    ids=str,
)
def test_what_is_flasks_own(pair: Pair, odd: dict[str, Any]) -> None:
    """Methods and paths that are not those of the table, to the letter, and prefixes."""
    pair.ask(**odd)
    assert pair.reached_flask == 1


def test_the_direct_door_stays_open(pair: Pair) -> None:
    """A first request that Flask refuses closes it for none of the next; it did."""
    pair.ask(path="/nowhere")
    pair.ask(headers=FOREVER)
    assert pair.reached_flask == 1


@pytest.mark.parametrize("signal", [signals.request_started, signals.request_finished])
def test_a_receiver_of_signals_gets_every_request(settings: Settings, tmp_path: Path, signal: Any) -> None:
    """It may be connected before the app is made, as error reporting is."""
    calls: list[Flask] = []

    def note(app: Flask, **_: object) -> None:
        calls.append(app)

    with signal.connected_to(note):
        store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=Clock(NOW_MS))
        app = create_app(settings, store=store, now_ms=Clock(NOW_MS + 1_000))
        app.test_client().post(ISSUE, headers=FOREVER)
        app.extensions["authsvc"].stop()
        store.close()
    assert calls == [app]


@pytest.mark.parametrize("hook", ["before_request", "after_request", "teardown_request"])
def test_an_extension_sees_every_request(settings: Settings, tmp_path: Path, hook: str) -> None:
    """What is hung on the Flask app before its first request is called for each."""
    calls: list[object] = []

    def note(*given: Response) -> Response | None:
        calls.append(given)
        return given[0] if hook == "after_request" else None

    store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=Clock(NOW_MS))
    app = create_app(settings, store=store, now_ms=Clock(NOW_MS + 1_000))
    getattr(app, hook)(note)
    for _ in range(2):
        assert app.test_client().post(ISSUE, headers=FOREVER).status_code == 200
    app.extensions["authsvc"].stop()
    store.close()
    assert len(calls) == 2


@pytest.mark.parametrize(
    "headers",
    [
        bearer_of("ming", exp=1),
        bearer_of("m" * 256),
        {"Authorization": FOREVER["Authorization"] + "x"},
        {"Authorization": FOREVER["Authorization"] + ", Bearer x"},
        {"Authorization": "Bearer " + "x" * 8_193},
        {"Authorization": "Bearer é"},
        {"Authorization": "Bearer "},
        {"Cookie": "session=x"},
        GATEWAY | {"X-Gateway-Secret": "wrong"},
        COOKIE | {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=["expired", "user", "signature", "two", "long", "text", "empty", "cookie", "gateway", "cross-site"],
)
def test_a_bad_login(pair: Pair, headers: dict[str, str]) -> None:
    """It is refused at the direct door too, with two lines in the log: the request's, and the payload's."""
    assert pair.ask(headers=headers)[0][:3] in {"401", "403"}
    assert pair.reached_flask == 0
    wait_until(lambda: all(pair.logged))
    for lines in pair.logged:
        assert [loggable(line)["event"] for line in b"".join(lines).splitlines()] == ["request", "refused"]


@pytest.mark.parametrize(
    ("header", "tag"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("zh-TW,en;q=0.5", "zh-CN"), ("en", "en")]
)
def test_refused_in_the_language_asked_for(unlimited: Pair, header: str, tag: str) -> None:
    """A refusal alone, and one within an answer; an answer without words is the same in all languages."""
    nobody = {"Accept-Language": header}
    user = FOREVER | nobody
    refused: list[dict[str, Any]] = [
        {"headers": nobody},
        {"headers": user, "json": {"random_str": "short"}},
        {"headers": user, "path": BATCH, "json": {"media_ids": [MEDIA_ID, "another"]}},
        {"headers": nobody, "path": "/nowhere"},
    ]
    for options in refused:
        _, headers, body = unlimited.ask(**options)
        assert ("Content-Language", tag) in headers
        assert ("Vary", "Origin, Accept-Language") in headers
        members = json.loads(body)
        message = members["results"]["another"]["message"] if "results" in members else members["message"]
        assert (re.search("[\u4e00-\u9fff]", message) is not None) is (tag == "zh-CN")
    issued = dict(unlimited.ask(headers=user)[1])
    assert (issued.get("Content-Language"), issued["Vary"]) == (None, "Origin")


USER_HEADERS = st.sampled_from([*USERS * 4, VERIFIER, {}, {"Authorization": "Bearer x"}, FOREVER | GATEWAY])
NAMES = st.text("abzAZ019._-/ ", max_size=20)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Origin": st.sampled_from(["https://app.example", "https://other.example", "null", "http://localhost", ""]),
        "X-Request-Id": NAMES | st.just("a" * 129),
        "Sec-Fetch-Site": st.sampled_from(["cross-site", "same-origin"]),
        "Cookie": st.sampled_from(["session=x", "a=b", 'session="x\\073"; session=y', COOKIE["Cookie"]]),
        "X-Forwarded-User": NAMES,
        "X-Holder": st.sampled_from(["connection-1", "connection-2", "a,b", "a b", ""]),
        "Accept": st.just("text/html"),
        "Accept-Language": st.sampled_from(["zh-TW,en;q=0.5", "en-US,en;q=0.9,zh;q=0.8", "zh;q=0", "*", "", ";=,é"]),
        "Host": st.sampled_from(["app.example", "a b", "", "localhost:8000", "[::1]"]),
        "traceparent": st.sampled_from([TRACEPARENT, "nonsense"]),
        "Connection": st.just("close"),
        "Upgrade": st.just("websocket"),
        "If-None-Match": st.just('W/"x"'),
    },
)
IDS = st.sampled_from(
    [
        *(MEDIA_ID, MEDIA_ID.replace("/", "%2F"), MEDIA_ID.replace("/", "%252F"), f"{MEDIA_ID}+", f"/{MEDIA_ID}"),
        *("a/../b", "", "%", "é", "%C3%A9", "%FF", "a%00b", "another"),
    ]
)
QUERIES = st.tuples(
    st.sampled_from(["media_id=", "media_id=", "media_id=a&media_id=", "appkey=x&media_id=", "a=b&media_id="]),
    IDS,
    st.sampled_from(["", "", "&a=b", "&appkey=", f"&appkey={made_up.APPKEY}", "&fresh=true", "&fresh=1", "#"]),
).map("".join)
PATHS = (
    st.sampled_from([ISSUE, VERIFY, BOOT, SIGN, BATCH] * 2 + [RESOURCE, "/healthz", "/readyz", "/client.js", "/"])
    | st.sampled_from([f"{ISSUE}/", f"/{ISSUE}", "/V1/auth-payload", f"{RESOURCE}/", f"/x{ISSUE}", "/problems/x"])
    | st.just("/problems/expired")
    | IDS.map(lambda media_id: f"{RESOURCE}/{media_id}")
)
RANDOM_STRS = st.sampled_from(["r" * 32, "short", "x" * 37, 7, None])
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "appkey": st.sampled_from([made_up.APPKEY] * 4 + ["another", 7]),
        "random_str": RANDOM_STRS,
        "randomStr": RANDOM_STRS,
        "timestamp": st.sampled_from([NOW_MS, str(NOW_MS), NOW_MS // 1000, 7]),
        "media_ids": st.lists(st.sampled_from([MEDIA_ID, "another", "a/../b", 7]), max_size=3),
        "renew_login": st.booleans(),
        "fresh": st.booleans(),
        "holder": st.sampled_from(["connection-1", "", None]),
        "more": st.sampled_from(["x", "é", "x" * 66_000]),
    },
)
PRESENTED: list[Members] = [{}] * 4
PRESENTED += [{"signature": "0" * 32}, {"signature": "x"}, {"timestamp": 7}, {"timestamp": str(NOW_MS - 600_000)}]
PRESENTED += [{"holder": "one"}, {"holder": ""}, {"random_str": "short"}, {"appkey": "another"}]
RAW = st.sampled_from([b"{}", b"", b"[]", b"{", b'{"appkey":"a","appkey":"b"}', b"\xff", b"NaN", b'"\\ud800"', b" "])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request: mostly one that is nearly right, for the path that it is sent to."""
    path = draw(PATHS)
    is_get = path.startswith((RESOURCE + "/", "/healthz", "/readyz", "/client")) or path == RESOURCE
    usual = "GET" if is_get else "POST"
    options: dict[str, Any] = {
        "path": path,
        "method": draw(st.sampled_from([usual] * 9 + ["GET", "HEAD", "OPTIONS", "PUT", "POST", "post"])),
        "headers": draw(USER_HEADERS) | draw(HEADERS),
        "environ": {"SERVER_PROTOCOL": draw(st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2"]))},
    }
    environ = options["environ"]
    if path == RESOURCE or not draw(st.integers(0, 9)):
        environ["QUERY_STRING"] = draw(QUERIES).encode().decode("latin-1")
    if not draw(st.integers(0, 19)):
        environ["SCRIPT_NAME"] = "/x"
    if path == VERIFY:
        options["headers"] |= draw(st.sampled_from([VERIFIER] * 9 + [{}]))
        options["presented"] = draw(st.sampled_from(PRESENTED))
    elif not is_get and draw(st.booleans()):
        options["data"] = draw(RAW | BODIES.map(lambda members: json.dumps(members).encode()))
    types = ["application/json"] * 5 + ["application/json; charset=utf-8", "Application/JSON", "text/plain", ""]
    options["content_type"] = draw(st.sampled_from(types))
    coding = draw(st.sampled_from(["length"] * 5 + ["chunked", "cut", "broken", "none", "odd"]))
    environ |= {
        "length": {},
        "chunked": {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        "cut": {"CONTENT_LENGTH": "70"},
        "broken": {"wsgi.input": Breaking(), "CONTENT_LENGTH": "10"},
        "none": {"CONTENT_LENGTH": ""},
        "odd": {"CONTENT_LENGTH": draw(st.sampled_from(["x", "-1", "٣", "0", "99999999"]))},
    }[coding]
    options["later_ms"] = draw(st.sampled_from([0] * 5 + [1, LIFE_MS, -300_000]))
    return options


class Breaking:
    """A body whose connection breaks."""

    def read(self, _size: int = -1) -> bytes:
        raise OSError("made up")


@given(sequence=st.lists(requests(), min_size=1, max_size=5))
@hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_both_doors_give_equal_answers(unlimited: Pair, sequence: list[dict[str, Any]]) -> None:
    """Whatever is asked, both answer in the same bytes, apart from what is drawn anew; and log, count and trace it."""
    for request in sequence:
        options = dict(request)
        # Within five minutes, in which no store forgets a claim: when it does so is a matter of its threads.
        moved_ms = unlimited.clock.now_ms + options.pop("later_ms")
        unlimited.clock.now_ms = min(max(NOW_MS + 1_000, moved_ms), NOW_MS + 300_000)
        changed = options.pop("presented", None)
        if changed is not None:
            options["data"] = json.dumps(payload_of(unlimited, **changed)).encode()
        unlimited.ask(**options)


def test_a_cached_url_expires(unlimited: Pair) -> None:
    """The vendor is asked anew for a URL that is about to expire, by both."""
    asking = {"path": f"{RESOURCE}?media_id={MEDIA_ID}", "method": "GET", "headers": FOREVER}
    found = json.loads(unlimited.ask(**asking)[2])
    unlimited.clock.now_ms = found["expires_at_ms"] - MARGIN_MS
    assert unlimited.ask(**asking)[0] == "200 OK"


def test_a_body_without_length_over_http_2(pair: Pair) -> None:
    """There a body needs neither a length nor a transfer coding; a server that ends it has it read."""
    environ = {"SERVER_PROTOCOL": "HTTP/2", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    sent = {"headers": FOREVER, "data": b'{"appkey":"another"}', "content_type": "application/json"}
    assert pair.ask(environ=environ, **sent)[0] == "404 NOT FOUND"


def test_a_query_that_is_not_utf_8(pair: Pair) -> None:
    """It is the client's fault: the answer was a 500."""
    environ = {"QUERY_STRING": "media_id=\xff"}
    assert pair.ask(path=RESOURCE, method="GET", headers=FOREVER, environ=environ)[0] == "400 BAD REQUEST"


@pytest.mark.parametrize("place", ["auth.bearer.Bearer.user_id", "ratelimit.limiter.Limiter.hit"])
def test_a_bug_is_reported_alike_at_both_doors(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """What nobody expects is answered in the one shape, and logged once, with its traceback."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the bug in its own words")

    monkeypatch.setattr(f"authsvc.{place}", fail)
    caplog.clear()
    assert pair.ask(headers=FOREVER)[0] == "500 INTERNAL SERVER ERROR"
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_a_bug_behind_the_claim(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has the payload, because it is used up."""
    add = SqliteStore.add

    def fail(self: SqliteStore, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        add(self, key, value, keep_ms=keep_ms, since_ms=since_ms)
        raise RuntimeError("made up")

    monkeypatch.setattr(SqliteStore, "add", fail)
    assert pair.ask(path=VERIFY, headers=VERIFIER, json=payload_of(pair))[0] == "500 INTERNAL SERVER ERROR"
    wait_until(lambda: all(pair.logged))
    for lines in pair.logged:
        request, refused = map(loggable, b"".join(lines).splitlines())
        assert request["status"] == 500
        assert (refused["event"], refused["app"], refused["random_str"]) == ("refused", made_up.APPKEY, "Hs6nL0dY")


def test_limits_run_down_alike(pair: Pair, settings: Settings) -> None:
    """The last request that is allowed, and the first that is not, are the same on both; then the window is new."""
    statuses = [pair.ask(headers=FOREVER)[0][:3] for _ in range(settings.rate_limit.limit + 2)]
    assert statuses == ["200"] * settings.rate_limit.limit + ["429"] * 2
    pair.clock.now_ms += settings.rate_limit.window_ms
    assert pair.ask(headers=FOREVER)[0] == "200 OK"


def test_a_token_that_is_good_once(settings: Settings, tmp_path: Path) -> None:
    """It is used up by its first request, whichever door that takes."""
    with ExitStack() as stack:
        pair = Pair(settings.model_copy(update={"jwt_single_use": True}), tmp_path, stack, Clock(NOW_MS))
        headers = bearer_of("ming", jti="made-up", iat=NOW_MS // 1000)
        assert [pair.ask(headers=headers)[0][:3] for _ in range(2)] == ["200", "401"]
