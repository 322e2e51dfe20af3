"""
Who is logged in: the ways of telling, tried in order.

The first way whose credential a request brings decides; a bad one is refused and never falls through to the next.
The only module that imports `itsdangerous`. Of the project it imports `tokens`, `remembered`, `origins`, `ids`,
`store` and `errors`.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from authsvc import origins
from authsvc.errors import MemoryLost, NotLoggedIn
from authsvc.ids import fresh_id
from authsvc.remembered import Remembered
from authsvc.store import Store
from authsvc.tokens import MAX_ID_LENGTH, Token, Tokens, checked_user_id

_CLAIM_MARGIN_MS = 60_000  # the clocks of the hosts and of the store may differ by this
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A logged-in user, and the way that told: "bearer", "session", "assertion" or "gateway"."""

    user_id: str
    way: str


class Headers(Protocol):
    """Header values by name, in any case; one that came twice is joined by a comma, as WSGI does."""

    def get(self, key: str, /) -> str | None: ...


class Cookies(Protocol):
    """Cookie values by name, all of them."""

    def getlist(self, key: str, /) -> list[str]: ...


class Asking(Protocol):
    """What a request brings; Werkzeug's Request fits."""

    @property
    def method(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def cookies(self) -> Cookies: ...


class Way(Protocol):
    """
    One way of telling who is logged in.

    Attributes:
        name: as in `Caller.way`.
        brings: what a request has to bring, for the refusal of one that brings nothing.
        is_ambient: the browser or the gateway adds the credential by itself, so another site's page has it too.
    """

    name: str
    brings: str
    is_ambient: bool

    def user_id(self, request: Asking, now_ms: int, /) -> str | None:
        """
        Return the user's id, or None if the request does not bring this way's credential.

        Raises:
            NotLoggedIn: it brings a bad one.
            Unavailable: whether it is good cannot be known now.
        """


class Callers:
    """Tells who is logged in. `replace` swaps the ways in one step."""

    def __init__(self, ways: Iterable[Way], *, allowed_origins: Collection[str]) -> None:
        """Take the ways in the order in which they are tried, and the origins whose pages may call."""
        self._allowed_origins = allowed_origins
        self.replace(ways)

    def authenticate(self, request: Asking, now_ms: int) -> Caller:
        """
        Return who is logged in.

        Args:
            now_ms: Unix milliseconds by the server's clock.

        Raises:
            NotLoggedIn: no way applies, or the first that does is refused.
            CrossSite: the credential is good but another site's page has sent it along.
            Unavailable: the credential cannot be checked now.
        """
        ways = self._ways
        for way in ways:
            user_id = way.user_id(request, now_ms)
            if user_id is not None:
                if way.is_ambient and request.method not in _READING:
                    origins.check_same_site(
                        origin=request.headers.get("Origin"),
                        sec_fetch_site=request.headers.get("Sec-Fetch-Site"),
                        host=request.host,
                        allowed=self._allowed_origins,
                    )
                return Caller(user_id, way.name)
        raise NotLoggedIn(f"the request brings no login; accepted: {', or '.join(way.brings for way in ways)}")

    def bearer(self, authorization: str, now_ms: int) -> str | None:
        """
        Return whose Bearer token this is, if the Authorization header is all that `authenticate` would look at.

        None says nothing: ask `authenticate`.

        Raises:
            NotLoggedIn, Unavailable: as `authenticate`, which need not be asked any more.
        """
        bearer = self._bearer
        return None if bearer is None else bearer.told_by(authorization, now_ms)

    def replace(self, ways: Iterable[Way]) -> None:
        """Use these ways from now on."""
        self._ways = tuple(ways)
        first = next(iter(self._ways), None)
        self._bearer = first if isinstance(first, Bearer) and not first.is_single_use else None


class Bearer:
    """A JWT that the page itself sends; with a store, its `jti` is good once."""

    name = "bearer"
    brings = "Authorization: Bearer <token>"
    is_ambient = False

    def __init__(self, tokens: Tokens, *, single_use: Store | None = None) -> None:
        self._tokens = tokens
        self._store = single_use
        self._remembered = Remembered()

    @property
    def is_single_use(self) -> bool:
        """Whether asking about a token uses it up."""
        return self._store is not None

    def user_id(self, request: Asking, now_ms: int) -> str | None:
        return self.told_by(request.headers.get("Authorization") or "", now_ms)

    def told_by(self, authorization: str, now_ms: int) -> str | None:
        """Return as `user_id` whose token is in this Authorization header; one of the last minute is not verified."""
        known = self._remembered.find(authorization, now_ms)
        if known is not None:
            return known
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        credential = credential.strip(" ")
        if not credential:
            raise NotLoggedIn("the Authorization header has no token after Bearer")
        token = self._tokens.verify(_single(credential, "Authorization"))
        if self._store is None:
            self._remembered.add(authorization, token.sub, expires_ms=token.expires_ms, now_ms=now_ms)
        else:
            _use_up(token, self._store, now_ms)
        return token.sub


class SessionCookie:
    """The app's own Flask session cookie, as `flask.sessions` signs it."""

    name = "session"
    is_ambient = True

    def __init__(self, keys: Sequence[str], *, cookie: str, user_field: str, max_age_s: int) -> None:
        """
        Take the app's SECRET_KEYs, any of which may have signed.

        Args:
            user_field: where the session keeps the user's id.
            max_age_s: seconds from its last signing for which a session counts.
        """
        _check_secrets(keys)
        self.brings = f"the cookie {cookie}"
        self._serializer = URLSafeTimedSerializer(
            list(keys),
            salt="cookie-session",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
        )
        self._cookie = cookie
        self._user_field = user_field
        self._max_age_s = max_age_s

    def user_id(self, request: Asking, _now_ms: int) -> str | None:
        values = set(request.cookies.getlist(self._cookie))
        if len(values) > 1:
            raise NotLoggedIn(f"there are several cookies {self._cookie}, with different values")
        session = self._session(values.pop()) if values - {""} else {}
        user_id = session.get(self._user_field)
        if user_id is None:
            return None
        if isinstance(user_id, bool) or not isinstance(user_id, str | int):
            raise NotLoggedIn(f"the session's {self._user_field} must be a string or a whole number")
        return checked_user_id(str(user_id), f"the session's {self._user_field}")

    def _session(self, cookie: str) -> dict[str, object]:
        try:
            session = self._serializer.loads(cookie, max_age=self._max_age_s)
        except SignatureExpired as exc:
            raise NotLoggedIn(f"the session cookie is older than {self._max_age_s} s, or from the future") from exc
        # Of a time that no calendar has, itsdangerous lets the error of datetime through.
        except (BadData, ValueError, OSError, OverflowError) as exc:
            raise NotLoggedIn("the session cookie is broken, or signed with another key") from exc
        if not isinstance(session, dict):
            raise NotLoggedIn("the session cookie holds no session")
        return session


class Assertion:
    """A JWT that the gateway in front adds in a header of its own."""

    name = "assertion"
    is_ambient = True

    def __init__(self, tokens: Tokens, *, header: str) -> None:
        self.brings = f"{header} from the gateway"
        self._tokens = tokens
        self._header = header

    def user_id(self, request: Asking, _now_ms: int) -> str | None:
        value = request.headers.get(self._header)
        if value is None:
            return None
        scheme, _, credential = value.partition(" ")
        token = credential.strip(" ") if scheme.lower() == "bearer" else value
        return self._tokens.verify(_single(token, self._header)).sub


class Gateway:
    """A header in which the gateway in front names the user; believed only beside the gateway's secret."""

    name = "gateway"
    is_ambient = True

    def __init__(self, gateway_secrets: Sequence[str], *, user_header: str, twins_pass: bool = False) -> None:
        """
        Take the secrets any of which makes a request the gateway's, and the header that names the user.

        Args:
            twins_pass: the server lets a header's underscore twin pass for it, so a client behind a gateway that does
                not know of the twin could name any user; a header without a hyphen has no twin.
        """
        _check_secrets(gateway_secrets)
        self.brings = f"{user_header} from the gateway"
        self._secrets = tuple(secret.encode() for secret in gateway_secrets)
        self._user_header = user_header
        self._has_twin = twins_pass and "-" in user_header

    def user_id(self, request: Asking, _now_ms: int) -> str | None:
        presented = request.headers.get("X-Gateway-Secret")
        if presented is None:
            return None
        if self._has_twin:
            raise NotLoggedIn(
                f"this server cannot tell {self._user_header} from its underscore twin; let the gateway send a signed "
                "assertion, use a header name without a hyphen, or serve on gunicorn"
            )
        # Every secret is compared, so the time taken does not tell which one was close.
        matches = [hmac.compare_digest(_raw(presented, "X-Gateway-Secret"), secret) for secret in self._secrets]
        if not any(matches):
            raise NotLoggedIn("the X-Gateway-Secret header is not AUTHSVC_GATEWAY_SECRET")
        user = request.headers.get(self._user_header)
        if user is None:
            raise NotLoggedIn(f"the gateway names no user: {self._user_header} is missing")
        try:
            user_id = _raw(_single(user, self._user_header), self._user_header).decode()
        except UnicodeDecodeError as exc:
            raise NotLoggedIn(f"{self._user_header} is not UTF-8 text") from exc
        return checked_user_id(user_id, self._user_header)


def _use_up(token: Token, store: Store, now_ms: int) -> None:
    if not token.jti or len(token.jti) > MAX_ID_LENGTH:
        raise NotLoggedIn(f"the token needs a jti of 1 to {MAX_ID_LENGTH} characters, because it is good only once")
    name = json.dumps([token.issuer or "", token.jti])
    try:
        is_first = store.add(
            f"jti:{hashlib.sha256(name.encode()).hexdigest()}",
            fresh_id(),
            keep_ms=token.expires_ms - now_ms + _CLAIM_MARGIN_MS,
            # `iat` is rounded down; the end of its second keeps a token issued just after the birth of the store.
            since_ms=None if token.issued_ms is None else token.issued_ms + 999,
        )
    except MemoryLost as exc:
        raise NotLoggedIn("the token is older than the store's memory; get a fresh token") from exc
    if not is_first:
        raise NotLoggedIn("the token was used before; get a fresh token")


def _check_secrets(values: Sequence[str]) -> None:
    if not values or not all(values):
        raise ValueError("an empty secret would let everybody in")


def _single(value: str, header: str) -> str:
    if "," in value:
        raise NotLoggedIn(f"{header} holds a comma, or was sent twice")
    return value


def _raw(value: str, header: str) -> bytes:
    """Return the bytes of a header as they came: WSGI decodes them as Latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise NotLoggedIn(f"{header} was not decoded as WSGI demands") from exc
