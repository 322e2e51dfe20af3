"""Who counts as logged in: each way by itself, the order of the ways, and the same-site rule over them."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import flask_login
import jwt
import pytest
from flask import Flask, session
from freezegun import freeze_time
from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from markupsafe import Markup
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from authsvc.auth.authenticator import (
    FS_UNIQUIFIER,
    MAX_COOKIES,
    Assertion,
    Bearer,
    Caller,
    Callers,
    Gateway,
    SessionCookie,
    TokenCookie,
    Way,
)
from authsvc.auth.tokens import AHEAD_S, Token, TokenRules, Tokens
from authsvc.errors import CrossSite, InvalidRequest, KeysAway, NotLoggedIn, NotLoggedInYet, StoreAway
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.support import keys
from tests.support.login_service import LoginService
from tests.support.made_up import GATEWAY_SECRET, JWT_KEY, SESSION_KEY

NOW_S = 1_750_000_000
NOW_MS = NOW_S * 1000
DAY_S = 86_400


@pytest.fixture(autouse=True, scope="module")
def now() -> Iterator[None]:
    """Stop the clock that PyJWT and itsdangerous read."""
    with at(NOW_S):
        yield


@dataclass(slots=True)
class Clock:
    """The clock of the store."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """A clock that a test can move."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store that was born a minute ago."""
    store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=clock)
    clock.now_ms -= 60_000
    store.ping()
    clock.now_ms += 60_000
    yield store
    store.close()


def at(moment_s: int) -> Any:
    """Stop the clock at this moment."""
    return freeze_time(datetime.fromtimestamp(moment_s, UTC))


class Asked(Request):
    """A request of Werkzeug's with an id for the log."""

    request_id = "request-1"


def asking(headers: Mapping[str, str] | None = None, *, method: str = "POST") -> Asked:
    """Return a request as WSGI hands it on: header values are Latin-1 text."""
    environ = EnvironBuilder(method=method, base_url="https://sign.example/").get_environ()
    for name, value in (headers or {}).items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return Asked(environ)


def token(key: Any = JWT_KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """Return a token of these claims, over those that every token has."""
    return jwt.encode({"sub": "ming", "exp": NOW_S + 300} | claims, key, algorithm=algorithm)


def tokens(leeway_s: int = 0) -> Tokens:
    """Return what verifies the tokens here."""
    return Tokens.with_key(TokenRules(("HS256",), leeway_s=leeway_s), JWT_KEY)


def session_way(*session_keys: str, cookie: str = "session", user_field: str = "_user_id") -> SessionCookie:
    """Return the way of the session cookie, for sessions of up to 31 days."""
    return SessionCookie(session_keys or (SESSION_KEY,), cookie=cookie, user_field=user_field, max_age_s=31 * DAY_S)


def gateway_way(*gateway_secrets: str) -> Gateway:
    """Return the way of the plain gateway."""
    return Gateway(gateway_secrets or (GATEWAY_SECRET,), user_header="X-Forwarded-User")


def flask_app(secret_key: str = SESSION_KEY, fallbacks: Sequence[str] = ()) -> Flask:
    """Return the app whose sessions count: a real one, which signs as Flask does."""
    app = Flask("app")
    app.secret_key = secret_key
    app.config["SECRET_KEY_FALLBACKS"] = list(fallbacks)
    return app


def session_cookie(content: Mapping[str, object], app: Flask | None = None) -> str:
    """Return the cookie in which the app keeps this session."""
    client = (app or flask_app()).test_client()
    with client.session_transaction() as stored:
        stored.update(content)
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def user(way: Way, headers: Mapping[str, str], *, now_ms: int = NOW_MS, method: str = "POST") -> str:
    """Return who is logged in by this way."""
    caller = Callers([way], allowed_origins=frozenset()).authenticate(asking(headers, method=method), now_ms)
    assert caller.way == way.name
    return caller.user_id


def reason(way: Way, headers: Mapping[str, str]) -> str:
    """Return why nobody is."""
    with pytest.raises(NotLoggedIn) as refused:
        user(way, headers)
    return refused.value.detail


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_a_bearer_token_logs_in(scheme: str) -> None:
    """The scheme's name is taken in any case, with one space after it or more."""
    assert user(Bearer(tokens()), {"Authorization": f"{scheme} {token()}"}) == "ming"
    assert user(Bearer(tokens()), {"Authorization": f"{scheme}   {token()}"}) == "ming"


@pytest.mark.parametrize(
    "authorization", ["Basic bWluZzpwYXNz", "Digest a=b, c=d", "Bearerish abc", "Token abc", " ", "abc"]
)
def test_another_scheme_is_no_bearer_token(authorization: str) -> None:
    """A credential for somebody else is left to somebody else."""
    assert reason(Bearer(tokens()), {"Authorization": authorization}).startswith("the request brings no login")


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "bearer   "])
def test_a_bearer_without_token_is_refused(authorization: str) -> None:
    """Who says Bearer has to bring something."""
    expected = "the Authorization header has no token after Bearer"
    assert reason(Bearer(tokens()), {"Authorization": authorization}) == expected


