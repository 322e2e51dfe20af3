"""The fast lane: it is taken in the plain case, and nobody can tell but by a clock."""

import json
import re
import string
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from authsvc import payload, signature
from authsvc.app import create_app
from authsvc.callers import Bearer
from authsvc.config import Settings
from authsvc.errors import StoreAway
from authsvc.limiter import Rate
from authsvc.media import MARGIN_MS
from authsvc.remembered import LIFE_MS
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.sqlite import SqliteStore
from tests import made_up
from tests.conftest import Clock, bearer_of
from tests.running import wait_until
from tests.vendor_stand_in import Asked, Told, url_of, vendor_stand_in

ISSUE, VERIFY, RESOURCE = "/v1/auth-payload", "/v1/auth-payload/verify", "/v1/resource"
NOW_MS = 1_750_000_000_000
Answer = tuple[str, list[tuple[str, str]], bytes]


COUNTED = ("requests", "payloads_issued", "payloads_verified", "refusals", "media_lookups", "vendor_calls")


class Pair:
    """
    Two services that differ in the lane alone, under one clock, each with a store of its own.

    When they are closed, what they logged and counted has to be the same too.
    """

    def __init__(self, base: Settings, folder: Path, stack: ExitStack, clock: Clock) -> None:
        self.clock = clock
        self.reached_flask = self.took_the_lane = 0
        self.logged: list[list[bytes]] = [[], []]
        stack.callback(self._compare)  # once both have stopped, and told all that there was to tell
        self.apps = [self._made(base, folder, stack, fast_lane=fast_lane) for fast_lane in (True, False)]
        per_process: Any = self.apps[0].wsgi_app
        lane = per_process.app
        beyond = lane._app

        def counting(environ: Any, start_response: Any) -> Any:
            self.reached_flask += 1
            return beyond(environ, start_response)

        lane._app = counting
        clock.now_ms += 1_000  # the stores are older than any payload

    def _made(self, base: Settings, folder: Path, stack: ExitStack, *, fast_lane: bool) -> Flask:
        store = open_store(f"sqlite://{folder}/{fast_lane}.db", now_ms=self.clock)
        app = create_app(base.model_copy(update={"fast_lane": fast_lane}), store=store, now_ms=self.clock)
        app.extensions["authsvc.monitoring"].log.write = self.logged[not fast_lane].append
        stack.callback(store.close)
        stack.callback(app.extensions["authsvc"].stop)
        return app

    def _compare(self) -> None:
        first, second = ([loggable(line) for line in b"".join(lines).splitlines()] for lines in self.logged)
        assert first == second
        first_counted, second_counted = (counted(app) for app in self.apps)
        assert first_counted == second_counted

    def ask(self, **options: Any) -> list[Answer]:
        """Ask both the same, and return what each answered."""
        return [asked(app, **options) for app in self.apps]


def asked(app: Flask, *, environ: Mapping[str, Any] | None = None, **options: Any) -> Answer:
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        told.extend((status, headers))

    given = EnvironBuilder(**({"path": ISSUE, "method": "POST"} | options)).get_environ() | dict(environ or {})
    body = b"".join(app(given, start_response))  # type: ignore[arg-type] # nobody here calls what it returns
    return told[0], told[1], body


def comparable(answer: Answer) -> Answer:
    """Return the answer without what is drawn anew for each."""
    status, told, body = answer
    kept = [(name, "…" if re.fullmatch("[0-9a-f]{32}", value) else value) for name, value in told]
    if body.startswith(b"{"):
        members = json.loads(body)
        drawn = {
            name: "…" * len(members[name]) for name in ("random_str", "signature", "request_id") if name in members
        }
        body = json.dumps({**members, **drawn}, separators=(",", ":")).encode()
    return status, kept, body


def loggable(line: bytes) -> dict[str, object]:
    """Return a line of the log without what is drawn anew for each request, and how long it took."""
    members: dict[str, object] = json.loads(line)
    members.pop("took_ms", None)
    if re.fullmatch("[0-9a-f]{32}", str(members["request_id"])):
        members["request_id"] = "…"
    if members["event"] == "issued":
        members["random_str"] = "…"
    return members


def counted(app: Flask) -> list[str]:
    """Return what was counted, and how often times were taken; not the times, nor what runs beside the requests."""
    lines = app.extensions["authsvc.monitoring"].metrics.text().decode().splitlines()
    names = (*(f"authsvc_{name}_total" for name in COUNTED), "authsvc_request_duration_seconds_count")
    claims = 'authsvc_store_calls_total{operation="add"'
    return sorted(line for line in lines if line.startswith((*names, claims)))


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[Pair]:
    """Two services, with and without."""
    with ExitStack() as stack:
        yield Pair(settings, tmp_path, stack, Clock(NOW_MS))


