"""
Verify a JWT: its signature by a fixed key or by the keys behind a JWKS URL, then its claims.

The only module that imports `jwt`. PyJWT reads the clock by itself. Of the project it imports `jwks` and `errors`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import exceptions
from jwt.types import Options

from authsvc import jwks
from authsvc.errors import NotLoggedIn

MAX_TOKEN_BYTES = 8192
MAX_ID_LENGTH = 255
MIN_RSA_BITS = 2048  # NIST SP 800-131A

_HMAC_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_ALGORITHMS = (*_HMAC_KEY_BYTES, *sorted(_RSA), *_CURVES, "EdDSA")
_YEAR_10000_S = 253_402_300_800
_OPTIONS: Final[Options] = {"require": ["exp", "sub"], "enforce_minimum_key_length": True}
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (  # a leaf stands before its root
    (exceptions.ExpiredSignatureError, "the token has expired"),
    (exceptions.ImmatureSignatureError, "the token is not valid yet"),
    (exceptions.InvalidAudienceError, "the token is for another audience (aud)"),
    (exceptions.InvalidIssuerError, "the token is from another issuer (iss)"),
    (exceptions.InvalidSignatureError, "the token's signature does not match"),
    (exceptions.InvalidAlgorithmError, "the token's algorithm (alg) is not the one that is accepted with its key"),
    (exceptions.InvalidSubjectError, "the token's sub must be a string"),
    (exceptions.InvalidJTIError, "the token's jti must be a string"),
    (jwt.PyJWTError, "the token is malformed"),
)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """
    What a token must fulfil beside `exp` and `sub`.

    Attributes:
        algorithms: those accepted; a token's own `alg` never adds to them.
        audience: the token must be for one of them; empty refuses a token that names any.
        issuer: None accepts every issuer.
        leeway_s: how far the clock of the login service may be off, seconds.
    """

    algorithms: tuple[str, ...]
    audience: tuple[str, ...] = ()
    issuer: str | None = None
    leeway_s: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """
    The claims of a token that has been verified, in Unix milliseconds.

    `issued_ms` is the begin of the second that `iat` names; `expires_ms` the first moment at which the token is
    refused, the leeway included.
    """

    sub: str
    jti: str | None
    issuer: str | None
    issued_ms: int | None
    expires_ms: int


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that verifies, and the accepted algorithms that it is made for."""

    key: Any
    algorithms: tuple[str, ...]


class Tokens:
    """Verifies tokens by one set of rules and one source of keys."""

    def __init__(self, rules: TokenRules, find_key: Callable[[str], _Key]) -> None:
        self._rules = rules
        self._find_key = find_key

    @classmethod
    def with_key(cls, rules: TokenRules, key: str) -> Self:
        """
        Verify with an HMAC secret or a public key in PEM form; the token's `kid` does not matter.

        Raises:
            ValueError: as `check_key`.
        """
        fixed = _fixed_key(key, rules.algorithms)
        return cls(rules, lambda _token: fixed)

    @classmethod
    def with_jwks(cls, rules: TokenRules, url: str) -> Self:
        """
        Verify with the public keys that this URL publishes.

        Raises:
            ValueError: as `check_jwks_url`.
        """
        check_jwks_url(url, rules.algorithms)
        published = jwks.Jwks(url, lambda jwk: _published_key(jwk, rules.algorithms))
        return cls(rules, lambda token: published.find(jwt.get_unverified_header(token).get("kid")))

    def verify(self, token: str) -> Token:
        """
        Return what a token says, once all of it is verified.

        Raises:
            NotLoggedIn: with the first rule that the token breaks, and nothing of the token.
            KeysAway: the keys to verify it with cannot be had now.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise NotLoggedIn(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        if not token.isascii():
            raise NotLoggedIn("the token is malformed")
        rules = self._rules
        try:
            found = self._find_key(token)
            claims = jwt.decode(
                token,
                found.key,
                algorithms=found.algorithms,
                options=_OPTIONS,
                audience=rules.audience or None,
                issuer=rules.issuer,
                leeway=rules.leeway_s,
            )
        except jwt.MissingRequiredClaimError as exc:
            raise NotLoggedIn(f"the token has no {exc.claim}") from exc
        except jwt.PyJWTError as exc:
            raise NotLoggedIn(next(reason for kind, reason in _REASONS if isinstance(exc, kind))) from exc
        issuer = claims.get("iss")
        if not isinstance(issuer, str | None):
            raise NotLoggedIn("the token's iss must be a string")
        return Token(
            sub=checked_user_id(claims["sub"], "the token's sub"),
            jti=claims.get("jti"),
            issuer=issuer,
            issued_ms=_date_ms(claims, "iat") if "iat" in claims else None,
            expires_ms=_date_ms(claims, "exp") + rules.leeway_s * 1000,
        )


def checked_user_id(value: str, what: str) -> str:
    """Return a user id that is fit to be one, whichever way it came; `what` names it in the refusal."""
    if not 1 <= len(value) <= MAX_ID_LENGTH or not value.isprintable():
        raise NotLoggedIn(f"{what} must be 1 to {MAX_ID_LENGTH} printable characters")
    return value


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Raise ValueError unless these are algorithms that one kind of key can verify."""
    if not algorithms or not set(algorithms) <= set(_ALGORITHMS):
        raise ValueError(f"must be one or more of {', '.join(_ALGORITHMS)}")
    if len({name in _HMAC_KEY_BYTES for name in algorithms}) > 1:
        # A public key is public: taken for an HMAC secret, it would let everybody sign.
        raise ValueError("HMAC algorithms (HS...) and public-key algorithms must not be mixed")