def test_a_bearer_token_that_came_twice_is_refused() -> None:
    """Two Authorization headers, which WSGI joins by a comma, are refused even if they are equal."""
    one = f"Bearer {token()}"
    for joined in (f"{one},{one}", f"{one}, {one}", f"{one},Basic bWluZzpwYXNz", f"{one},"):
        assert reason(Bearer(tokens()), {"Authorization": joined}) == "Authorization holds a comma, or was sent twice"


@pytest.mark.parametrize(
    "authorization",
    [
        *("Bearer\tx", "bearer\t", "Bearer,Bearer x", "Basic bWluZzpwYXNz,Bearer x", "Basic bWluZzpwYXNz, bearer x"),
        *("Digest a=b, c=d,Bearer", ",Bearer x", "\tBearer x", " Bearer x"),
    ],
)
def test_a_bearer_credential_anywhere_decides(authorization: str) -> None:
    """However it is written or joined to another, a good cookie beside it does not make up for it."""
    callers = Callers([Bearer(tokens()), session_way()], allowed_origins=frozenset())
    headers = {"Authorization": authorization, "Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    with pytest.raises(NotLoggedIn, match="must be Bearer, a space and the token, and nothing else"):
        callers.authenticate(asking(headers), NOW_MS)
    headers["Authorization"] = "Digest a=b, c=bearer, d=bearers x"
    assert callers.authenticate(asking(headers), NOW_MS) == Caller("ming", "session")


def test_what_is_wrong_with_a_bearer_token_is_said() -> None:
    """The refusal is the one of the token's first fault."""
    assert reason(Bearer(tokens()), {"Authorization": f"Bearer {token(exp=NOW_S)}"}) == "the token has expired"
    assert reason(Bearer(tokens()), {"Authorization": "Bearer a b"}) == "the token is malformed"


def test_keys_that_are_away_are_not_the_callers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the keys cannot be had, the caller hears so, and no later way is tried."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoginService() as login:
        away = Tokens.with_jwks(TokenRules(("RS256",)), login.url)
        callers = Callers([Bearer(away), gateway_way()], allowed_origins=frozenset())
        headers = {
            "Authorization": f"Bearer {token(keys.rsa(), 'RS256')}",
            "X-Gateway-Secret": GATEWAY_SECRET,
            "X-Forwarded-User": "hua",
        }
        with pytest.raises(KeysAway):
            callers.authenticate(asking(headers), NOW_MS)


def test_a_single_use_token_is_good_once(store: Store) -> None:
    """The second time it is refused; a token with another id is not."""
    way = Bearer(tokens(), single_use=store)
    first = {"Authorization": f"Bearer {token(jti='one')}"}
    assert user(way, first) == "ming"
    assert reason(way, first) == "the token was used before; get a fresh token"
    assert reason(way, {"Authorization": f"Bearer {token(jti='one', sub='hua')}"}).startswith("the token was used")
    assert user(way, {"Authorization": f"Bearer {token(jti='two')}"}) == "ming"


def test_single_use_holds_whichever_way_a_token_comes(store: Store) -> None:
    """A token that was used up in one place is good in no other, nor twice in any."""
    ways: list[Way] = [
        Bearer(tokens(), single_use=store),
        TokenCookie(tokens(), cookie="token", single_use=store),
        Assertion(tokens(), header="X-Jwt", single_use=store),
    ]
    callers = Callers(ways, allowed_origins=frozenset())

    def brought(jti: str) -> list[Asked]:
        text = token(jti=jti)
        return [
            asking(headers)
            for headers in (
                {"Authorization": f"Bearer {text}"},
                {"Cookie": f"token={text}"},
                {"X-Jwt": text},
                {"X-Jwt": f"Bearer {text}"},
            )
        ]

    for first in range(4):
        requests = brought(f"number-{first}")
        assert callers.authenticate(requests[first], NOW_MS).user_id == "ming"
        for request in requests:
            with pytest.raises(NotLoggedIn, match="was used before"):
                callers.authenticate(request, NOW_MS)
    assert reason(ways[2], {"X-Jwt": token()}).startswith("the token needs a jti")


def test_a_token_is_used_as_often_as_you_like_unless_set() -> None:
    """Without the setting an id means nothing."""
    for _ in range(3):
        assert user(Bearer(tokens()), {"Authorization": f"Bearer {token(jti='one')}"}) == "ming"


def test_ids_of_different_issuers_do_not_collide(store: Store) -> None:
    """An id is an issuer's own; no choice of issuer and id makes two pairs one."""
    way = Bearer(tokens(), single_use=store)
    pairs = [
        ("a", "b"),
        ("", "ab"),
        ("ab", "c"),
        ("a", "bc"),
        ('a", "b', "c"),
        ("a", 'b", "c'),
        ("a:b", "c"),
        ("a", "b:c"),
    ]
    for issuer, jti in [*pairs, *((jti, issuer) for issuer, jti in pairs if issuer)]:
        assert user(way, {"Authorization": f"Bearer {token(iss=issuer, jti=jti)}"}) == "ming"
    assert reason(way, {"Authorization": f"Bearer {token(jti='ab')}"}).startswith(
        "the token was used"
    )  # no issuer is ""


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({}, False),
        ({"jti": ""}, False),
        ({"jti": "j" * 256}, False),
        ({"jti": "j" * 255}, True),
        ({"jti": "号"}, True),
        ({"jti": 7}, True),
        ({"jti": None}, False),
    ],
)
def test_a_single_use_token_needs_an_id(store: Store, claims: dict[str, Any], is_good: bool) -> None:  # noqa: FBT001 -- a column
    """Without an id nothing could be remembered."""
    way, headers = Bearer(tokens(), single_use=store), {"Authorization": f"Bearer {token(**claims)}"}
    if is_good:
        assert user(way, headers) == "ming"
    else:
        expected = "the token needs a jti of 1 to 255 characters, because it is good only once"
        assert reason(way, headers) == expected


