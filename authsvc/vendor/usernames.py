"""
The IM username of an app user.

No two users have the same one, nor do two differ by case alone: the guide does not say whether the vendor compares
usernames by case.

Pure; imports nothing of the project.
"""

import hashlib
import re
from typing import Literal

Style = Literal["readable", "derived"]

# Rule of the vendor's REST API guide for usernames: 4 to 128 bytes, a letter or digit, then letters, digits and _ . - @
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_.@-]{3,127}")
_ESCAPED = "id-"  # prefix of the username of a user whose id the vendor would not take as it is
_HASHED = "sha-"  # prefix of one that would be too long even so
_KEPT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.@")


def readable(user_id: str) -> str:
    """
    Return the id itself if the vendor accepts it and it has no capitals, else a readable form of it.

    Every other byte becomes `-` and two hex digits, behind a prefix that no plain id keeps. An id that is too long for
    that becomes its beginning and its SHA-256.
    """
    if _PLAIN.fullmatch(user_id) and not user_id.startswith((_ESCAPED, _HASHED)):
        return user_id
    escaped = "".join(chr(byte) if chr(byte) in _KEPT else f"-{byte:02X}" for byte in user_id.encode())
    if len(_ESCAPED + escaped) <= 128:
        return _ESCAPED + escaped
    return f"{_HASHED}{escaped[:32]}-{hashlib.sha256(user_id.encode()).hexdigest()}"


def derived(digest: str) -> str:
    """Return a username that nobody can guess: 160 bits of the digest of a user's id with a key."""
    return f"u-{digest[:40]}"
