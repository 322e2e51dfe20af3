"""
Who is logged in: the ways of telling, tried in order.

The first way whose credential a request brings decides; a bad one is refused and never falls through to the next.
The only module that imports `itsdangerous`. Of the project it imports `tokens`, `token_cache`, `same_site`, `ids`,
`clock`, `secret`, `store` and `errors`.
"""

import base64
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer

from authsvc import clock
from authsvc.auth import same_site
from authsvc.auth.token_cache import Remembered
from authsvc.auth.tokens import MAX_ID_LENGTH, Token, Tokens, check_not_ahead, checked_user_id
from authsvc.errors import InvalidRequest, MemoryLost, NotLoggedIn, NotLoggedInYet
from authsvc.ids import fresh_id
from authsvc.secret import key_bytes
from authsvc.stores.store import Store

FS_UNIQUIFIER = (
    "_user_id of the session is Flask-Security's fs_uniquifier, which changes with the user's password, and then the"
    " user gets another IM account; put an id that stays into the session and name it in AUTHSVC_SESSION_USER_FIELD"
)
MAX_COOKIES = 16  # of one name; browsers send those of a few paths and domains
# A Bearer credential that is not the header's first, or not followed by a space; it must not pass for none.
_BEARER_ELSEWHERE = re.compile(r"(?:^|,)[ \t]*bearer(?:[ \t,]|$)", re.ASCII | re.IGNORECASE)
_CLAIM_MARGIN_MS = 60_000  # the clocks of the hosts and of the store may differ by this
_UNIQUIFIER = re.compile(r"[0-9a-f]{32}")
_FLASK_SECURITY = frozenset({"fs_cc", "fs_paa"})  # what its login_user leaves in a session
# How `flask.sessions` writes what JSON has no type for, of that what may be an id.
_TAGS: Mapping[str, Callable[[str], str]] = {
    " u": lambda text: str(UUID(hex=text)),
    " m": str,
    " b": lambda text: base64.b64decode(text, validate=True).decode(),
}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_log = logging.getLogger(__name__)


class Caller(NamedTuple):
    """A logged-in user, and the way of logging in, as `Way.name`."""

    user_id: str
    way: str


class Headers(Protocol):
    """Header values by name, in any case; one that came twice is joined by a comma, as WSGI does."""

    def get(self, key: str, /) -> str | None: ...


class Cookies(Protocol):
    """Cookie values by name, all of them."""

    def getlist(self, key: str, /) -> list[str]: ...


class Asking(Protocol):
    """What a request brings, and its id for the log."""

    @property
    def request_id(self) -> str: ...
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
            NotLoggedIn, NotLoggedInYet: it brings a bad one.
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
            NotLoggedIn, NotLoggedInYet: no way applies, or the first that does is refused.
            InvalidRequest: a header that could be a credential is there, and nothing is in it.
            CrossSite: the credential is good but another site's page has sent it along.
            Unavailable: the credential cannot be checked now.
        """
        for name in ("Authorization", "Cookie"):
            if request.headers.get(name) == "":
                # granian makes it of a header that has one byte beyond ASCII: it may hold a good login or a bad one.
                raise InvalidRequest(name, "the header is empty, or has bytes beyond ASCII, which the server drops")
        ways = self._ways
        for way in ways:
            user_id = way.user_id(request, now_ms)
            if user_id is not None:
                if way.is_ambient and request.method not in _READING:
                    same_site.check_same_site(
                        origin=request.headers.get("Origin"),
                        sec_fetch_site=request.headers.get("Sec-Fetch-Site"),
                        host=request.host,
                        allowed=self._allowed_origins,
                    )
                return Caller(user_id, way.name)
        raise NotLoggedIn(f"the request brings no login; accepted: {', or '.join(way.brings for way in ways)}")

    def replace(self, ways: Iterable[Way]) -> None:
        """Use these ways from now on."""
        self._ways = tuple(ways)


class Bearer:
    """A JWT that the page itself sends; with a store, its `jti` is good once."""

    name = "bearer"
    brings = "Authorization: Bearer <token>"
    is_ambient = False

    def __init__(self, tokens: Tokens, *, single_use: Store | None = None) -> None:
        self._tokens = tokens
        self._store = single_use
        self._remembered = Remembered()

    def user_id(self, request: Asking, now_ms: int) -> str | None:
        authorization = request.headers.get("Authorization") or ""
        known = self._remembered.find(authorization, now_ms)
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
        user_id, expires_ms = _verified(self._tokens, _single(credential, "Authorization"), self._store, now_ms)
        if self._store is None:
            self._remembered.add(authorization, user_id, expires_ms=expires_ms, now_ms=now_ms)
        return user_id


class TokenCookie:
    """A JWT in a cookie, where no script of the page can read it; with a store, its `jti` is good once."""

    name = "token-cookie"
    is_ambient = True

    def __init__(self, tokens: Tokens, *, cookie: str, single_use: Store | None = None) -> None:
        self.brings = f"the cookie {cookie}"
        self._tokens = tokens
        self._cookie = cookie
        self._store = single_use
        self._remembered = Remembered()

    def user_id(self, request: Asking, now_ms: int) -> str | None:
        return _only_user(
            request.cookies.getlist(self._cookie), lambda cookie: self._user(cookie, now_ms), self._cookie
        )

    def _user(self, cookie: str, now_ms: int) -> str | None:
        if self._store is not None:
            return _verified(self._tokens, cookie, self._store, now_ms)[0]
        return self._remembered.user(cookie, now_ms, lambda cookie: _verified(self._tokens, cookie, None, now_ms))


class SessionCookie:
    """The app's own Flask session cookie, as `flask.sessions` signs it."""

    name = "session"
    is_ambient = True

    def __init__(self, keys: Sequence[str], *, cookie: str, user_field: str, max_age_s: int) -> None:
        """
        Take the app's SECRET_KEYs, any of which may have signed; one that is bytes stands in base64 after `base64:`.

        Args:
            user_field: where the session keeps the user's id.
            max_age_s: seconds from its last signing for which a session counts.
        """
        _check_secrets(keys)
        self.brings = f"the cookie {cookie}"
        self._serializer = URLSafeTimedSerializer(
            [key_bytes(key) for key in keys],
            salt="cookie-session",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
        )
        self._cookie = cookie
        self._user_field = user_field
        self._max_age_s = max_age_s
        self._has_warned = False
        self._remembered = Remembered()

    def user_id(self, request: Asking, now_ms: int) -> str | None:
        cookies = request.cookies.getlist(self._cookie)
        return _only_user(cookies, lambda cookie: self._remembered.user(cookie, now_ms, self._verified), self._cookie)

    def _verified(self, cookie: str) -> tuple[str | None, int]:
        session, expires_ms = self._session(cookie)
        return self._user_of(session), expires_ms

    def _user_of(self, session: Mapping[str, object]) -> str | None:
        what = f"the session's {self._user_field}"
        user_id = session.get(self._user_field)
        if user_id is None:
            return None
        user_id = _untagged(user_id)
        if isinstance(user_id, bool) or not isinstance(user_id, str | int):
            raise NotLoggedIn(f"{what} must be a string, a whole number or a UUID")
        user_id = checked_user_id(str(user_id), what)
        if not self._has_warned and self._user_field == "_user_id" and _is_uniquifier(user_id, session):
            self._has_warned = True
            _log.warning("%s", FS_UNIQUIFIER)
        return user_id

    def _session(self, cookie: str) -> tuple[Mapping[str, object], int]:
        """Return what the cookie holds, and the first moment at which it is too old, Unix ms."""
        try:
            session, signed = self._serializer.loads(cookie, return_timestamp=True)
            signed_ms = int(signed.timestamp()) * 1000
        # Of a time that no calendar has, itsdangerous lets the error of datetime through.
        except (BadData, ValueError, OSError, OverflowError) as exc:
            raise NotLoggedIn("the session cookie is broken, or signed with another key") from exc
        expires_ms = signed_ms + (self._max_age_s + 1) * 1000
        if clock.now_ms() >= expires_ms:
            raise NotLoggedIn(f"the session cookie is older than {self._max_age_s} s")
        check_not_ahead(signed_ms, "the session cookie is from the future")
        if not isinstance(session, dict):
            raise NotLoggedIn("the session cookie holds no session")
        return session, expires_ms