def test_a_forged_token_uses_nothing_up(store: Store) -> None:
    """Whoever knows an id but not the key cannot spoil the true token."""
    way = Bearer(tokens(), single_use=store)
    for forged in (token("e" * 32, jti="one"), token(jti="one", exp=NOW_S), token(jti="one", sub="")):
        with pytest.raises(NotLoggedIn):
            user(way, {"Authorization": f"Bearer {forged}"})
    assert user(way, {"Authorization": f"Bearer {token(jti='one')}"}) == "ming"


def test_a_used_token_is_remembered_longer_than_it_lives(store: Store, clock: Clock) -> None:
    """The claim outlives the token and its leeway by a minute, for clocks that differ."""
    way = Bearer(tokens(leeway_s=30), single_use=store)
    headers = {"Authorization": f"Bearer {token(jti='one')}"}
    user(way, headers)
    key = f"jti:{hashlib.sha256(json.dumps(['', 'one']).encode()).hexdigest()}"
    clock.now_ms = (NOW_S + 300 + 30 + 60) * 1000 - 1
    store.ping()  # a write, at which a store forgets what has expired
    assert store.get(key) is not None
    clock.now_ms += 1
    store.ping()
    assert store.get(key) is None, "and not for ever"


@pytest.mark.parametrize(("iat_s", "is_good"), [(NOW_S - 62, False), (NOW_S - 61, False), (NOW_S - 60, True)])
def test_a_token_older_than_the_stores_memory(store: Store, iat_s: int, is_good: bool) -> None:  # noqa: FBT001 -- a column
    """A token issued before the second in which the store was born may have been used, and forgotten."""
    way, headers = Bearer(tokens(), single_use=store), {"Authorization": f"Bearer {token(jti='one', iat=iat_s)}"}
    if is_good:
        assert user(way, headers) == "ming"
    else:
        assert reason(way, headers) == "the token is older than the store's memory; get a fresh token"


def test_a_store_that_is_away_lets_nobody_in(tmp_path: Path, clock: Clock) -> None:
    """Whether a token was used cannot be known, so it is neither accepted nor called bad."""
    (tmp_path / "file").touch()
    away = open_store(f"sqlite://{tmp_path}/file/store.db", now_ms=clock)
    with pytest.raises(StoreAway):
        user(Bearer(tokens(), single_use=away), {"Authorization": f"Bearer {token(jti='one')}"})


def test_of_many_uses_at_once_one_wins(store: Store) -> None:
    """However many threads bring the token, it is good once."""
    callers = Callers([Bearer(tokens(), single_use=store)], allowed_origins=frozenset())
    headers = {"Authorization": f"Bearer {token(jti='one')}"}

    def is_let_in(_: int) -> bool:
        try:
            callers.authenticate(asking(headers), NOW_MS)
        except NotLoggedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_let_in, range(16))) == 1


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
    assert reason(session_way(), {"Cookie": f"session={cookie.value}"}).startswith("the request brings no login")


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
    caller = Callers(ways, allowed_origins=frozenset()).authenticate(asking(headers), NOW_MS)
    assert caller == Caller("hua", "gateway")


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
            with pytest.raises(NotLoggedInYet, match=r"^the session cookie is from the future, by") as refused:
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
    expected = "the session cookie is broken, or signed with another key"
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
        expected = "the session cookie is broken, or signed with another key"
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
        assert reason(session_way(), {"Cookie": f"session={foreign}"}).startswith("the session cookie is broken")
    own = URLSafeTimedSerializer(SESSION_KEY, salt="cookie-session", signer_kwargs=flask_kwargs)
    for content in (["_user_id", "admin"], "admin", None, 5):
        assert (
            reason(session_way(), {"Cookie": f"session={own.dumps(content)}"}) == "the session cookie holds no session"
        )
    not_json = own.make_signer("cookie-session").sign(b"bm90IGpzb24").decode()
    assert reason(session_way(), {"Cookie": f"session={not_json}"}).startswith("the session cookie is broken")


