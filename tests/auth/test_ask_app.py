"""Asking the app who is logged in: which requests, how often, how long an answer counts, and what a bad app costs."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authsvc.app import create_app
from authsvc.auth import auth_request
from authsvc.auth.ask_app import AppLogin, key_of
from authsvc.auth.auth_request import ASKED_HEADER, AT_ONCE, LoginUrl
from authsvc.outbound.circuit_breaker import FAILURES
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.settings.types import PREFIX
from authsvc.stores.store import Store
from tests.auth.logins import Asked, asking
from tests.backends import running as backends
from tests.conftest import Clock, Seen, bearer_of
from tests.support import made_up
from tests.support.app_stand_in import AppStandIn, Question, Reply, app_stand_in, user
from tests.support.running import Service, wait_until

ISSUE = "/v1/auth-payload"
CACHE_MS = 5000
COOKIE = {"Cookie": "sid=ming"}
TOKEN = {"Authorization": "Token ming"}
SITE = {"Origin": "http://localhost"}
OTHER_SITE = {"Origin": "https://evil.example"}
USERS = int(os.environ.get("PAGES", "1000"))

Issue = Callable[[Mapping[str, str]], TestResponse]


@pytest.fixture
def stand_in() -> Iterator[AppStandIn]:
    """An app in which whoever presents `…=NAME` or `… NAME` is the user of that name, except for a few."""

    def reply_to(question: Question) -> Reply:
        name = question.login.replace("=", " ").rpartition(" ")[2]
        return Reply(401) if name.startswith("nobody") else user(name)

    with app_stand_in() as stand_in:
        stand_in.reply = reply_to
        yield stand_in


def settings_for(url: str, **changed: object) -> Settings:
    """One app, and no way of logging in but to ask at this URL."""
    return Settings.model_validate(
        {
            "appkey": made_up.APPKEY,
            "master_secret": Secret(made_up.MASTER_SECRET),
            "login_url": url,
            "allowed_origins": frozenset({"https://app.example"}),
            "rate_limit": "1000/minute",
            "vendor_url": "http://127.0.0.1:9",  # nobody listens there
        }
        | changed
    )


@pytest.fixture
def serve(store: Store, clock: Clock, seen: Seen) -> Iterator[Callable[..., Flask]]:
    """Make a service that asks at a URL."""
    apps: list[Flask] = []

    def serve(url: str, **changed: object) -> Flask:
        apps.append(create_app(settings_for(url, **changed), store=store, now_ms=clock))
        return apps[-1]

    yield serve
    for app in apps:
        app.extensions["authsvc"].stop()


@pytest.fixture
def issue(serve: Callable[..., Flask], stand_in: AppStandIn) -> Issue:
    """Ask for a payload; of a service beside the stand-in."""
    return issue_of(serve(stand_in.url))


def issue_of(app: Flask) -> Issue:
    # One client for each: it is not made for several threads.
    return lambda headers: app.test_client(use_cookies=False).post(ISSUE, headers=headers)


def detail(response: TestResponse) -> str:
    return str(response.get_json()["detail"])


@pytest.fixture(params=backends.ASKED)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[backends.Backend]:
    """A real one."""
    folder = tmp_path / "backend"
    folder.mkdir()
    with backends.running(request.param, folder) as backend:
        yield backend


def test_users_of_a_real_back_end(backend: backends.Backend, serve: Callable[..., Flask], clock: Clock) -> None:
    """They get payloads until they are banned, strangers get none, and nobody does while it is down."""
    settings = {name.removeprefix(PREFIX).lower(): value for name, value in backend.settings.items()}
    issue = issue_of(serve(settings.pop("login_url"), **settings))
    ming, ana = backend.log_in("ming"), backend.log_in("ana")
    (name,) = ming
    for stranger in ({}, {name: f"{ming[name][:-12]}{'x' * 12}"}, {"Cookie": "theme=dark"}):
        assert issue(stranger).status_code == 401
    for headers in (ming, ana):
        assert issue(headers).status_code == 200
    backend.ban("ming")
    clock.now_ms += CACHE_MS - 1
    assert issue(ming).status_code == 200
    clock.now_ms += 1
    assert issue(ming).status_code == 401
    zoe = backend.log_in("zoe")
    backend.kill()
    refused = issue(zoe)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert b"signature" not in refused.data


@pytest.mark.parametrize("headers", [COOKIE, TOKEN, COOKIE | TOKEN, {"Authorization": "Bearer ming"}])
def test_a_cookie_or_any_authorization_is_asked_about(
    issue: Issue, stand_in: AppStandIn, headers: Mapping[str, str]
) -> None:
    """The request's Host and id go along, the one that we give it too, and once is enough for a while."""
    answers = [issue({"Host": "app.example"} | dict(headers)) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    (question,) = stand_in.questions
    assert question.headers["host"] == "app.example"
    assert question.headers["x-request-id"] == answers[0].headers["X-Request-Id"]


@pytest.mark.parametrize("headers", [{}, {"X-User": "ming"}, {"Origin": "http://localhost"}])
def test_a_request_without_a_login_is_not_asked_about(
    issue: Issue, stand_in: AppStandIn, headers: Mapping[str, str]
) -> None:
    """It is refused, and the refusal names what is accepted."""
    refused = issue(headers)
    assert refused.status_code == 401
    assert detail(refused).endswith(
        "accepted: an Authorization header that the app accepts, or a cookie that the app accepts"
    )
    assert stand_in.questions == []


def test_earlier_ways_decide(serve: Callable[..., Flask], stand_in: AppStandIn) -> None:
    """A bad JWT is refused though the app would know its cookie; what they do not know goes to the app."""
    issue = issue_of(
        serve(
            stand_in.url,
            jwt_key=Secret(made_up.JWT_KEY),
            jwt_algorithms=("HS256",),
            session_key=(Secret(made_up.SESSION_KEY),),
            gateway_secret=(Secret(made_up.GATEWAY_SECRET),),
        )
    )
    gateway = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "ana"}
    for headers, status in (
        (bearer_of("ana"), 200),
        ({"Authorization": "Bearer opaque"}, 401),
        ({"Authorization": "Bearer opaque"} | COOKIE, 401),
        ({"Cookie": "session=broken"}, 401),
        (gateway | COOKIE, 200),
    ):
        assert issue(headers).status_code == status
        assert stand_in.questions == []
    assert issue(COOKIE).status_code == issue(TOKEN).status_code == 200
    assert len(stand_in.questions) == 2