def test_the_plain_case_takes_the_lane(pair: Pair) -> None:
    """A token's first request never reaches Flask, nor do the next; all get the same bytes."""
    headers = bearer_of("ming")
    for _ in range(3):
        first, second = pair.ask(headers=headers)
        assert first[0] == "200 OK"
        assert comparable(first) == comparable(second)
        assert pair.reached_flask == 0


@pytest.mark.parametrize(
    "headers",
    [
        bearer_of("ming", exp=1),
        bearer_of("ming", aud="another"),
        bearer_of("m" * 256),
        {"Authorization": bearer_of("ming")["Authorization"] + "x"},
        {"Authorization": bearer_of("ming")["Authorization"] + ", Bearer x"},
        {"Authorization": "Bearer " + "x" * 8_193},
        {"Authorization": "Bearer é"},
        {"Authorization": "Bearer "},
    ],
    ids=["expired", "audience", "user", "signature", "two", "long", "text", "empty"],
)
def test_a_bad_token(pair: Pair, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    """The lane verifies it, once, and Flask tells of it."""
    verified: list[str] = []
    verify = Bearer.told_by

    def counting(self: Bearer, authorization: str, now_ms: int) -> str | None:
        verified.append(authorization)
        return verify(self, authorization, now_ms)

    monkeypatch.setattr(Bearer, "told_by", counting)
    first, second = pair.ask(headers=headers)
    assert first[0] == "401 UNAUTHORIZED"
    assert comparable(first) == comparable(second)
    assert pair.reached_flask == 1
    assert len(verified) == 2, "one service each"


ORIGINS = st.sampled_from(["https://app.example", "https://other.example", "null", "https://app.example:443", ""])
NAMES = st.text(string.ascii_letters + string.digits + "._-/ ", max_size=20)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Origin": ORIGINS,
        "X-Request-Id": NAMES | st.just("a" * 129),
        "Sec-Fetch-Site": st.sampled_from(["cross-site", "same-origin"]),
        "Cookie": st.sampled_from(["session=x", "a=b"]),
        "X-Gateway-Secret": st.sampled_from(["wrong", made_up.GATEWAY_SECRET]),
        "X-Forwarded-User": NAMES,
        "X-Holder": st.sampled_from(["connection-1", "connection-2", "a,b", "a b", ""]),
        "Content-Type": st.sampled_from(["application/json", "text/plain", ""]),
        "Content-Length": st.sampled_from(["0", "", "2", "x", "-1"]),
        "Transfer-Encoding": st.sampled_from(["chunked", "identity"]),
        "Accept": st.just("text/html"),
        "Host": st.sampled_from(["app.example", "a b", "", "localhost:8000", "[::1]"]),
        "traceparent": st.sampled_from([f"00-{'ab' * 16}-{'cd' * 8}-01", "nonsense"]),
        "Connection": st.just("close"),
        "Expect": st.just("100-continue"),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"headers": HEADERS},
    optional={
        "method": st.sampled_from(["GET", "HEAD", "OPTIONS", "PUT", "post"]),
        "path": st.sampled_from([f"{ISSUE}/", f"/{ISSUE}", "/v1/auth-payload/verify", "/V1/auth-payload"]),
        "query_string": st.sampled_from(["a=b", "appkey=x"]),
        "data": st.sampled_from([b"{}", b"", b"[]", b'{"appkey":"x"}', b" "]),
        "environ": st.sampled_from([{"SCRIPT_NAME": "/x"}, {"CONTENT_LENGTH": ""}, {"HTTP_AUTHORIZATION": "Bearer x"}]),
        "authorization": st.sampled_from(["bearer", "Bearer  ", "Basic "]),
        "later_ms": st.integers(0, 2 * LIFE_MS) | st.integers(-3_600_000, 0),
    },
)