def token_cookie_way() -> TokenCookie:
    """Return the way of a token in a cookie."""
    return TokenCookie(tokens(), cookie="session")


@pytest.mark.parametrize("way", [session_way(), token_cookie_way()], ids=lambda way: way.name)
def test_several_cookies_of_one_name(way: Way) -> None:
    """What is stale does not count beside what is good; good ones of two users do not say who it is."""
    with at(NOW_S - 32 * DAY_S):
        old = session_cookie({"_user_id": "hua"}) if way.name == "session" else token(sub="hua", exp=NOW_S - 1)
    if way.name == "session":
        good, again, planted, forged = (
            session_cookie({"_user_id": name, "n": number}, flask_app(key))
            for number, (name, key) in enumerate(
                [("ming", SESSION_KEY), ("ming", SESSION_KEY), ("mallory", SESSION_KEY), ("mallory", "another-key")]
            )
        )
    else:
        good, again, planted = token(jti="1"), token(jti="2"), token(sub="mallory")
        forged = token("e" * 32, sub="mallory")
    for others in ([old], [forged], [""], ["x"], [good], [again], [old, forged, "x", again]):
        for several in itertools.permutations([good, *others]):
            headers = {"Cookie": "; ".join(f"session={one}" for one in several)}
            assert user(way, headers) == "ming"
    for several in itertools.permutations([good, planted, old]):
        headers = {"Cookie": "; ".join(f"session={one}" for one in several)}
        assert reason(way, headers) == "there are several cookies session, of different users"
    refused = reason(way, {"Cookie": f"session={old}; session=x"})
    assert refused == reason(way, {"Cookie": f"session={old}"})


@pytest.mark.parametrize("way", [session_way(), token_cookie_way()], ids=lambda way: way.name)
def test_a_flood_of_cookies_is_not_verified(way: Way) -> None:
    """A head may bring thousands, each of which would cost a signature, without any login."""
    good = session_cookie({"_user_id": "ming"}) if way.name == "session" else token()
    stale = [f"session=stale-{number}" for number in range(MAX_COOKIES)]
    equal = [f"session={good}", "session="] * 1_000
    assert user(way, {"Cookie": "; ".join([*stale[1:], *equal])}) == "ming"
    assert reason(way, {"Cookie": "; ".join([*stale, *equal])}) == "there are more than 16 cookies session"


