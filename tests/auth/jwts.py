"""Tokens as login services make them, and as none would."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import jwt

from tests.auth.logins import NOW_S
from tests.support.made_up import JWT_KEY


def signed(claims: Mapping[str, Any], *, key: Any = JWT_KEY, algorithm: str = "HS256", **header: Any) -> str:
    """Return a token of these claims, added to those that every token has; None removes one."""
    given_claims = {"sub": "ming", "exp": NOW_S + 300} | dict(claims)
    kept = {name: value for name, value in given_claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers=header)


def by_hand(header: bytes, payload: bytes, key: bytes = JWT_KEY.encode()) -> str:
    """Return an HS256 token of these very bytes, as no library would make it."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    digest = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(digest).rstrip(b"=")]).decode()