FOREVER = bearer_of("ming", exp=NOW_MS // 1000 * 2)


@pytest.fixture
def unlimited(settings: Settings, tmp_path: Path) -> Iterator[Pair]:
    """Two services without a limit that counts."""
    with ExitStack() as stack:
        pair = Pair(settings.model_copy(update={"rate_limit": Rate(1_000_000, 60_000)}), tmp_path, stack, Clock(NOW_MS))
        yield pair
        assert pair.took_the_lane


@given(sequence=st.lists(REQUESTS, min_size=1, max_size=4))
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nobody_can_tell(unlimited: Pair, sequence: list[dict[str, Any]]) -> None:
    """Whatever is asked, both answer in the same bytes, apart from what is drawn anew."""
    pair, token = unlimited, FOREVER["Authorization"]
    pair.ask(headers=FOREVER)  # from now on both know it
    for request in sequence:
        options = dict(request)
        pair.clock.now_ms += options.pop("later_ms", 0)
        scheme = options.pop("authorization", None)
        authorization = token if scheme is None else scheme + token.removeprefix("Bearer")
        options["headers"] = {"Authorization": authorization} | options["headers"]
        reached_flask = pair.reached_flask
        first, second = pair.ask(**options)
        assert comparable(first) == comparable(second)
        pair.took_the_lane += pair.reached_flask == reached_flask


VERIFIER = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
Members = dict[str, object]


def payload_of(pair: Pair, **changed: object) -> Members:
    """Return a payload of now, signed as it is to be before a field is changed."""
    given: Members = {"appkey": made_up.APPKEY, "random_str": "Hs6nL0dYc2XwVb81mKfQ", "timestamp": pair.clock.now_ms}
    given |= {name: value for name, value in changed.items() if name in ("random_str", "timestamp")}
    signed = signature.sign(
        appkey=made_up.APPKEY,
        timestamp_ms=int(str(given["timestamp"])),
        random_str=str(given["random_str"]),
        master_secret=made_up.MASTER_SECRET,
    )
    return {**given, "timestamp": str(given["timestamp"]), "signature": signed, **changed}


def test_verifying_takes_the_lane(pair: Pair) -> None:
    """A good payload never reaches Flask; one that comes again does, for its refusal alone, and counts once."""
    for answer in (body := pair.ask(path=VERIFY, headers=VERIFIER, json=payload_of(pair))):
        assert answer[0] == "200 OK"
    assert comparable(body[0]) == comparable(body[1])
    assert pair.reached_flask == 0
    first, second = pair.ask(path=VERIFY, headers=VERIFIER, json=payload_of(pair))
    assert first[0] == "409 CONFLICT"
    assert comparable(first) == comparable(second)
    assert pair.reached_flask == 1


CHANGES: list[Members] = [
    {"signature": "0" * 32},
    {"signature": "x"},
    {"timestamp": NOW_MS - 600_000},
    {"timestamp": NOW_MS + 30_001},
    {"timestamp": 7},
    {"appkey": "another"},
    {"appkey": 7},
    {"holder": "connection-1"},
    {"holder": ""},
    {"holder": None},
    {"random_str": "short"},
    {"more": "x" * 100},
    {"more": "x" * 5_000},
]


@given(
    asked=st.lists(
        st.fixed_dictionaries(
            {"change": st.sampled_from([{}] * 12 + CHANGES)},
            optional={
                "headers": HEADERS,
                "data": st.sampled_from([b"{}", b"[]", b"{", b'{"appkey":"a","appkey":"b"}', b"\xff", b"", b"NaN"]),
                "authorization": st.sampled_from(["Bearer wrong", "bearer", "", f"bearer {made_up.VERIFIER_KEY}"]),
                "environ": st.sampled_from(
                    [
                        {"CONTENT_LENGTH": "4000"},
                        {"CONTENT_LENGTH": "10"},
                        {"CONTENT_LENGTH": "٣"},
                        {"SCRIPT_NAME": "/x"},
                    ]
                ),
                "content_type": st.sampled_from(["application/json; charset=utf-8", "text/plain", "Application/JSON"]),
            },
        ),
        min_size=1,
        max_size=4,
    ),
    fresh=st.integers(0, 10**15),
)
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nobody_can_tell_of_verifying(unlimited: Pair, asked: list[dict[str, Any]], fresh: int) -> None:
    """Whatever is presented, however often, both answer in the same bytes."""
    pair = unlimited
    pair.clock.now_ms = NOW_MS + 1_000
    for request in asked:
        change = {"random_str": f"{fresh:020}"} | request["change"]
        headers = {"Authorization": request.get("authorization", VERIFIER["Authorization"])}
        content = json.dumps(payload_of(pair, **change)).encode()
        reached_flask = pair.reached_flask
        first, second = pair.ask(
            path=VERIFY,
            headers=headers | request.get("headers", {}),
            data=request.get("data", content),
            content_type=request.get("content_type", "application/json"),
            environ=request.get("environ"),
        )
        assert comparable(first) == comparable(second)
        pair.took_the_lane += pair.reached_flask == reached_flask


MEDIA_ID = "qiniu/image/j/a-b_c.d"
NEARLY = (
    *[MEDIA_ID, MEDIA_ID.replace("/", "%2F")] * 3,
    *(MEDIA_ID.replace("/", "%2f"), MEDIA_ID.replace("-", "%2D"), MEDIA_ID.replace("/", "%252F"), f"{MEDIA_ID}+"),
    *(
        f"{MEDIA_ID};a=b",
        f"%20{MEDIA_ID}",
        f"/{MEDIA_ID}",
        MEDIA_ID.upper(),
        "qiniu/image/j/another",
        "..",
        "",
        "%",
        "é",
    ),
)


@pytest.fixture
def with_media(settings: Settings, tmp_path: Path) -> Iterator[Pair]:
    """Two services that remember one media id, of a vendor who knows no other, and a user; the lane is taken."""

    def tell(told_of: Asked) -> Told:
        is_known = dict(told_of.query)["mediaId"] == MEDIA_ID
        return Told.json({"url": url_of(told_of, now_s=NOW_MS / 1000)}) if is_known else Told(404)

    with ExitStack() as stack:
        stand_in = stack.enter_context(vendor_stand_in())
        stand_in.tell = tell
        changed = {"vendor_url": stand_in.url, "rate_limit": Rate(1_000_000, 60_000)}
        pair = Pair(settings.model_copy(update=changed), tmp_path, stack, Clock(NOW_MS))
        first, second = pair.ask(path=RESOURCE, method="GET", query_string=f"media_id={MEDIA_ID}", headers=FOREVER)
        assert first[0] == second[0] == "200 OK"
        assert pair.reached_flask == 1
        pair.reached_flask = 0
        yield pair
        assert pair.took_the_lane


@pytest.mark.parametrize("media_id", [MEDIA_ID, MEDIA_ID.replace("/", "%2F")])
def test_a_remembered_url_takes_the_lane(with_media: Pair, media_id: str) -> None:
    """It never reaches Flask, until the URL is about to expire."""
    pair, asking = with_media, {"path": RESOURCE, "method": "GET", "headers": FOREVER}
    first, second = pair.ask(query_string=f"media_id={media_id}", **asking)
    assert json.loads(first[2])["code"] == 0
    assert comparable(first) == comparable(second)
    assert pair.reached_flask == 0
    pair.took_the_lane += 1
    pair.clock.now_ms = json.loads(first[2])["expires_at_ms"] - MARGIN_MS
    pair.ask(query_string=f"media_id={media_id}", **asking)
    assert pair.reached_flask == 1


@given(
    query_string=st.sampled_from(
        ["media_id=", "media_id=&media_id=", "appkey=x&media_id=", "MEDIA_ID=", "a=b&media_id="]
    )
    .flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(list(NEARLY)), st.sampled_from(["", "&a=b", "#", "%00"]))
    )
    .map("".join),
    method=st.sampled_from(["GET"] * 5 + ["HEAD", "POST", "OPTIONS"]),
    headers=HEADERS,
    authorization=st.sampled_from([FOREVER["Authorization"]] * 9 + ["Bearer x"]),
)
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nobody_can_tell_of_media(
    with_media: Pair, query_string: str, method: str, headers: dict[str, str], authorization: str
) -> None:
    """Whatever is asked for, both answer in the same bytes."""
    pair, reached_flask = with_media, with_media.reached_flask
    first, second = pair.ask(
        path=RESOURCE, method=method, query_string=query_string, headers={"Authorization": authorization} | headers
    )
    assert comparable(first) == comparable(second)
    pair.took_the_lane += pair.reached_flask == reached_flask


