"""What a request brings by each way of logging in, and who is logged in by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from flask import Flask
from freezegun import freeze_time
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from authsvc.auth.authenticator import Authenticator, Way
from authsvc.auth.bearer import TokenCookie
from authsvc.auth.gateway import Gateway
from authsvc.auth.session_cookie import SessionCookie
from authsvc.auth.tokens import TokenRules, Tokens
from authsvc.errors import NotLoggedIn
from tests.support.made_up import GATEWAY_SECRET, JWT_KEY, SESSION_KEY

NOW_S = 1_750_000_000
NOW_MS = NOW_S * 1000
DAY_S = 86_400


def at(moment_s: int) -> Any:
    """Stop the clock at this moment."""
    return freeze_time(datetime.fromtimestamp(moment_s, UTC))


class Asked(Request):
    """A request of Werkzeug's with an id for the log."""

    request_id = "request-1"

    def header(self, name: str, /) -> str | None:
        return self.headers.get(name)


def asking(headers: Mapping[str, str] | None = None, *, method: str = "POST") -> Asked:
    """Return a request as WSGI hands it on: header values are Latin-1 text."""
    environ = EnvironBuilder(method=method, base_url="https://sign.example/").get_environ()
    for name, value in (headers or {}).items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return Asked(environ)


@dataclass(frozen=True, slots=True)
class Handmade:
    """A request that is not Werkzeug's, with one value for every header and cookie."""

    value: str
    request_id: str = "request-1"
    method: str = "POST"
    host: str = "sign.example"
    secret: str = GATEWAY_SECRET

    def header(self, name: str, /) -> str | None:
        return self.value if name != "X-Gateway-Secret" else self.secret

    @property
    def cookies(self) -> "Handmade":
        return self

    def getlist(self, _name: str, /) -> list[str]:
        return [self.value]


def token(key: Any = JWT_KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """Return a token of these claims, over those that every token has."""
    return jwt.encode({"sub": "ming", "exp": NOW_S + 300} | claims, key, algorithm=algorithm)


def tokens(leeway_s: int = 0) -> Tokens:
    """Return what verifies the tokens here."""
    return Tokens.with_key(TokenRules(("HS256",), leeway_s=leeway_s), JWT_KEY)


def session_way(*session_keys: str, cookie: str = "session", user_field: str = "_user_id") -> SessionCookie:
    """Return the way of the session cookie, for sessions of up to 31 days."""
    return SessionCookie(session_keys or (SESSION_KEY,), cookie=cookie, user_field=user_field, max_age_s=31 * DAY_S)


def token_cookie_way() -> TokenCookie:
    """Return the way of a token in a cookie."""
    return TokenCookie(tokens(), cookie="session")


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
    return Authenticator([way], allowed_origins=frozenset()).authenticate(asking(headers, method=method), now_ms)


def reason(way: Way, headers: Mapping[str, str]) -> str:
    """Return why nobody is."""
    with pytest.raises(NotLoggedIn) as refused:
        user(way, headers)
    return refused.value.detail
