"""The question to the app who is logged in: what is sent, and what each answer means."""

import logging
from collections.abc import Iterator

import pytest

from authsvc.auth import auth_request
from authsvc.auth.auth_request import ASKED_HEADER, LOOP, MAX_BYTES, LoginUrl, Presented
from authsvc.errors import LoginUnavailable, NotLoggedIn
from tests.support.app_stand_in import AppStandIn, Reply, app_stand_in, user
from tests.support.running import free_port

MING = Presented("sid=abc; theme=dark", "", "app.example:8443")
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def app() -> Iterator[AppStandIn]:
    """An app that is asked."""
    with app_stand_in() as app:
        yield app


@pytest.fixture
def url(app: AppStandIn) -> Iterator[LoginUrl]:
    """Its URL, its answers' header named X-User."""
    url = LoginUrl(app.url, user_header="X-User", user_field=None)
    yield url
    url.close()


@pytest.fixture
def field(app: AppStandIn) -> Iterator[LoginUrl]:
    """Its URL, the user in `data.userId`."""
    url = LoginUrl(app.url, user_header="X-User", user_field="data.userId")
    yield url
    url.close()


def test_only_the_login_is_sent(app: AppStandIn, url: LoginUrl) -> None:
    """Cookie and Authorization unmodified, the request's Host and id, and a User-Agent; nothing else."""
    app.reply = lambda _: user("ming")
    presented = Presented("sid=\xe6\x98\x8e; a=1", 'Digest username="ming, or not"', "app.example:8443")
    assert url.ask(presented, "request-1") == "ming"
    (question,) = app.questions
    assert question.path == "/auth/check"
    assert question.headers == {
        "cookie": presented.cookie,
        "authorization": presented.authorization,
        "host": "app.example:8443",
        "x-request-id": "request-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "authsvc",
        ASKED_HEADER.lower(): "1",
    }


@pytest.mark.parametrize("host", ["", "app example", "app.example\r\nX-User: ming", "\xe6"])
def test_what_is_not_there_is_not_sent(app: AppStandIn, url: LoginUrl, host: str) -> None:
    """A request without a usable Host is asked about at the URL's own."""
    app.reply = lambda _: user("ming")
    url.ask(Presented("sid=abc", "", host))
    (question,) = app.questions
    assert question.headers["host"] == app.url.split("/")[2]
    assert not {"authorization", "x-request-id", "x-user"} & question.headers.keys()


@pytest.mark.parametrize(
    "value", ["sid=\r\nX-User: ming", "sid=\x00", "sid=\n a", "sid=\x7f", "sid=\u660e", "@@@SKIP_HEADER@@@"]
)
@pytest.mark.parametrize("name", ["cookie", "authorization"])
def test_what_no_header_may_hold_is_not_sent(app: AppStandIn, url: LoginUrl, name: str, value: str) -> None:
    """It is nobody's login, whatever would become of it on the way."""
    with pytest.raises(NotLoggedIn, match="HTTP does not allow in a header") as refused:
        url.ask(Presented(**{name: value}))
    assert value not in refused.value.detail
    assert app.questions == []


def test_a_login_is_in_no_repr() -> None:
    """Nor in a traceback that shows one."""
    assert "secret" not in repr(Presented("sid=secret", "Bearer secret", "app.example"))


@pytest.mark.parametrize("value", ["ming", "42", "a@b.example", "m" * 255])
def test_the_user_in_a_header(app: AppStandIn, url: LoginUrl, value: str) -> None:
    app.reply = lambda _: Reply(headers={"x-user": value}, content=b"<!doctype html>whatever")
    assert url.ask(MING) == value


def test_a_user_outside_ascii(app: AppStandIn, url: LoginUrl, field: LoginUrl) -> None:
    """UTF-8 in the header, as other gateways and back ends write it, and in JSON."""
    app.reply = lambda _: Reply(
        headers={"X-User": "明".encode().decode("latin-1")}, content='{"data":{"userId":"明"}}'.encode()
    )
    assert url.ask(MING) == field.ask(MING) == "明"