def test_a_session_of_nobody_beside_one_of_somebody() -> None:
    """A visitor's cookie that another path has left does not log a user out."""
    good, nobodys = session_cookie({"_user_id": "ming"}), session_cookie({"theme": "dark"})
    assert user(session_way(), {"Cookie": f"session={nobodys}; session={good}"}) == "ming"
    refused = reason(session_way(), {"Cookie": f"session={nobodys}; session=x"})
    assert refused == "the session cookie is broken, or signed with another key"


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_a_header_that_was_emptied(name: str) -> None:
    """A server may drop what it cannot read, so an empty header may have been a bad login: no other one counts."""
    headers = {name: "", "X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "hua"}
    with pytest.raises(InvalidRequest, match=f"{name}: the header is empty"):
        Callers([gateway_way()], allowed_origins=frozenset()).authenticate(asking(headers), NOW_MS)


def test_a_token_in_a_cookie() -> None:
    """It is what it is in a header, and the cookie of that very name counts."""
    way = TokenCookie(tokens(), cookie="access_token")
    assert user(way, {"Cookie": f"a=b; access_token={token()}"}) == "ming"
    assert reason(way, {"Cookie": f"access_token={token(exp=NOW_S)}"}) == "the token has expired"
    assert (
        reason(way, {"Cookie": f"token={token()}"}) == "the request brings no login; accepted: the cookie access_token"
    )
    assert reason(way, {"Cookie": "access_token="}).startswith("the request brings no login")


def test_a_token_of_a_time_to_come_is_not_remembered() -> None:
    """It is good as soon as its time has come."""
    way, headers = Bearer(tokens()), {"Authorization": f"Bearer {token(nbf=NOW_S + 6)}"}
    with pytest.raises(NotLoggedInYet):
        user(way, headers)
    with at(NOW_S + 1):
        assert user(way, headers, now_ms=NOW_MS + 1000) == "ming"


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
    warned = session_way()
    cases: list[tuple[Way, Mapping[str, object]]] = [
        (session_way(), {"_user_id": uniquifier}),
        (session_way(), {"_user_id": "42", "fs_cc": "set"}),
        (session_way(user_field="uid"), security | {"uid": uniquifier}),
        *[(warned, security)] * 2,
    ]
    for way, content in cases:
        assert user(way, {"Cookie": f"session={session_cookie(content)}"})
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


@pytest.mark.parametrize("other", ["x", "session=x; session=y", "theme=session"])
def test_a_cookie_does_not_spoil_a_token(callers: Callers, other: str) -> None:
    """Whoever brings a good Bearer token is its user, whatever cookies a browser adds; none of them names another."""
    for cookie in (other, f"{other}; session={session_cookie({'_user_id': 'eve'})}"):
        found = callers.authenticate(asking(GOOD["bearer"]() | {"Cookie": cookie}), NOW_MS)
        assert found == Caller("by-bearer", "bearer")


def test_the_cookie_has_the_name_that_is_set() -> None:
    """An app may call its cookie otherwise; one of another name does not count then."""
    cookie = session_cookie({"_user_id": "ming"})
    assert user(session_way(cookie="app_session"), {"Cookie": f"app_session={cookie}; session=x"}) == "ming"
    refusal = reason(session_way(cookie="app_session"), {"Cookie": f"session={cookie}"})
    assert refusal == "the request brings no login; accepted: the cookie app_session"


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


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Authorization", "X-Jwt", "X-Gateway-Secret", "X-Forwarded-User", "Cookie", "X-Forwarded-For"]
            ),
            st.sampled_from(["bearer", "session", "assertion", "gateway"]),
            st.sampled_from(
                ["{}", "{}", "Bearer {}", "{}, {}", "{},", " {}", '"{}"', "session={}", "Basic {}", "{}\t"]
            ),
        ),
        max_size=4,
    )
)
def test_credentials_in_each_others_places(placed: list[tuple[str, str, str]]) -> None:
    """A token, a cookie, a secret or a name in a header that is another's makes nobody a user but its own."""
    credentials = {f"by-{way}": next(iter(good().values())) for way, good in GOOD.items()}
    headers = {header: form.replace("{}", credentials[f"by-{way}"]) for header, way, form in placed}
    try:
        found = Callers(all_ways(), allowed_origins=frozenset()).authenticate(asking(headers), NOW_MS)
    except NotLoggedIn:
        return
    if found.way == "gateway":
        assert headers["X-Gateway-Secret"] == GATEWAY_SECRET
        assert headers["X-Forwarded-User"] == found.user_id
    else:
        place = {"bearer": "Authorization", "session": "Cookie", "assertion": "X-Jwt"}[found.way]
        assert credentials[found.user_id].removeprefix("session=") in headers[place]


@dataclass(frozen=True, slots=True)
class Handmade:
    """A request that is not Werkzeug's, with one value for every header and cookie."""

    value: str
    request_id: str = "request-1"
    method: str = "POST"
    host: str = "sign.example"
    secret: str = GATEWAY_SECRET

    @property
    def headers(self) -> "Handmade":
        return self

    @property
    def cookies(self) -> "Handmade":
        return self

    def get(self, key: str, /) -> str | None:
        return self.value if key != "X-Gateway-Secret" else self.secret

    def getlist(self, key: str, /) -> list[str]:
        return [self.get(key) or ""]


@pytest.mark.parametrize("value", ["\ud800", "用户", "Bearer \ud800", "Bearer 用户"])
@pytest.mark.parametrize(
    "way",
    [Bearer(tokens()), session_way(), token_cookie_way(), Assertion(tokens(), header="X-Jwt"), gateway_way()],
    ids=lambda way: way.name,
)
def test_text_that_wsgi_would_never_pass(way: Way, value: str) -> None:
    """Characters beyond Latin-1 and lone surrogates are refused, never replaced by others."""
    with pytest.raises(NotLoggedIn) as refused:
        Callers([way], allowed_origins=frozenset()).authenticate(Handmade(value), NOW_MS)
    if way.name == "gateway":
        assert refused.value.detail == "X-Forwarded-User was not decoded as WSGI demands"


def test_a_gateway_secret_that_wsgi_would_never_pass() -> None:
    """It is refused as any wrong one."""
    with pytest.raises(NotLoggedIn) as refused:
        Callers([gateway_way()], allowed_origins=frozenset()).authenticate(Handmade("ming", secret="密"), NOW_MS)
    assert refused.value.detail == "X-Gateway-Secret was not decoded as WSGI demands"


