"""
The token cache: users by their verified credentials, for a minute, so that not every request verifies again.

A credential is a token or a session cookie. Bounded, and by digest: the credential itself is not kept. A rejected one
has the reason in place of its user. Imports nothing of the project.
"""

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Generic, TypeVar

LIFE_MS = 60_000
MAX_TOKENS = 65_536  # some 15 MB

_Found = TypeVar("_Found")


class TokenCache(Generic[_Found]):
    """Users, or reasons, by header or cookie. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[bytes, tuple[_Found, int, int]] = {}

    def __len__(self) -> int:
        """Return the number of cached credentials."""
        return len(self._users)

    def find(self, credential: str, now_ms: int) -> _Found | None:
        """Return the user of a credential that was verified within the last minute and has not expired."""
        # The digest is written out here and in `add`: a call less for each request.
        known = self._users.get(sha256(credential.encode("latin-1", "replace")).digest())
        if known is None:
            return None
        user_id, since_ms, until_ms = known
        # A clock that is set back must not extend the minute.
        return user_id if since_ms <= now_ms < until_ms else None

    def user(self, credential: str, now_ms: int, verify: Callable[[str], tuple[_Found | None, int]]) -> _Found | None:
        """
        Return the user of a credential; None if it has none.

        Args:
            verify: returns the user and the expiry of the credential, Unix ms, or raises; called once in a minute.
        """
        user_id = self.find(credential, now_ms)
        if user_id is None:
            user_id, expires_ms = verify(credential)
            if user_id is not None and expires_ms > now_ms:
                self.add(credential, user_id, expires_ms=expires_ms, now_ms=now_ms)
        return user_id

    def add(self, credential: str, user_id: _Found, *, expires_ms: int, now_ms: int) -> None:
        """Cache a credential that has just been verified, until it expires (Unix ms) or a minute has passed."""
        digest = sha256(credential.encode("latin-1", "replace")).digest()
        with self._lock:
            self._users.pop(digest, None)  # so that it becomes the newest
            self._users[digest] = (user_id, now_ms, min(expires_ms, now_ms + LIFE_MS))
            if len(self._users) > MAX_TOKENS:
                del self._users[next(iter(self._users))]
