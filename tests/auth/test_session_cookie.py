"""The session cookie of a Flask app."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import flask_login
import pytest
from flask import session
from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from markupsafe import Markup

from authsvc.auth.authenticator import Authenticator, Way
from authsvc.auth.session_cookie import FS_UNIQUIFIER, SessionCookie
from authsvc.auth.tokens import AHEAD_S
from authsvc.errors import NotLoggedIn, NotLoggedInYet
from tests.auth.logins import (
    DAY_S,
    NOW_MS,
    NOW_S,
    asking,
    at,
    flask_app,
    gateway_way,
    reason,
    session_cookie,
    session_way,
    user,
)
from tests.support.made_up import GATEWAY_SECRET, SESSION_KEY

pytestmark = pytest.mark.usefixtures("stopped_clock")


def test_a_session_of_a_flask_app_logs_in() -> None:
    """The cookie that a real Flask app makes is read, with a user id as text or as a number."""
    assert user(session_way(), {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}) == "ming"
    by_number = {"Cookie": f"a=b; session={session_cookie({'uid': 42})}; c=d"}
    assert user(session_way(user_field="uid"), by_number) == "42"


def test_a_permanent_session_and_a_large_one() -> None:
    """What Flask adds to a session, compresses and tags does not get in the way."""
    content = {"_user_id": "用户", "_permanent": True, "pad": "x" * 3000, "at": datetime.now(UTC), "pair": (1, 2)}
    cookie = session_cookie(content)
    assert cookie.startswith(".eJ")
    assert user(session_way(), {"Cookie": f"session={cookie}"}) == "用户"


def test_flask_login() -> None:
    """The session is read as Flask-Login writes it, and is nobody's again after the logout."""
    app = flask_app()
    flask_login.LoginManager(app).user_loader(lambda _user_id: flask_login.UserMixin())

    @app.get("/login")
    def login() -> str:
        ming = flask_login.UserMixin()
        ming.id = 7
        session["theme"] = "dark"
        flask_login.login_user(ming)
        return ""

    @app.get("/logout")
    def logout() -> str:
        flask_login.logout_user()
        return ""

    client = app.test_client()
    assert client.get("/login").status_code == 200
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert user(session_way(), {"Cookie": f"session={cookie.value}"}) == "7"
    assert client.get("/logout").status_code == 200
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert reason(session_way(), {"Cookie": f"session={cookie.value}"}).startswith("the request has no credentials")


@pytest.mark.parametrize(
    "cookie",
    [
        lambda: "other=x",
        lambda: "session=",
        lambda: f"Session={session_cookie({'_user_id': 'ming'})}",
        lambda: f"session={session_cookie({'theme': 'dark'})}",
        lambda: f"session={session_cookie({'_user_id': None, 'theme': 'dark'})}",
    ],
)
def test_a_session_of_nobody_is_no_login(cookie: Callable[[], str]) -> None:
    """A visitor who has not logged in, or has logged out, brings no credential, so the next way gets its turn."""
    ways: list[Way] = [session_way(), gateway_way()]
    headers = {"Cookie": cookie(), "X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "hua"}
    assert Authenticator(ways, allowed_origins=frozenset()).authenticate(asking(headers), NOW_MS) == "hua"


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        (True, "must be a string, a whole number or a UUID"),
        (1.5, "must be a string, a whole number or a UUID"),
        (["ming"], "must be a string, a whole number or a UUID"),
        ({"id": "ming"}, "must be a string, a whole number or a UUID"),
        ("", "must be 1 to 255 printable characters, not spaces alone"),
        ("a" * 256, "must be 1 to 255 printable characters, not spaces alone"),
        (10**255, "must be 1 to 255 printable characters, not spaces alone"),
        (" ", "must be 1 to 255 printable characters, not spaces alone"),
        ("a\nb", "must be 1 to 255 printable characters, not spaces alone"),
        ("a\x00", "must be 1 to 255 printable characters, not spaces alone"),
    ],
)
def test_a_session_with_an_odd_user_id(user_id: object, expected: str) -> None:
    """An id that is no text and no whole number, or not fit for one, is refused."""
    headers = {"Cookie": f"session={session_cookie({'_user_id': user_id})}"}
    assert reason(session_way(), headers) == f"the session's _user_id {expected}"


