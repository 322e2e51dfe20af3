"""
Login by a JWT: in the Authorization header, in a cookie, or in a header of the gateway; and its single use.

Imports `authenticator`, `credentials`, `tokens`, `token_cache`, `ids`, `store`, `message` and `errors`.
"""

import hashlib
import json
import re

from authsvc.auth.authenticator import RequestLike
from authsvc.auth.credentials import only_user, single
from authsvc.auth.token_cache import TokenCache
from authsvc.auth.tokens import MAX_ID_LENGTH, Token, Tokens
from authsvc.errors import MemoryLost, NotLoggedIn
from authsvc.ids import fresh_id
from authsvc.message import Message
from authsvc.stores.store import Store

# A Bearer credential that is not the header's first, or has no space after it. It must not count as no credential.
_BEARER_ELSEWHERE = re.compile(r"(?:^|,)[ \t]*bearer(?:[ \t,]|$)", re.ASCII | re.IGNORECASE)
_CLAIM_MARGIN_MS = 60_000  # by which the clocks of the hosts and of the store may differ


class Bearer:
    """A JWT that the page itself sends. With a store, its `jti` can be used once."""

    brings = Message("Authorization: Bearer <token>")
    reads = ("Authorization",)
    is_ambient = False

    def __init__(self, tokens: Tokens, *, single_use: Store | None = None) -> None:
        self._users = _Users(tokens, single_use)

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        authorization = request.header("Authorization")
        if not authorization:
            return None
        known = self._users.find(authorization, now_ms)
        if known is not None:
            return known
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer":
            if _BEARER_ELSEWHERE.search(authorization):
                raise NotLoggedIn("the Authorization header must be Bearer, a space and the token, and nothing else")
            return None
        credential = credential.strip(" ")
        if not credential:
            raise NotLoggedIn("the Authorization header has no token after Bearer")
        return self._users.verify(authorization, single(credential, "Authorization"), now_ms)


class TokenCookie:
    """A JWT in a cookie, which no script of the page can read. With a store, its `jti` can be used once."""

    reads = ("Cookie",)
    is_ambient = True

    def __init__(self, tokens: Tokens, *, cookie: str, single_use: Store | None = None) -> None:
        self.brings = Message("the cookie {cookie}", cookie=cookie)
        self._cookie = cookie
        self._users = _Users(tokens, single_use)

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        return only_user(request.cookies.getlist(self._cookie), lambda cookie: self._user(cookie, now_ms), self._cookie)

    def _user(self, cookie: str, now_ms: int) -> str:
        return self._users.find(cookie, now_ms) or self._users.verify(cookie, cookie, now_ms)


class Assertion:
    """A JWT that the gateway adds in a header of its own. With a store, its `jti` can be used once."""

    is_ambient = True

    def __init__(self, tokens: Tokens, *, header: str, single_use: Store | None = None) -> None:
        self.brings = Message("{header} from the gateway", header=header)
        self.reads = (header,)
        self._header = header
        self._users = _Users(tokens, single_use)

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        value = request.header(self._header)
        if value is None:
            return None
        known = self._users.find(value, now_ms)
        if known is not None:
            return known
        scheme, _, credential = value.partition(" ")
        token = single(credential.strip(" ") if scheme.lower() == "bearer" else value, self._header)
        return self._users.verify(value, token, now_ms)


class _Users:
    """The users of tokens. A verified token is cached or, with a store, used up."""

    def __init__(self, tokens: Tokens, single_use: Store | None) -> None:
        self._tokens = tokens
        self._store = single_use
        self._cache = TokenCache[str]()
        self.find = self._cache.find

    def verify(self, credential: str, text: str, now_ms: int) -> str:
        """Verify the token in this text, and return its user; the cache finds it by the credential."""
        token = self._tokens.verify(text)
        if self._store is None:
            self._cache.add(credential, token.user_id, expires_ms=token.expires_ms, now_ms=now_ms)
        else:
            _use_up(token, self._store, now_ms)
        return token.user_id


def _use_up(token: Token, store: Store, now_ms: int) -> None:
    if not token.jti or len(token.jti) > MAX_ID_LENGTH:
        raise NotLoggedIn(
            "the token must have a jti of 1 to {most} characters, because it can be used only once", most=MAX_ID_LENGTH
        )
    name = json.dumps([token.issuer or "", token.jti])
    try:
        is_first = store.add(
            f"jti:{hashlib.sha256(name.encode()).hexdigest()}",
            fresh_id(),
            keep_ms=token.expires_ms - now_ms + _CLAIM_MARGIN_MS,
            # `iat` is rounded down. The end of its second accepts a token issued just after the store was created.
            since_ms=None if token.issued_ms is None else token.issued_ms + 999,
        )
    except MemoryLost as exc:
        raise NotLoggedIn("the token is older than the store's records; get a fresh token") from exc
    if not is_first:
        raise NotLoggedIn("the token was already used; get a fresh token")