class Counted(Tokens):
    """Verifies tokens as they are verified here, and counts them."""

    verified = 0

    def verify(self, token: str) -> Token:
        self.verified += 1
        return super().verify(token)


def test_a_token_is_verified_once_a_minute() -> None:
    """A page that asks often does not cost a verification each time."""
    counted = Counted.with_key(TokenRules(("HS256",)), JWT_KEY)
    way, headers = Bearer(counted), {"Authorization": f"Bearer {token()}"}
    for later_ms in (0, 1, 59_999, 60_000, 60_001):
        assert user(way, headers, now_ms=NOW_MS + later_ms) == "ming"
    assert counted.verified == 2


@pytest.mark.parametrize(
    ("make", "header"),
    [
        (lambda counted: TokenCookie(counted, cookie="token"), lambda token: {"Cookie": f"token={token}"}),
        (lambda counted: Assertion(counted, header="X-Jwt"), lambda token: {"X-Jwt": f"Bearer {token}"}),
    ],
    ids=["token-cookie", "assertion"],
)
def test_a_token_elsewhere_is_verified_once_a_minute(
    make: Callable[[Tokens], Way], header: Callable[[str], dict[str, str]]
) -> None:
    """In a cookie or a gateway's header it costs no more than in the page's own; each token is its own."""
    counted = Counted.with_key(TokenRules(("HS256",)), JWT_KEY)
    way = make(counted)
    for later_ms in (0, 1, 59_999, 60_000, 60_001):
        assert user(way, header(token()), now_ms=NOW_MS + later_ms) == "ming"
    assert counted.verified == 2
    assert user(way, header(token(sub="hua")), now_ms=NOW_MS) == "hua"


def test_a_session_is_verified_once_a_minute() -> None:
    """Within the minute it is not looked at again; one that is nobody's is never remembered."""
    way, headers = session_way(), {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    assert user(way, headers) == "ming"
    with at(NOW_S + 32 * DAY_S):  # by which a verification would tell
        assert user(way, headers, now_ms=NOW_MS + 59_999) == "ming"
        with pytest.raises(NotLoggedIn, match="older than"):
            user(way, headers, now_ms=NOW_MS + 60_000)
    assert reason(way, {"Cookie": f"session={session_cookie({'other': 'ming'})}"}).startswith("the request brings no")


def test_a_session_is_remembered_for_no_longer_than_it_lives() -> None:
    """Its last second is the one of its greatest age, as if it were verified each time."""
    way = SessionCookie((SESSION_KEY,), cookie="session", user_field="_user_id", max_age_s=10)
    headers = {"Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    assert user(way, headers) == "ming"
    with at(NOW_S + 11):
        assert user(way, headers, now_ms=NOW_MS + 10_999) == "ming"
        with pytest.raises(NotLoggedIn, match="older than 10 s"):
            user(way, headers, now_ms=NOW_MS + 11_000)


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer ", "Bearer  "])
def test_an_assertion_logs_in(prefix: str) -> None:
    """The gateway's token is taken from the header that is set, with Bearer before it or without."""
    way = Assertion(tokens(), header="X-Pomerium-Jwt-Assertion")
    assert user(way, {"X-Pomerium-Jwt-Assertion": prefix + token()}) == "ming"


def test_an_assertion_in_another_header_is_none() -> None:
    """Only the header that is set counts."""
    way = Assertion(tokens(), header="X-Pomerium-Jwt-Assertion")
    headers = {"X-Goog-Iap-Jwt-Assertion": token(), "Authorization": f"Bearer {token()}"}
    expected = "the request brings no login; accepted: X-Pomerium-Jwt-Assertion from the gateway"
    assert reason(way, headers) == expected


def test_a_bad_assertion_is_refused() -> None:
    """An empty, expired, forged or doubled assertion is refused."""
    way = Assertion(tokens(), header="X-Jwt")
    assert reason(way, {"X-Jwt": ""}) == "the token is malformed"
    assert reason(way, {"X-Jwt": "Bearer"}) == "the token is malformed"
    assert reason(way, {"X-Jwt": token(exp=NOW_S)}) == "the token has expired"
    assert reason(way, {"X-Jwt": token("e" * 32)}) == "the token's signature does not match"
    assert reason(way, {"X-Jwt": f"{token()},{token()}"}) == "X-Jwt holds a comma, or was sent twice"


def test_the_gateways_word_is_believed_beside_its_secret() -> None:
    """With the right secret the header names the user, in UTF-8 too, as WSGI passes its bytes."""
    headers = {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "ming"}
    assert user(gateway_way(), headers) == "ming"
    assert user(gateway_way(), headers | {"X-Forwarded-User": "用户".encode().decode("latin-1")}) == "用户"


def test_without_the_secret_the_header_counts_for_nothing() -> None:
    """Anybody can send a user's name; alone it is as good as nothing."""
    expected = "the request brings no login; accepted: X-Forwarded-User from the gateway"
    assert reason(gateway_way(), {"X-Forwarded-User": "admin"}) == expected


@pytest.mark.parametrize(
    "presented",
    [
        "",
        " ",
        GATEWAY_SECRET[:-1],
        f"{GATEWAY_SECRET}x",
        GATEWAY_SECRET.upper(),
        f"{GATEWAY_SECRET},{GATEWAY_SECRET}",
        f"{GATEWAY_SECRET}, {GATEWAY_SECRET}",
        f"wrong,{GATEWAY_SECRET}",
        "\xff",
    ],
    ids=itertools.count(),
)
def test_a_wrong_secret_is_refused(presented: str) -> None:
    """Nearly right, empty and doubled secrets are wrong ones."""
    headers = {"X-Gateway-Secret": presented, "X-Forwarded-User": "admin"}
    assert reason(gateway_way(), headers) == "the X-Gateway-Secret header is not AUTHSVC_GATEWAY_SECRET"


def test_a_server_that_mixes_up_header_names_lets_no_gateway_name_a_user() -> None:
    """Where `X_Forwarded_User` may pass for it, the header is refused beside the right secret; one without a hyphen has
    no twin."""
    headers = {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "ming", "Remoteuser": "ming"}
    with_twin = Gateway((GATEWAY_SECRET,), user_header="X-Forwarded-User", twins_pass=True)
    assert reason(with_twin, headers) == (
        "this server cannot tell X-Forwarded-User from its underscore twin; let the gateway send a signed assertion,"
        " use a header name without a hyphen, or serve on gunicorn"
    )
    assert user(Gateway((GATEWAY_SECRET,), user_header="Remoteuser", twins_pass=True), headers) == "ming"


def test_gateway_secrets_rotate() -> None:
    """Any of the secrets will do, outside ASCII too; a secret is compared as bytes."""
    way = gateway_way("made-up-old-secret", "made-up-néw-secret")
    for presented in ("made-up-old-secret", "made-up-néw-secret".encode().decode("latin-1")):
        assert user(way, {"X-Gateway-Secret": presented, "X-Forwarded-User": "ming"}) == "ming"
    headers = {"X-Gateway-Secret": "made-up-néw-secret", "X-Forwarded-User": "ming"}
    assert reason(way, headers) == "the X-Gateway-Secret header is not AUTHSVC_GATEWAY_SECRET"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "the gateway names no user: X-Forwarded-User is missing"),
        ({"X-Forwarded-User": ""}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "  "}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a" * 256}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a\tb"}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a\x7f"}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "ming,mallory"}, "X-Forwarded-User holds a comma, or was sent twice"),
        ({"X-Forwarded-User": "ming, ming"}, "X-Forwarded-User holds a comma, or was sent twice"),
        ({"X-Forwarded-User": "caf\xe9"}, "X-Forwarded-User is not UTF-8 text"),
    ],
)
def test_a_user_whom_the_gateway_does_not_name_well(headers: dict[str, str], expected: str) -> None:
    """A missing, doubled or unreadable name is refused even beside the right secret."""
    assert reason(gateway_way(), {"X-Gateway-Secret": GATEWAY_SECRET} | headers) == expected