def test_a_refusal_counts_for_a_second(issue: Issue, stand_in: AppStandIn, clock: Clock) -> None:
    """And no longer: many apps keep a session's id when its user logs in."""
    stand_in.reply = lambda _: Reply(401)
    for _ in range(3):
        assert issue(COOKIE).status_code == 401
    assert len(stand_in.questions) == 1
    stand_in.reply = lambda _: user("ming")
    clock.now_ms += 999
    assert issue(COOKIE).status_code == 401
    clock.now_ms += 1
    assert issue(COOKIE).status_code == 200


def test_an_answer_may_count_for_one_request(serve: Callable[..., Flask], stand_in: AppStandIn) -> None:
    """With AUTHSVC_LOGIN_CACHE_S=0 each is asked about, refused ones too."""
    issue = issue_of(serve(stand_in.url, login_cache_s=0))
    for headers, status in (
        (COOKIE, 200),
        (COOKIE, 200),
        ({"Cookie": "sid=nobody"}, 401),
        ({"Cookie": "sid=nobody"}, 401),
    ):
        assert issue(headers).status_code == status
    assert len(stand_in.questions) == 4


def test_no_two_logins_have_one_key() -> None:
    """However cookie, token and host are cut, and two hosts of one app are two."""
    several = [
        ("ab", "c", ""), ("a", "bc", ""), ("abc", "", ""), ("", "abc", ""), ("bc", "", "a"), ("", "bc", "a"),
        ("", "", "abc"), ("ab", "c", "x"), ("b", "c", "xa"),
    ]  # fmt: skip
    assert len({key_of(*one) for one in several}) == len(several)


def test_an_answer_counts_at_its_host_alone(issue: Issue, stand_in: AppStandIn) -> None:
    """Several apps may be behind one URL."""
    stand_in.reply = lambda question: user("ming") if question.headers["host"] == "a.example" else Reply(401)
    for host, status in (("a.example", 200), ("b.example", 401), ("a.example", 200)):
        assert issue(COOKIE | {"Host": host}).status_code == status


def test_a_clock_that_is_set_back_makes_no_answer_older(issue: Issue, stand_in: AppStandIn, clock: Clock) -> None:
    assert issue(COOKIE).status_code == 200
    stand_in.reply = lambda _: Reply(401)
    clock.now_ms -= 60_000
    assert issue(COOKIE).status_code == 401


