"""
Who a token was found to belong to, for a minute, so that it need not be verified again with each request.

Bounded, and by digest: a token itself is not kept. Imports nothing of the project.
"""

import hashlib
import threading

LIFE_MS = 60_000
MAX_TOKENS = 65_536  # some 15 MB


class Remembered:
    """Users by the Authorization header that they send. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[bytes, tuple[str, int, int]] = {}

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._users)

    def find(self, authorization: str, now_ms: int) -> str | None:
        """Return the user whose token this is, if it was verified within the last minute and is still good."""
        known = self._users.get(_digest(authorization))
        if known is None:
            return None
        user_id, since_ms, until_ms = known
        # A clock that is set back must not make the minute longer.
        return user_id if since_ms <= now_ms < until_ms else None

    def add(self, authorization: str, user_id: str, *, expires_ms: int, now_ms: int) -> None:
        """Remember a token that has just been verified, until it expires (Unix ms) or a minute has passed."""
        digest = _digest(authorization)
        with self._lock:
            self._users.pop(digest, None)  # so that it becomes the youngest
            self._users[digest] = (user_id, now_ms, min(expires_ms, now_ms + LIFE_MS))
            if len(self._users) > MAX_TOKENS:
                del self._users[next(iter(self._users))]


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode("latin-1", "replace")).digest()