@pytest.mark.parametrize(
    ("age_s", "is_good"),
    [(0, True), (31 * DAY_S - 1, True), (31 * DAY_S, True), (31 * DAY_S + 1, False)],
)
def test_a_session_ages(age_s: int, is_good: bool) -> None:  # noqa: FBT001 -- a column
    """A session counts up to its very last second, as in Flask."""
    app = flask_app()
    app.permanent_session_lifetime = timedelta(days=31)
    headers = {"Cookie": f"session={session_cookie({'_user_id': 'ming'}, app)}"}

    @app.get("/")
    def who() -> str:
        return str(session.get("_user_id"))

    with at(NOW_S + age_s):
        assert (app.test_client(use_cookies=False).get("/", headers=headers).text == "ming") == is_good
        if is_good:
            assert user(session_way(), headers) == "ming"
        else:
            assert reason(session_way(), headers) == "the session cookie is older than 2678400 s"


@pytest.mark.parametrize(("ahead_s", "retry_after_s"), [(1, None), (5, None), (6, 1), (20, 15), (DAY_S, 60)])
def test_a_session_from_the_future(ahead_s: int, retry_after_s: int | None) -> None:
    """Where the app's clock is a little ahead, who has just logged in is logged in; else it is so after a while."""
    headers = {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    with at(NOW_S - ahead_s):
        if retry_after_s is None:
            assert user(session_way(), headers) == "ming"
        else:
            with pytest.raises(NotLoggedInYet, match=r"^the session cookie is dated in the future: it is") as refused:
                user(session_way(), headers)
            assert refused.value.retry_after_s == retry_after_s


def test_session_keys_rotate() -> None:
    """Each of the keys verifies, in whatever order they are set; a key that is gone does not."""
    old, new = SESSION_KEY, "made-up-new-session-key"
    cookies = [
        session_cookie({"_user_id": "ming"}, flask_app(old)),
        session_cookie({"_user_id": "ming"}, flask_app(new, fallbacks=[old])),
    ]
    for cookie, order in itertools.product(cookies, [(old, new), (new, old)]):
        assert user(session_way(*order), {"Cookie": f"session={cookie}"}) == "ming"
    assert user(session_way(new), {"Cookie": f"session={cookies[1]}"}) == "ming"
    expected = "the session cookie is malformed or signed with another key"
    assert reason(session_way(new), {"Cookie": f"session={cookies[0]}"}) == expected
    assert reason(session_way(old), {"Cookie": f"session={cookies[1]}"}) == expected


def test_a_session_that_was_tampered_with() -> None:
    """Not one part of the cookie may be changed, lost or taken from another cookie."""
    good, other = session_cookie({"_user_id": "ming"}), session_cookie({"_user_id": "admin"}, flask_app("other"))
    payload, signed_at, signature = good.split(".")
    for forged in (
        f"{other.split('.')[0]}.{signed_at}.{signature}",
        f"{payload}.{signed_at}.{other.split('.')[2]}",
        f"{payload}.{signed_at}.",
        f"{payload}.{signature}",
        f"{payload}.AAAA.{signature}",
        f"{payload}..{signature}",
        f"{payload}.{'_' * 2000}.{signature}",
        f".{good}",
        f"{good}.{signature}",
        f"{good}A",
        other,
        "x",
        "...",
        ".eJ",
        "\xff\xfe",
        f'"{good}x"',
    ):
        expected = "the session cookie is malformed or signed with another key"
        assert reason(session_way(), {"Cookie": f"session={forged}"}) == expected


def test_what_the_app_signed_for_other_ends_is_no_session() -> None:
    """The same key with another salt, derivation or hash, or over no session at all, logs nobody in."""
    flask_kwargs = {"key_derivation": "hmac", "digest_method": hashlib.sha1}
    for salt, kwargs in (
        ("password-reset", flask_kwargs),
        ("cookie-session", {"key_derivation": "django-concat"}),
        ("cookie-session", {"key_derivation": "hmac", "digest_method": hashlib.sha512}),
    ):
        foreign = URLSafeTimedSerializer(SESSION_KEY, salt=salt, signer_kwargs=kwargs).dumps({"_user_id": "admin"})
        assert reason(session_way(), {"Cookie": f"session={foreign}"}).startswith("the session cookie is malformed")
    own = URLSafeTimedSerializer(SESSION_KEY, salt="cookie-session", signer_kwargs=flask_kwargs)
    for content in (["_user_id", "admin"], "admin", None, 5):
        assert (
            reason(session_way(), {"Cookie": f"session={own.dumps(content)}"})
            == "the session cookie contains no session"
        )
    not_json = own.make_signer("cookie-session").sign(b"bm90IGpzb24").decode()
    assert reason(session_way(), {"Cookie": f"session={not_json}"}).startswith("the session cookie is malformed")


def test_a_session_of_nobody_beside_one_of_somebody() -> None:
    """A visitor's cookie that another path has left does not log a user out."""
    good, nobodys = session_cookie({"_user_id": "ming"}), session_cookie({"theme": "dark"})
    assert user(session_way(), {"Cookie": f"session={nobodys}; session={good}"}) == "ming"
    refused = reason(session_way(), {"Cookie": f"session={nobodys}; session=x"})
    assert refused == "the session cookie is malformed or signed with another key"


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        (UUID("0123456789abcdef0123456789abcdef"), "01234567-89ab-cdef-0123-456789abcdef"),
        (Markup("ming"), "ming"),
        ("用户".encode(), "用户"),
    ],
)
def test_a_session_with_a_tagged_user_id(user_id: object, expected: str) -> None:
    """What Flask writes for a type that JSON has not, the app reads as such an id, whose text it is."""
    assert user(session_way(), {"Cookie": f"session={session_cookie({'_user_id': user_id})}"}) == expected