@pytest.mark.parametrize(
    ("headers", "is_checked"),
    [
        (COOKIE, True),
        (COOKIE | TOKEN, True),  # nobody but the app knows which of them logs in
        ({"Authorization": "Basic bWluZw"}, True),  # browsers send these by themselves
        ({"Authorization": "DIGEST ming"}, True),
        ({"Authorization": "Negotiate ming"}, True),
        ({"Authorization": "NTLM ming"}, True),
        (TOKEN, False),
        ({"Authorization": "Bearer ming"}, False),
        ({"Authorization": "ming"}, False),
    ],
)
def test_the_same_site_rule(issue: Issue, headers: dict[str, str], is_checked: bool) -> None:  # noqa: FBT001
    """It holds for whatever a browser may add by itself."""
    assert issue(headers | SITE).status_code == 200
    assert issue(headers | {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert issue(headers | OTHER_SITE).status_code == (403 if is_checked else 200)
    assert issue(headers | {"Sec-Fetch-Site": "cross-site"}).status_code == (403 if is_checked else 200)


def test_one_question_for_one_login(issue: Issue, stand_in: AppStandIn) -> None:
    """However many requests bring it at once, and whatever the answer."""
    for headers, status in ((COOKIE, 200), ({"Cookie": "sid=nobody"}, 401)):
        before = len(stand_in.questions)
        stand_in.answering.clear()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(issue, headers) for _ in range(AT_ONCE)]
            wait_until(lambda: stand_in.waiting() == 1)
            stand_in.answering.set()
            assert {answer.result().status_code for answer in asked} == {status}
        assert len(stand_in.questions) == before + 1


def test_a_cookie_that_was_emptied(issue: Issue, stand_in: AppStandIn) -> None:
    """A token beside it is not asked about alone: only the app knows which of the two it accepts."""
    answer = issue(TOKEN | {"Cookie": ""})
    assert (answer.status_code, answer.get_json()["detail"].partition(",")[0]) == (400, "Cookie: is empty")
    assert not stand_in.questions


class Hooked(Asked):
    """A request whose `hook` is called when its login turns out to be unknown."""

    def __init__(self, hook: Callable[[], object] = lambda: None) -> None:
        super().__init__(asking().environ)
        self._hook = hook

    def header(self, name: str, /) -> str | None:
        assert name == ASKED_HEADER
        self._hook()
        return None


def test_an_answer_that_comes_while_one_waits_for_a_place(stand_in: AppStandIn, clock: Clock) -> None:
    """Nobody asks what somebody else has learned since he looked."""
    login = AppLogin(LoginUrl(stand_in.url, user_header="X-User", user_field=None), cache_s=5, now_ms=clock)

    def learn() -> None:
        clock.now_ms += 1
        login.user_id(Hooked(), "sid=ming", "", clock())

    assert login.user_id(Hooked(learn), "sid=ming", "", clock()) == "ming"
    assert len(stand_in.questions) == 1
    login.close()


def test_one_failure_for_one_login(issue: Issue, stand_in: AppStandIn) -> None:
    """Who waits for the same answer gets the same refusal, and the next asks again."""
    reply_to, stand_in.reply = stand_in.reply, lambda _: Reply(500)
    stand_in.answering.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(issue, COOKIE) for _ in range(4)]
        wait_until(lambda: stand_in.waiting() == 1)
        stand_in.answering.set()
        assert {answer.result().status_code for answer in asked} == {503}
    stand_in.reply = reply_to
    assert issue(COOKIE).status_code == 200


def test_many_users_at_once(issue: Issue, stand_in: AppStandIn) -> None:
    """At most one question for each, no more at a time than there are places; who gets none is to come again."""

    def reply_to(question: Question) -> Reply:
        time.sleep(0.002)  # as long as a quick app takes, so that they meet
        return user(question.login.partition("=")[2])

    stand_in.reply = reply_to

    def log_in(number: int) -> None:
        deadline_s = time.monotonic() + 30
        while (answer := issue({"Cookie": f"sid=user-{number}"})).status_code != 200:
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) <= 5
            assert time.monotonic() < deadline_s
            time.sleep(0.05)  # less than it is told to wait

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(log_in, range(USERS)))
    assert len(stand_in.questions) == len({question.login for question in stand_in.questions}) == USERS
    assert stand_in.most_at_once <= AT_ONCE


def test_an_app_that_hangs(serve: Callable[..., Flask], stand_in: AppStandIn) -> None:
    """It holds no more threads than it has places; Bearer tokens do not wait for it."""
    app = serve(stand_in.url, jwt_key=Secret(made_up.JWT_KEY), jwt_algorithms=("HS256",))
    issue = issue_of(app)
    stand_in.answering.clear()
    with ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(issue, {"Cookie": f"sid=user-{number}"}) for number in range(32)]
        wait_until(lambda: sum(answer.done() for answer in asked) == 32 - AT_ONCE)
        for _ in range(20):
            assert issue(bearer_of("ana")).status_code == 200
        assert stand_in.waiting() == AT_ONCE
        stand_in.answering.set()
        statuses = [answer.result().status_code for answer in asked]
    assert (statuses.count(200), statuses.count(503)) == (AT_ONCE, 32 - AT_ONCE)