class Assertion:
    """A JWT that the gateway in front adds in a header of its own; with a store, its `jti` is good once."""

    name = "assertion"
    is_ambient = True

    def __init__(self, tokens: Tokens, *, header: str, single_use: Store | None = None) -> None:
        self.brings = f"{header} from the gateway"
        self._tokens = tokens
        self._header = header
        self._store = single_use
        self._remembered = Remembered()

    def user_id(self, request: Asking, now_ms: int) -> str | None:
        value = request.headers.get(self._header)
        if value is None:
            return None
        if self._store is not None:
            return self._verified(value, now_ms)[0]
        return self._remembered.user(value, now_ms, lambda value: self._verified(value, now_ms))

    def _verified(self, value: str, now_ms: int) -> tuple[str, int]:
        scheme, _, credential = value.partition(" ")
        token = _single(credential.strip(" ") if scheme.lower() == "bearer" else value, self._header)
        return _verified(self._tokens, token, self._store, now_ms)


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


def _only_user(cookies: Iterable[str], user_of: Callable[[str], str | None], name: str) -> str | None:
    """
    Return whose the cookies of one name are.

    A browser sends all of them that a path or a domain above has left there, so a stale one may stand beside the good
    one. Those that are nobody's do not count either.

    Raises:
        NotLoggedIn, NotLoggedInYet: none of them is good, or two are good and of different users; or they are so many
            that verifying them all would keep a worker busy for seconds.
    """
    users: set[str] = set()
    refusals: list[NotLoggedIn | NotLoggedInYet] = []
    different = dict.fromkeys(filter(None, cookies))
    if len(different) > MAX_COOKIES:
        raise NotLoggedIn(f"there are more than {MAX_COOKIES} cookies {name}")
    for cookie in different:
        try:
            user_id = user_of(cookie)
        except (NotLoggedIn, NotLoggedInYet) as refusal:
            refusals.append(refusal)
        else:
            users |= {user_id} if user_id is not None else set()
    if len(users) > 1:
        raise NotLoggedIn(f"there are several cookies {name}, of different users")
    if not users and refusals:
        raise refusals[0]
    return next(iter(users), None)


def _untagged(value: object) -> object:
    """Return what `flask.sessions` has tagged as text, if it may be an id; anything else as it is."""
    if isinstance(value, dict) and len(value) == 1:
        ((tag, text),) = value.items()
        if tag in _TAGS and isinstance(text, str):
            try:
                return _TAGS[tag](text)
            except ValueError:
                return value
    return value


def _is_uniquifier(user_id: str, session: Mapping[str, object]) -> bool:
    return not _FLASK_SECURITY.isdisjoint(session) and _UNIQUIFIER.fullmatch(user_id) is not None


def _verified(tokens: Tokens, text: str, single_use: Store | None, now_ms: int) -> tuple[str, int]:
    """Return whose token this is and when it expires (Unix ms); it is used up if it is good once, however it came."""
    token = tokens.verify(text)
    if single_use is not None:
        _use_up(token, single_use, now_ms)
    return token.user_id, token.expires_ms


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