@pytest.mark.parametrize("empty", [(), ("",), ("good-secret", "")])
def test_empty_secrets_are_refused(empty: tuple[str, ...]) -> None:
    """An empty key or secret would let everybody in, so nothing can be built with one."""
    with pytest.raises(ValueError, match=r"^an empty secret would let everybody in$"):
        Gateway(empty, user_header="X-Forwarded-User")
    with pytest.raises(ValueError, match="empty secret"):
        SessionCookie(empty, cookie="session", user_field="_user_id", max_age_s=60)


GOOD: dict[str, Callable[[], dict[str, str]]] = {
    "bearer": lambda: {"Authorization": f"Bearer {token(sub='by-bearer')}"},
    "session": lambda: {"Cookie": f"session={session_cookie({'_user_id': 'by-session'})}"},
    "assertion": lambda: {"X-Jwt": token(sub="by-assertion")},
    "gateway": lambda: {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "by-gateway"},
}
BAD: dict[str, dict[str, str]] = {
    "bearer": {"Authorization": "Bearer x"},
    "session": {"Cookie": "session=x"},
    "assertion": {"X-Jwt": "x"},
    "gateway": {"X-Gateway-Secret": "x", "X-Forwarded-User": "by-gateway"},
}
AMBIENT = ("session", "assertion", "gateway")


@pytest.fixture
def callers() -> Callers:
    """All four ways, in their order."""
    return Callers(all_ways(), allowed_origins=frozenset({"https://app.example"}))


def all_ways() -> list[Way]:
    """Return the four ways."""
    return [Bearer(tokens()), session_way(), Assertion(tokens(), header="X-Jwt"), gateway_way()]