def check_key(key: str, algorithms: Sequence[str]) -> None:
    """Raise ValueError unless this HMAC secret or public key serves all these algorithms; nothing of it is told."""
    _fixed_key(key, algorithms)


def check_jwks_url(url: str, algorithms: Sequence[str]) -> None:
    """Raise ValueError unless keys for these algorithms can come from this URL."""
    check_algorithms(algorithms)
    if algorithms[0] in _HMAC_KEY_BYTES:
        raise ValueError("HMAC algorithms (HS...) need AUTHSVC_JWT_KEY; a JWKS URL publishes public keys only")
    try:
        jwks.check_url(url)
    except ValueError as exc:
        raise ValueError(f"AUTHSVC_JWT_JWKS_URL: {exc}") from None


def _fixed_key(key: str, algorithms: Sequence[str]) -> _Key:
    check_algorithms(algorithms)
    if algorithms[0] in _HMAC_KEY_BYTES:
        _check_hmac_secret(key, algorithms)
        return _Key(key, tuple(algorithms))
    if "PRIVATE KEY" in key:
        raise ValueError("is a private key; only the public key belongs here")
    try:
        public_key = load_pem_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    for name in algorithms:
        if not _fits(public_key, name):
            raise ValueError(f"is no key for {name}, which needs {_needed(name)}")
    return _Key(public_key, tuple(algorithms))


def _check_hmac_secret(key: str, algorithms: Sequence[str]) -> None:
    try:
        secret = key.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8 text") from None
    for name in algorithms:
        if len(secret) < _HMAC_KEY_BYTES[name]:
            raise ValueError(f"is shorter than the {_HMAC_KEY_BYTES[name]} bytes that {name} needs")
    try:
        jwt.get_algorithm_by_name(algorithms[0]).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ValueError("is a public key, a certificate or a JWK, which is no HMAC secret") from None


def _published_key(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> _Key | None:
    """Return the key of a JWK; None for one that is secret, private, weak, broken or made for something else."""
    if jwk.get("use") not in (None, "sig"):
        return None
    try:
        key = jwt.PyJWK(dict(jwk)).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, LookupError, TypeError, ValueError):
        return None
    serves = tuple(name for name in algorithms if jwk.get("alg") in (None, name) and _fits(key, name))
    return _Key(key, serves) if serves else None


def _fits(key: object, algorithm: str) -> bool:
    if algorithm in _RSA:
        return isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if algorithm in _CURVES:
        return isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    return algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey | Ed448PublicKey)


def _needed(algorithm: str) -> str:
    if algorithm in _RSA:
        return f"an RSA key of at least {MIN_RSA_BITS} bits"
    return f"a key on the curve {_CURVES[algorithm]}" if algorithm in _CURVES else "an Ed25519 or Ed448 key"


def _date_ms(claims: Mapping[str, Any], name: str) -> int:
    """Return a time claim; PyJWT would take digits in a string, and any number at all."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000_S:
        raise NotLoggedIn(f"the token's {name} must be a number of seconds since 1970")
    return int(value) * 1000