@pytest.mark.parametrize(
    "user_id",
    [b"\xff", datetime(2026, 1, 1, tzinfo=UTC), ("ming",), {" x": "ming"}, {"u": "ming"}, {" u": "a", "b": 1}, {}],
)
def test_a_session_with_a_tag_that_is_no_id(user_id: object) -> None:
    """Bytes that are no text, times and lists are none."""
    assert reason(session_way(), {"Cookie": f"session={session_cookie({'_user_id': user_id})}"}) == (
        "the session's _user_id must be a string, a whole number or a UUID"
    )


@pytest.mark.parametrize("tagged", ['{" u":"not hex"}', '{" u":5}', '{" b":"!"}', '{" b":"A"}', '{" u":null}'])
def test_a_tag_that_flask_would_not_write(tagged: str) -> None:
    """It is refused as any other id that is none."""
    cookie = by_hand(b'{"_user_id":%s}' % tagged.encode(), NOW_S)
    assert reason(session_way(), {"Cookie": f"session={cookie}"}).endswith("must be a string, a whole number or a UUID")


def test_flask_securitys_uniquifier_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The user id in its sessions changes with the password; whose id looks so in another session is not meant."""
    uniquifier = "0123456789abcdef0123456789abcdef"
    security: dict[str, object] = {"_user_id": uniquifier, "fs_cc": "set", "fs_paa": 1.5}
    others: list[tuple[Way, Mapping[str, object]]] = [
        (session_way(), {"_user_id": uniquifier}),
        (session_way(), {"_user_id": "42", "fs_cc": "set"}),
        (session_way(user_field="uid"), security | {"uid": uniquifier}),
    ]
    for way, content in others:
        assert user(way, {"Cookie": f"session={session_cookie(content)}"})
    assert caplog.records == []
    warned = session_way()
    for number in range(2):  # different sessions: a cached one is not read again
        assert user(warned, {"Cookie": f"session={session_cookie(security | {'n': number})}"})
    assert [record.getMessage() for record in caplog.records] == [FS_UNIQUIFIER]
    assert uniquifier not in caplog.text


def test_a_session_key_that_is_bytes() -> None:
    """It is written in base64; the app has the bytes."""
    key = bytes(range(224, 256))
    app = flask_app()
    app.secret_key = key
    cookie = session_cookie({"_user_id": "ming"}, app)
    assert user(session_way(f"base64:{base64.b64encode(key).decode()}"), {"Cookie": f"session={cookie}"}) == "ming"


@pytest.mark.parametrize(
    "disguise",
    [
        "Session={}",
        "__Host-session={}",
        "session={}x",
        'session="{}',
        "session[]={}",
        "x=session={}",
        "session ={}x",
        "session={}, session=x",
        "session=\\x73{}",
        "{}",
    ],
)
def test_cookies_that_only_look_alike(disguise: str) -> None:
    """A login is read from the cookie of that very name and from nothing that resembles it."""
    assert reason(session_way(), {"Cookie": disguise.format(session_cookie({"_user_id": "7"}))})


def test_the_cookie_has_the_name_that_is_set() -> None:
    """An app may call its cookie otherwise; one of another name does not count then."""
    cookie = session_cookie({"_user_id": "ming"})
    assert user(session_way(cookie="app_session"), {"Cookie": f"app_session={cookie}; session=x"}) == "ming"
    refusal = reason(session_way(cookie="app_session"), {"Cookie": f"session={cookie}"})
    assert refusal == "the request has no credentials; accepted: the cookie app_session"


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters=";,"), min_size=1))
def test_garbage_in_the_cookie_logs_nobody_in(value: str) -> None:
    """Whatever comes in the cookie, the one answer is NotLoggedIn."""
    with pytest.raises(NotLoggedIn):
        user(session_way(), {"Cookie": f"session={value}"})


def by_hand(content: bytes, signed_s: int, key: str = SESSION_KEY) -> str:
    """Return the cookie in which Flask keeps this content, made without Flask and itsdangerous."""
    payload, moment = (
        base64.urlsafe_b64encode(part).rstrip(b"=")
        for part in (content, signed_s.to_bytes((signed_s.bit_length() + 7) // 8, "big"))
    )
    derived = hmac.digest(key.encode(), b"cookie-session", "sha1")
    digest = hmac.digest(derived, payload + b"." + moment, "sha1")
    return b".".join((payload, moment, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("u" * 256),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.just("_user_id") | st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@example(content={"_user_id": "ming"}, age_s=-(2**40), key=SESSION_KEY, cut=None)
@given(
    content=st.dictionaries(st.just("_user_id"), st.text(max_size=9) | st.integers(-5, 5) | _JSON) | _JSON,
    age_s=st.sampled_from([0, 0, 1, 31 * DAY_S, 31 * DAY_S + 1, -1, NOW_S]) | st.integers(-(2**70), NOW_S),
    key=st.sampled_from([SESSION_KEY] * 4 + [SESSION_KEY[:-1], "", f"{SESSION_KEY} "]),
    cut=st.sampled_from([None] * 6) | st.floats(0, 1),
)
def test_a_session_logs_in_whom_it_names(content: Any, age_s: int, key: str, cut: float | None) -> None:
    """Exactly if it was signed with the key, is neither too old nor of the future, and names a user that is one."""
    text = json.dumps(content).encode()
    cookie = by_hand(text, NOW_S - age_s, key)
    if cut is not None:
        place = int(cut * (len(cookie) - 1))
        cookie = cookie[:place] + cookie[place + 1 :]
    named = content.get("_user_id") if isinstance(content, dict) else None
    is_user = type(named) is int or (isinstance(named, str) and 1 <= len(named) <= 255 and named.isprintable())
    if is_user and key == SESSION_KEY and cut is None and -AHEAD_S <= age_s <= 31 * DAY_S:
        assert user(session_way(), {"Cookie": f"session={cookie}"}) == str(named)
    else:
        with pytest.raises((NotLoggedIn, NotLoggedInYet)):
            user(session_way(), {"Cookie": f"session={cookie}"})


def test_a_session_is_verified_once_a_minute() -> None:
    """Within the minute it is not looked at again; one that is nobody's is never remembered."""
    way, headers = session_way(), {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    assert user(way, headers) == "ming"
    with at(NOW_S + 32 * DAY_S):  # a verification would reject it
        assert user(way, headers, now_ms=NOW_MS + 59_999) == "ming"
        with pytest.raises(NotLoggedIn, match="older than"):
            user(way, headers, now_ms=NOW_MS + 60_000)
    assert reason(way, {"Cookie": f"session={session_cookie({'other': 'ming'})}"}).startswith(
        "the request has no credentials"
    )


def test_several_sessions_are_verified_each_time() -> None:
    """One of another user that is not good yet makes the request ambiguous as soon as it is."""
    with at(NOW_S + AHEAD_S + 10):
        later = session_cookie({"_user_id": "hua"})
    way, headers = session_way(), {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}; session={later}"}
    assert user(way, headers) == "ming"
    with at(NOW_S + 10):
        assert reason(way, headers) == "the request has several cookies named session, of different users"


def test_a_cached_session_expires_with_the_session() -> None:
    """Its last second is the one of its greatest age, as if it were verified each time."""
    way = SessionCookie((SESSION_KEY,), cookie="session", user_field="_user_id", max_age_s=10)
    headers = {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    assert user(way, headers) == "ming"
    with at(NOW_S + 11):
        assert user(way, headers, now_ms=NOW_MS + 10_999) == "ming"
        with pytest.raises(NotLoggedIn, match="older than 10 s"):
            user(way, headers, now_ms=NOW_MS + 11_000)