def test_an_app_that_hangs_for_long(issue: Issue, stand_in: AppStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for as long as a question may take, by some, and then not asked at all."""
    monkeypatch.setattr(auth_request, "TOTAL_S", 1.0)
    stand_in.answering.clear()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = pool.map(issue, [{"Cookie": f"sid=user-{number}"} for number in range(AT_ONCE)])
        assert {answer.status_code for answer in asked} == {503}
    refused = issue(COOKIE)
    assert refused.status_code == 503
    assert "is unavailable" in detail(refused), "the circuit breaker is open"
    assert "sid=ming" not in [question.login for question in stand_in.questions]


def test_what_is_known_outlives_the_app(issue: Issue, stand_in: AppStandIn, clock: Clock) -> None:
    """For the seconds that an answer counts, and not one more."""
    assert issue(COOKIE).status_code == 200
    stand_in.reply = lambda _: Reply(503)
    for number in range(FAILURES):
        assert issue({"Cookie": f"sid={number}"}).status_code == 503
    clock.now_ms += CACHE_MS - 1
    assert issue(COOKIE).status_code == 200
    clock.now_ms += 1
    assert issue(COOKIE).status_code == 503


def test_a_login_that_breaks_the_app_keeps_nobody_out(issue: Issue, stand_in: AppStandIn) -> None:
    """A cookie that makes the app fail counts for itself, however often it comes."""
    reply_to, stand_in.reply = stand_in.reply, lambda _: Reply(500)
    for _ in range(2 * FAILURES):
        assert issue({"Cookie": "sid=bad"}).status_code == 503
    stand_in.reply = reply_to
    assert issue(COOKIE).status_code == 200


def test_the_log_names_the_cause_once(issue: Issue, stand_in: AppStandIn, caplog: pytest.LogCaptureFixture) -> None:
    """And never the login."""
    reply_to, stand_in.reply = stand_in.reply, lambda _: Reply(200)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert issue(COOKIE).status_code == 503
    (line,) = [record.getMessage() for record in caplog.records if "LOGIN_URL" in record.getMessage()]
    assert "is unavailable: the app answers AUTHSVC_LOGIN_URL with status 200 and no X-User header" in line
    assert "sid=ming" not in caplog.text
    stand_in.reply = reply_to
    assert issue(COOKIE).status_code == 200


def test_a_url_of_its_own(service: Service) -> None:
    """It is asked once, and not again by itself for ever."""
    for name in [name for name in service.variables if "JWT" in name or "GATEWAY" in name]:
        del service.variables[name]
    service.variables["AUTHSVC_LOGIN_URL"] = f"http://127.0.0.1:{service.port}/v1/resource?media_id=qiniu/a.png"
    service.start("--workers", "1")
    refused = service.ask("POST", ISSUE, headers=COOKIE)
    assert refused.status == 503
    assert "points to authsvc itself" in str(refused.json()["detail"])
    assert service.log().count('"route":"/v1/resource"') <= 1


def test_it_is_counted(serve: Callable[..., Flask], stand_in: AppStandIn) -> None:
    """By how each question ended."""
    app = serve(stand_in.url)
    issue = issue_of(app)
    for headers in (COOKIE, COOKIE, {"Cookie": "sid=nobody"}):
        issue(headers)
    stand_in.reply = lambda _: Reply(500)
    issue({"Cookie": "sid=ana"})
    recorder = app.extensions["authsvc.recorder"]

    def figures() -> list[str]:
        lines = recorder.metrics.text().decode().splitlines()
        return sorted(line for line in lines if line.startswith("authsvc_login_calls_total"))

    expected = [
        f'authsvc_login_calls_total{{operation="GET",outcome="{outcome}"}} 1.0'
        for outcome in ("failed", "refused", "user")
    ]
    wait_until(lambda: figures() == expected, what=lambda: str(figures()))


def test_threads_are_given_back(issue: Issue, stand_in: AppStandIn) -> None:
    """Nothing goes on in the background for a question that was answered."""
    issue(COOKIE)
    before = threading.active_count()
    for number in range(20):
        issue({"Cookie": f"sid={number}"})
    wait_until(lambda: threading.active_count() <= before)