class Breaking:
    """A body whose connection breaks."""

    def read(self, _size: int = -1) -> bytes:
        raise OSError("made up")


def test_a_body_whose_connection_breaks(pair: Pair) -> None:
    """It is as if the rest had not come."""
    broken = {"wsgi.input": Breaking(), "CONTENT_LENGTH": "10", "CONTENT_TYPE": "application/json"}
    first, second = pair.ask(path=VERIFY, headers=VERIFIER, environ=broken)
    assert first[0] == "400 BAD REQUEST"
    assert comparable(first) == comparable(second)


def test_a_claim_is_not_made_twice(settings: Settings, tmp_path: Path, clock: Clock) -> None:
    """What went wrong in the middle of a claim is told, and the claim not tried again: it would find itself made."""
    asked_for: list[str] = []

    class Failing(SqliteStore):
        def add(self, key: str, *_: object, **__: object) -> bool:
            asked_for.append(key)
            raise StoreAway

    store = Failing(str(tmp_path / "failing.db"), now_ms=clock)
    app = create_app(settings, store=store, now_ms=clock)
    signed = payload.issue(
        appkey=made_up.APPKEY, master_secret=made_up.MASTER_SECRET, random_str="a" * 32, now_ms=clock.now_ms
    )
    answer = app.test_client().post(VERIFY, json=signed.to_dict(), headers=VERIFIER)
    app.extensions["authsvc"].stop()
    store.close()
    assert answer.status_code == 503
    assert len(asked_for) == 1


