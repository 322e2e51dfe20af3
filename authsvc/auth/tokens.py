"""
Verify a JWT: its signature by a fixed key or by the keys behind a JWKS URL, then its claims.

PyJWT reads the clock by itself, for `exp`. Beside `token_keys` the only module that imports `jwt`. Of the project it
imports `jwks`, `token_keys`, `token_purpose`, `clock`, `message` and `errors`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import jwt
from jwt import exceptions
from jwt.types import Options

from authsvc import clock
from authsvc.auth import jwks, token_keys, token_purpose
from authsvc.auth.token_keys import Key
from authsvc.errors import KeysUnavailable, NotLoggedIn, NotLoggedInYet
from authsvc.message import Message

MAX_TOKEN_BYTES = 8192
MAX_ID_LENGTH = 255
AHEAD_S = 5  # by which the clock of the issuer may be ahead of ours without any setting

_YEAR_10000_S = 253_402_300_800
# Ids, and times other than `exp`, are checked here: PyJWT has one leeway for all times, and accepts `sub` and `jti`
# only as text, while some libraries write numbers, and null for an absent one.
_OPTIONS: Final[Options] = {
    "require": ["exp"],
    "enforce_minimum_key_length": True,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}
_REASONS: tuple[tuple[type[jwt.PyJWTError], Message], ...] = (  # a subclass before its base
    (exceptions.ExpiredSignatureError, Message("the token has expired")),
    (exceptions.InvalidAudienceError, Message("the token is for another audience (aud)")),
    (exceptions.InvalidIssuerError, Message("the token is from another issuer (iss)")),
    (exceptions.InvalidSignatureError, Message("the token's signature does not match")),
    (exceptions.InvalidAlgorithmError, Message("the token's algorithm (alg) is not accepted for its key")),
    (jwt.PyJWTError, Message("the token is malformed")),
)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """
    The rules for a token, besides `exp`.

    Attributes:
        algorithms: those accepted; a token's own `alg` never adds to them.
        audience: the token must have one of them; if empty, a token with any audience is rejected.
        issuer: None accepts every issuer.
        leeway_s: seconds that the clock of the login service may be off; it may always be AHEAD_S ahead.
        user_claim: the claim with the user's id.
        allowed_types: purposes of `token_purpose.OTHERS` that may log in nevertheless.
    """

    algorithms: tuple[str, ...]
    audience: tuple[str, ...] = ()
    issuer: str | None = None
    leeway_s: int = 0
    user_claim: str = "sub"
    allowed_types: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Token:
    """
    The claims of a token that has been verified, in Unix milliseconds.

    `issued_ms` is the start of the second in `iat`; `expires_ms` is the first moment at which the token is expired, the
    leeway included.
    """

    user_id: str
    jti: str | None
    issuer: str | None
    issued_ms: int | None
    expires_ms: int


class Tokens:
    """Verifies tokens by one set of rules and one source of keys."""

    def __init__(self, rules: TokenRules, find_key: Callable[[str], Key]) -> None:
        self._rules = rules
        self._find_key = find_key

    @classmethod
    def with_key(cls, rules: TokenRules, key: str) -> Self:
        """
        Verify with an HMAC secret or a public key in PEM form; the token's `kid` does not matter.

        Raises:
            ValueError: as `token_keys.check_key`.
        """
        fixed = token_keys.fixed_key(key, rules.algorithms)
        return cls(rules, lambda _token: fixed)

    @classmethod
    def with_jwks(cls, rules: TokenRules, url: str) -> Self:
        """
        Verify with the public keys that this URL publishes.

        Raises:
            ValueError: as `token_keys.check_jwks_url`.
        """
        token_keys.check_jwks_url(url, rules.algorithms)
        published = jwks.Jwks(url, lambda jwk: token_keys.published_key(jwk, rules.algorithms))

        def find(token: str) -> Key:
            header = jwt.get_unverified_header(token)
            return published.find(header.get("kid"), lambda key: header.get("alg") in key.algorithms)

        return cls(rules, find)

    def verify(self, token: str) -> Token:
        """
        Verify a token and return its claims.

        Raises:
            NotLoggedIn: with the first rule that the token breaks, and no part of the token.
            NotLoggedInYet: its time is in the future.
            KeysUnavailable: the keys cannot be fetched now.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise NotLoggedIn("the token is longer than {most} bytes", most=MAX_TOKEN_BYTES)
        if not token.isascii():
            raise NotLoggedIn("the token is malformed")
        rules = self._rules
        try:
            found = self._find_key(token)
            decoded = jwt.decode_complete(
                token,
                found.key,
                algorithms=found.algorithms,
                options=_OPTIONS,
                audience=rules.audience or None,
                issuer=rules.issuer,
                leeway=rules.leeway_s,
            )
        except jwt.MissingRequiredClaimError as exc:
            raise NotLoggedIn("the token has no {claim}", claim=exc.claim) from exc
        except jwt.PyJWTError as exc:
            raise NotLoggedIn("{reason}", reason=self._reason(exc)) from exc
        except KeysUnavailable:
            # A page that was open for long may send a token of a key that is gone. It needs a fresh token, not a retry.
            if _is_expired_unverified(token, rules.leeway_s):
                raise NotLoggedIn("{reason}", reason=self._reason(exceptions.ExpiredSignatureError())) from None
            raise
        return self._read(decoded["header"], decoded["payload"])

    def _reason(self, exc: jwt.PyJWTError) -> Message:
        if isinstance(exc, exceptions.InvalidAudienceError) and not self._rules.audience:
            return Message("the token has an audience (aud), but AUTHSVC_JWT_AUDIENCE is not set")
        return next(reason for kind, reason in _REASONS if isinstance(exc, kind))

    def _read(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> Token:
        """Check the other claims of a token whose signature, `exp`, issuer and audience are verified."""
        rules = self._rules
        other = token_purpose.other_purpose(header, claims, allowed=rules.allowed_types)
        if other is not None:
            raise NotLoggedIn(
                "the token's type is {type}; send an access token (see AUTHSVC_JWT_ALLOWED_TYPES)", type=other
            )
        issuer = claims.get("iss")
        if not isinstance(issuer, str | None):
            raise NotLoggedIn("the token's iss must be a string")
        issued_ms = None if claims.get("iat") is None else _date_ms(claims, "iat")
        begins_ms = 0 if claims.get("nbf") is None else _date_ms(claims, "nbf")
        check_not_ahead(max(issued_ms or 0, begins_ms), Message("the token is not valid yet"), leeway_s=rules.leeway_s)
        user_id = _id(claims, rules.user_claim)
        if user_id is None:
            raise NotLoggedIn("the token has no {claim}", claim=rules.user_claim)
        return Token(
            user_id=checked_user_id(user_id, Message("the token's {claim}", claim=rules.user_claim)),
            jti=_id(claims, "jti"),
            issuer=issuer,
            issued_ms=issued_ms,
            expires_ms=_date_ms(claims, "exp") + rules.leeway_s * 1000,
        )


def check_not_ahead(moment_ms: int, what: Message, *, leeway_s: int = 0) -> None:
    """Raise NotLoggedInYet if a credential's time, Unix ms, is further ahead than the clocks of hosts may differ."""
    ahead_ms = moment_ms - clock.now_ms()
    allowed_s = max(leeway_s, AHEAD_S)
    if ahead_ms > allowed_s * 1000:
        raise NotLoggedInYet(what, ahead_s=ahead_ms / 1000 - allowed_s)


def checked_user_id(value: str, what: Message) -> str:
    """Return the user id if it is valid, for any way of logging in; `what` names it in the refusal."""
    if not 1 <= len(value) <= MAX_ID_LENGTH or not value.isprintable() or value.isspace():
        raise NotLoggedIn(
            "{what} must be 1 to {most} printable characters, not spaces alone", what=what, most=MAX_ID_LENGTH
        )
    return value


def _id(claims: Mapping[str, Any], claim: str) -> str | None:
    """Return an id as text; None if there is none."""
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise NotLoggedIn("the token's {claim} must be a string or a whole number", claim=claim)
    return None if value is None else str(value)


def _is_expired_unverified(token: str, leeway_s: int) -> bool:
    """Return whether a token of an unknown key has expired by its own `exp`, which is trusted for nothing else."""
    try:
        jwt.decode(token, options={"verify_signature": False, "verify_exp": True}, leeway=leeway_s)
    except jwt.PyJWTError as exc:
        return isinstance(exc, exceptions.ExpiredSignatureError)
    return False


def _date_ms(claims: Mapping[str, Any], name: str) -> int:
    """Return a time claim. PyJWT also accepts digits in a string, and any number."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000_S:
        raise NotLoggedIn("the token's {claim} must be a number of seconds since 1970", claim=name)
    return int(value) * 1000