@pytest.mark.parametrize(
    ("content", "user_id"),
    [
        (b'{"data": {"userId": "ming", "name": "x"}, "code": 0}', "ming"),
        (b'{"data": {"userId": 42}}', "42"),
        (b'{"data": {"userId": 9007199254740993}}', "9007199254740993"),
        (b'{"data": {"userId": "\\u660e"}}', "明"),
        (b'{"data": {"userId": 0}}', "0"),
    ],
)
def test_the_user_in_a_json_member(app: AppStandIn, field: LoginUrl, content: bytes, user_id: str) -> None:
    """A string or a whole number; the header does not count then."""
    app.reply = lambda _: Reply(headers=JSON | {"X-User": "somebody-else"}, content=content)
    assert field.ask(MING) == user_id


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(), "no X-User header, which names the user"),
        (Reply(headers={"X-User": ""}), "no X-User header"),
        (Reply(headers={"Content-Type": "text/html"}, content=b"<title>Log in</title>"), "no X-User header"),
        (Reply(headers={"X-User": "ming, ming"}), "contains a comma"),
        (Reply(headers={"X-User": "\xff"}), "is not UTF-8"),
        (Reply(204, {"X-User": "ming"}), "status 204"),
        (Reply(206, {"X-User": "ming"}), "status 206"),
        (Reply(304, {"X-User": "ming"}), "status 304"),
        (Reply(400, {"X-User": "ming"}), "status 400"),
        (Reply(404, {"X-User": "ming"}), "status 404"),
        (Reply(429, {"X-User": "ming"}), "status 429"),
        (Reply(500, {"X-User": "ming"}), "status 500"),
        (Reply(200, {"X-User": "ming"}, b"x" * (MAX_BYTES + 1)), "larger than 65536"),
        (Reply(200, {"X-User": "ming", "Content-Encoding": "gzip"}, b"x"), "compressed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_none_is_no_login(app: AppStandIn, url: LoginUrl, reply: Reply, words: str) -> None:
    """It is nobody's fault who asks, so he may try again; and it counts for this login alone."""
    app.reply = lambda _: reply
    with pytest.raises(LoginUnavailable, match=words) as away:
        url.ask(MING)
    assert not away.value.is_down


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b'"ming"', b"[]", b"{}", b'{"data": null}', b'{"data": "ming"}', b'{"data": {"userId": null}}',
     b'{"data": {"userId": ""}}', b'{"data": {"userId": true}}', b'{"data": {"userId": 1.5}}',
     b'{"data": {"userId": ["ming"]}}', b'{"data.userId": "ming"}', b'{"userId": "ming"}', b"[" * 60_000,
     b'{"data": {"userId": ' + b"9" * 5000 + b"}}", b"\xff\xfe"],
)  # fmt: skip
def test_json_without_a_user_is_no_login(app: AppStandIn, field: LoginUrl, content: bytes) -> None:
    """The first of an envelope's habits: 200 for everything."""
    app.reply = lambda _: Reply(headers=JSON | {"X-User": "ming"}, content=content)
    with pytest.raises(LoginUnavailable, match=r"200|neither"):
        field.ask(MING)


@pytest.mark.parametrize("user_id", ["m" * 256, "a\x00b", "a\tb", "\u202e", "a\ud800"])
def test_a_user_id_that_is_fit_for_no_way(app: AppStandIn, field: LoginUrl, user_id: str) -> None:
    """As in a token or a cookie."""
    content = ascii(user_id).replace("'", '"').replace("\\x", "\\u00").encode()
    app.reply = lambda _: Reply(headers=JSON, content=b'{"data": {"userId": ' + content + b"}}")
    with pytest.raises(NotLoggedIn, match="1 to 255 printable"):
        field.ask(MING)