@pytest.mark.parametrize("states", list(itertools.product(["none", "good", "bad"], repeat=4)), ids=" ".join)
def test_the_first_credential_decides(callers: Callers, states: tuple[str, ...]) -> None:
    """Of all that a request brings, the first way's credential decides: if it is bad, no other one helps."""
    headers: dict[str, str] = {}
    for way, state in zip(GOOD, states, strict=True):
        headers |= {"none": dict, "good": GOOD[way], "bad": BAD[way].copy}[state]()
    first = next(((way, state) for way, state in zip(GOOD, states, strict=True) if state != "none"), None)
    if first is not None and first[1] == "good":
        assert callers.authenticate(asking(headers), NOW_MS) == Caller(f"by-{first[0]}", first[0])
    else:
        with pytest.raises(NotLoggedIn) as refused:
            callers.authenticate(asking(headers), NOW_MS)
        assert refused.value.detail.startswith("the request brings no login") == (first is None)


def test_a_request_without_login_hears_what_would_do(callers: Callers) -> None:
    """The refusal names every accepted way."""
    with pytest.raises(NotLoggedIn) as refused:
        callers.authenticate(asking(), NOW_MS)
    assert refused.value.detail == (
        "the request brings no login; accepted: Authorization: Bearer <token>, or the cookie session, "
        "or X-Jwt from the gateway, or X-Forwarded-User from the gateway"
    )


def test_the_ways_can_be_replaced(callers: Callers) -> None:
    """After a change of settings the new ways count, and the old no more."""
    callers.replace([gateway_way("made-up-new-secret")])
    for old in GOOD.values():
        with pytest.raises(NotLoggedIn):
            callers.authenticate(asking(old()), NOW_MS)
    new = {"X-Gateway-Secret": "made-up-new-secret", "X-Forwarded-User": "hua"}
    assert callers.authenticate(asking(new), NOW_MS) == Caller("hua", "gateway")


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://blog.sign.example", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-site"},
]
SAME_SITE: list[dict[str, str]] = [
    {},
    {"Origin": "https://sign.example"},
    {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://app.example", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("way", AMBIENT)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "MADEUP"])
@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_another_sites_page_cannot_use_a_login_that_comes_by_itself(
    callers: Callers, way: str, method: str, origin: dict[str, str]
) -> None:
    """What the browser or the gateway adds to every request does not count for another site's."""
    with pytest.raises(CrossSite):
        callers.authenticate(asking(GOOD[way]() | origin, method=method), NOW_MS)


@pytest.mark.parametrize("way", GOOD)
@pytest.mark.parametrize("origin", SAME_SITE, ids=str)
def test_the_sites_own_pages_and_allowed_ones_can(callers: Callers, way: str, origin: dict[str, str]) -> None:
    """Own pages, allowed origins and clients that are no browsers are let in by every way."""
    assert callers.authenticate(asking(GOOD[way]() | origin), NOW_MS).way == way


@pytest.mark.parametrize("way", GOOD)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_may_come_from_anywhere(callers: Callers, way: str, method: str) -> None:
    """Pictures are fetched by pages of other sites, and CORS keeps them from reading more."""
    assert callers.authenticate(asking(GOOD[way]() | CROSS_SITE[1], method=method), NOW_MS).way == way


@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_a_token_in_a_cookie_is_under_the_same_site_rule(origin: dict[str, str]) -> None:
    """The browser adds it by itself; it stands after a Bearer token and before a session."""
    callers = Callers([Bearer(tokens()), token_cookie_way(), gateway_way()], allowed_origins={"https://app.example"})
    cookie = {"Cookie": f"session={token(sub='by-cookie')}"}
    for own in SAME_SITE:
        assert callers.authenticate(asking(cookie | own), NOW_MS) == Caller("by-cookie", "token-cookie")
    with pytest.raises(CrossSite):
        callers.authenticate(asking(cookie | origin), NOW_MS)
    assert callers.authenticate(asking(GOOD["bearer"]() | cookie | origin), NOW_MS) == Caller("by-bearer", "bearer")


@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_a_bearer_token_is_good_from_anywhere(callers: Callers, origin: dict[str, str]) -> None:
    """No browser adds it by itself, so whoever sends it has it, even beside a cookie."""
    headers = GOOD["bearer"]() | GOOD["session"]() | origin
    assert callers.authenticate(asking(headers), NOW_MS) == Caller("by-bearer", "bearer")


@pytest.mark.parametrize("way", AMBIENT)
def test_a_bad_login_of_another_site_is_a_bad_login(callers: Callers, way: str) -> None:
    """The credential is looked at first."""
    with pytest.raises(NotLoggedIn):
        callers.authenticate(asking(BAD[way] | CROSS_SITE[0]), NOW_MS)