@pytest.mark.parametrize("place", ["callers.Bearer.told_by", "limiter.Limiter.hit"])
def test_a_bug_is_told_as_any(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """What nobody expects is answered in the one shape, and logged once, with its traceback."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the bug in its own words")

    monkeypatch.setattr(f"authsvc.{place}", fail)
    caplog.clear()
    first, second = pair.ask(headers=bearer_of("ming"))
    assert first[0] == "500 INTERNAL SERVER ERROR"
    assert comparable(first) == comparable(second)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_a_bug_behind_the_claim(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says of which payload it was, on the lane too: it has been used up."""
    add = SqliteStore.add

    def fail(self: SqliteStore, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        add(self, key, value, keep_ms=keep_ms, since_ms=since_ms)
        raise RuntimeError("made up")

    monkeypatch.setattr(SqliteStore, "add", fail)
    signed = payload_of(pair)
    first, second = pair.ask(path=VERIFY, headers=VERIFIER, json=signed)
    assert first[0] == "500 INTERNAL SERVER ERROR"
    assert comparable(first) == comparable(second)
    wait_until(lambda: all(pair.logged), timeout_s=5)
    for lines in pair.logged:
        request, refused = map(loggable, b"".join(lines).splitlines())
        assert request["status"] == 500
        assert (refused["event"], refused["app"], refused["random_str"]) == ("refused", made_up.APPKEY, "Hs6nL0dY")


def test_limits_run_down_alike(pair: Pair, settings: Settings) -> None:
    """The last request that is allowed, and the first that is not, are the same on both; then the window is new."""
    headers = bearer_of("ming")
    statuses = []
    for _ in range(settings.rate_limit.limit + 2):
        first, second = pair.ask(headers=headers)
        assert comparable(first) == comparable(second)
        statuses.append(first[0][:3])
    assert statuses == ["200"] * settings.rate_limit.limit + ["429"] * 2
    pair.clock.now_ms += settings.rate_limit.window_ms
    assert [answer[0] for answer in pair.ask(headers=headers)] == ["200 OK"] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"jwt_single_use": True},
        {"jwt_key": None, "jwt_algorithms": ()},
        {"apps": "two"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_where_there_is_no_plain_case(settings: Settings, tmp_path: Path, changed: dict[str, Any]) -> None:
    """Tokens that are good once, other ways to log in, apps of which none is the default."""
    if changed.get("apps") == "two":
        (only,) = settings.apps
        others = [type(only)(appkey, Secret(made_up.OTHER_MASTER_SECRET)) for appkey in ("one", "two")]
        changed = {"apps": tuple(others)}
    with ExitStack() as stack:
        pair = Pair(settings.model_copy(update=changed), tmp_path, stack, Clock(NOW_MS))
        headers = bearer_of("ming", jti="made-up", iat=NOW_MS // 1000)
        for number in range(1, 4):
            first, second = pair.ask(headers=headers)
            assert comparable(first) == comparable(second)
            assert pair.reached_flask == number
        first, second = pair.ask(path=RESOURCE, method="GET", query_string=f"media_id={MEDIA_ID}", headers=headers)
        assert comparable(first) == comparable(second)
        assert pair.reached_flask == 4


def test_a_reload_forgets_tokens(pair: Pair) -> None:
    """What another key signed is not remembered past it; the callers' own test has the rest."""
    per_process: Any = pair.apps[0].wsgi_app
    lane = per_process.app
    headers = bearer_of("ming")
    pair.ask(headers=headers)
    assert lane._callers.bearer(headers["Authorization"], NOW_MS) == "ming"
    lane._callers.replace([])
    assert lane._callers.bearer(headers["Authorization"], NOW_MS) is None
