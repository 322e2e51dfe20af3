"""
Login by the session cookie of a Flask app.

The only module that imports `itsdangerous`. Of the project it imports `authenticator`, `credentials`, `tokens`,
`token_cache`, `clock`, `secret`, `message` and `errors`.
"""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer

from authsvc import clock
from authsvc.auth.authenticator import RequestLike
from authsvc.auth.credentials import check_secrets, only_user
from authsvc.auth.token_cache import TokenCache
from authsvc.auth.tokens import check_not_ahead, checked_user_id
from authsvc.errors import NotLoggedIn
from authsvc.message import Message
from authsvc.secret import key_bytes

FS_UNIQUIFIER = (
    "the session's _user_id is Flask-Security's fs_uniquifier, which changes with the user's password; the user then"
    " gets another IM account; store a permanent id in the session and name it in AUTHSVC_SESSION_USER_FIELD"
)
_UNIQUIFIER = re.compile(r"[0-9a-f]{32}")
_FLASK_SECURITY = frozenset({"fs_cc", "fs_paa"})  # what its login_user leaves in a session
# Tags of `flask.sessions` for types that JSON does not have, of those that may be an id.
_TAGS: Mapping[str, Callable[[str], str]] = {
    " u": lambda text: str(UUID(hex=text)),
    " m": str,
    " b": lambda text: base64.b64decode(text, validate=True).decode(),
}
_log = logging.getLogger(__name__)


class SessionCookie:
    """The app's own Flask session cookie, as `flask.sessions` signs it."""

    reads = ("Cookie",)
    is_ambient = True

    def __init__(self, keys: Sequence[str], *, cookie: str, user_field: str, max_age_s: int) -> None:
        """
        Take the app's SECRET_KEYs, any of which may have signed; one that is bytes is written in base64 after
        `base64:`.

        Args:
            user_field: where the session keeps the user's id.
            max_age_s: seconds after which a session expires, counted from its last signing.
        """
        check_secrets(keys)
        self.brings = Message("the cookie {cookie}", cookie=cookie)
        self._serializer = URLSafeTimedSerializer(
            [key_bytes(key) for key in keys],
            salt="cookie-session",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
        )
        self._cookie = cookie
        self._user_field = user_field
        self._max_age_s = max_age_s
        self._has_warned = False
        self._cache = TokenCache[str]()

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        header = request.header("Cookie")
        if header is None:
            return None
        # By the whole header: to parse it takes longer than all else for a session that is known.
        return self._cache.user(header, now_ms, lambda _: self._verified(request.cookies.getlist(self._cookie)))

    def _verified(self, cookies: Sequence[str]) -> tuple[str | None, int]:
        """Return the user of the cookies, and until when the header may be cached, Unix ms."""
        expiries_ms: list[int] = []

        def user_of(cookie: str) -> str | None:
            session, expires_ms = self._session(cookie)
            expiries_ms.append(expires_ms)
            return self._user_of(session)

        user_id = only_user(cookies, user_of, self._cookie)
        # Which of several cookies are good may change before any expires: one is dated a few seconds ahead.
        return user_id, min(expiries_ms, default=0) if len(cookies) == 1 else 0

    def _user_of(self, session: Mapping[str, object]) -> str | None:
        what = Message("the session's {field}", field=self._user_field)
        user_id = session.get(self._user_field)
        if user_id is None:
            return None
        user_id = _untagged(user_id)
        if isinstance(user_id, bool) or not isinstance(user_id, str | int):
            raise NotLoggedIn("{what} must be a string, a whole number or a UUID", what=what)
        user_id = checked_user_id(str(user_id), what)
        if not self._has_warned and self._user_field == "_user_id" and _is_uniquifier(user_id, session):
            self._has_warned = True
            _log.warning(FS_UNIQUIFIER)
        return user_id

    def _session(self, cookie: str) -> tuple[Mapping[str, object], int]:
        """Return the session in the cookie, and the first moment at which it is expired, Unix ms."""
        try:
            session, signed = self._serializer.loads(cookie, return_timestamp=True)
            signed_ms = int(signed.timestamp()) * 1000
        # itsdangerous does not catch the errors of datetime for a time out of range.
        except (BadData, ValueError, OSError, OverflowError) as exc:
            raise NotLoggedIn("the session cookie is malformed or signed with another key") from exc
        expires_ms = signed_ms + (self._max_age_s + 1) * 1000
        if clock.now_ms() >= expires_ms:
            raise NotLoggedIn("the session cookie is older than {max_age_s} s", max_age_s=self._max_age_s)
        check_not_ahead(signed_ms, Message("the session cookie is dated in the future"))
        if not isinstance(session, dict):
            raise NotLoggedIn("the session cookie contains no session")
        return session, expires_ms


def _untagged(value: object) -> object:
    """Return the text of a value that `flask.sessions` has tagged, if it may be an id; any other value unmodified."""
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