@pytest.mark.parametrize("status", [401, 403])
def test_the_app_refuses(app: AppStandIn, url: LoginUrl, status: int) -> None:
    """Whatever else the answer contains."""
    app.reply = lambda _: Reply(status, {"X-User": "ming"})
    with pytest.raises(NotLoggedIn, match=str(status)):
        url.ask(MING)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/login?next=/auth/check", "https://login.example/", "login", "", None, "http://["])
def test_a_redirect_to_a_form_is_no_login(
    app: AppStandIn, url: LoginUrl, status: int, target: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Spring, Laravel and Passport do that. It is not followed. The log has it once, until the app answers 401."""
    location = {} if target is None else {"Location": target}
    app.reply = lambda _: Reply(status, {"X-User": "ming"} | location)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(NotLoggedIn, match=f"redirects .*{status}.* should answer 401"):
                url.ask(MING)
        assert [question.path for question in app.questions] == ["/auth/check"] * 3
        assert caplog.text.count("instead of answering 401") == 1
        app.reply = lambda _: Reply(401)
        with pytest.raises(NotLoggedIn):
            url.ask(MING)
        app.reply = lambda _: Reply(status, location)
        with pytest.raises(NotLoggedIn):
            url.ask(MING)
        assert caplog.text.count("instead of answering 401") == 2
    assert "abc" not in caplog.text


@pytest.mark.parametrize("target", ["https://app.example/auth/check", "/auth/check/", "/auth/check?lang=zh"])
def test_a_redirect_to_itself_is_a_wrong_setting(app: AppStandIn, url: LoginUrl, target: str) -> None:
    """By https, or with a slash at its end: nobody can log in, which is an error of the settings and not of users."""
    app.reply = lambda _: Reply(301, {"Location": target})
    with pytest.raises(LoginUnavailable, match="another form of it"):
        url.ask(MING)


def test_authsvc_itself_is_not_the_app(app: AppStandIn, url: LoginUrl) -> None:
    """Its refusals look like refusals of the app, and are none."""
    content = b'{"type":"/problems/not-logged-in","title":"Not logged in","status":401}'
    app.reply = lambda _: Reply(401, {"Content-Type": "application/problem+json"}, content)
    with pytest.raises(LoginUnavailable, match=LOOP):
        url.ask(MING)
    app.reply = lambda _: Reply(401, {"Content-Type": "application/problem+json"}, b'{"type":"about:blank"}')
    with pytest.raises(NotLoggedIn):
        url.ask(MING)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_reports_the_app_down(app: AppStandIn, url: LoginUrl, status: int) -> None:
    app.reply = lambda _: Reply(status)
    with pytest.raises(LoginUnavailable, match=str(status)) as away:
        url.ask(MING)
    assert away.value.is_down


def test_a_kept_connection_that_the_app_has_closed(app: AppStandIn, url: LoginUrl) -> None:
    """The question is put again on another one, once."""
    replies = iter([user("ming"), Reply(ends=True), user("ming"), Reply(ends=True), Reply(ends=True), user("ming")])
    app.reply = lambda _: next(replies)
    assert url.ask(MING) == "ming"
    assert url.ask(MING) == "ming"
    with pytest.raises(LoginUnavailable, match="closed the connection early") as away:
        url.ask(MING)
    assert away.value.is_down
    assert len(app.questions) == 5


def test_an_unavailable_app() -> None:
    """Nobody listens there."""
    url = LoginUrl(f"http://127.0.0.1:{free_port()}/", user_header="X-User", user_field=None)
    with pytest.raises(LoginUnavailable, match="cannot be reached") as away:
        url.ask(MING)
    assert away.value.is_down


def test_an_app_that_trickles(app: AppStandIn, url: LoginUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its answer has to come in time."""
    monkeypatch.setattr(auth_request, "TOTAL_S", 1.0)
    app.reply = lambda _: Reply(headers={"X-User": "ming"}, content=b"x" * 10_000, piece_s=0.1)
    with pytest.raises(LoginUnavailable) as away:
        url.ask(MING)
    assert away.value.is_down
