"""
Verify a JWT: its signature by a fixed key or by the keys behind a JWKS URL, then its claims.

The only module that imports `jwt`. PyJWT reads the clock by itself, for `exp`. Of the project it imports `jwks`,
`token_purpose`, `clock`, `secret` and `errors`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import exceptions
from jwt.algorithms import OKPAlgorithm
from jwt.types import Options

from authsvc import clock
from authsvc.auth import jwks, token_purpose
from authsvc.errors import KeysUnavailable, NotLoggedIn, NotLoggedInYet
from authsvc.secret import key_bytes

MAX_TOKEN_BYTES = 8192
MAX_ID_LENGTH = 255
MIN_RSA_BITS = 2048  # NIST SP 800-131A
AHEAD_S = 5  # how far the clock of who makes a credential may be ahead of ours without anybody having set it

_HMAC_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_EDWARDS: dict[str, tuple[type, ...]] = {
    "EdDSA": (Ed25519PublicKey, Ed448PublicKey),
    "Ed25519": (Ed25519PublicKey,),
    "Ed448": (Ed448PublicKey,),
}
_ALGORITHMS = (*_HMAC_KEY_BYTES, *sorted(_RSA), *_CURVES, *_EDWARDS)
_YEAR_10000_S = 253_402_300_800
for _name in ("Ed25519", "Ed448"):
    with suppress(ValueError):  # a PyJWT that knows the names of RFC 9864 by itself
        jwt.register_algorithm(_name, OKPAlgorithm())
# Times but `exp`, and ids, are checked here. PyJWT has one leeway for all times, and wants `sub` and `jti` as text,
# while some libraries number them and write null for what is not there.
_OPTIONS: Final[Options] = {
    "require": ["exp"],
    "enforce_minimum_key_length": True,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (  # a leaf stands before its root
    (exceptions.ExpiredSignatureError, "the token has expired"),
    (exceptions.InvalidAudienceError, "the token is for another audience (aud)"),
    (exceptions.InvalidIssuerError, "the token is from another issuer (iss)"),
    (exceptions.InvalidSignatureError, "the token's signature does not match"),
    (exceptions.InvalidAlgorithmError, "the token's algorithm (alg) is not accepted for its key"),
    (jwt.PyJWTError, "the token is malformed"),
)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """
    What a token must fulfil beside `exp`.

    Attributes:
        algorithms: those accepted; a token's own `alg` never adds to them.
        audience: the token must be for one of them; empty refuses a token that names any.
        issuer: None accepts every issuer.
        leeway_s: how far the clock of the login service may be off, seconds; ahead it may be AHEAD_S in any case.
        user_claim: which claim says who the user is.
        allowed_types: purposes other than access, as `purpose.OTHERS` has them, that log in all the same.
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

    `issued_ms` is the begin of the second that `iat` names; `expires_ms` the first moment at which the token is
    refused, the leeway included.
    """

    user_id: str
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

        def find(token: str) -> _Key:
            header = jwt.get_unverified_header(token)
            return published.find(header.get("kid"), lambda key: header.get("alg") in key.algorithms)

        return cls(rules, find)

    def verify(self, token: str) -> Token:
        """
        Return what a token says, once all of it is verified.

        Raises:
            NotLoggedIn: with the first rule that the token breaks, and nothing of the token.
            NotLoggedInYet: it is of a time that has not come yet.
            KeysUnavailable: the keys to verify it with cannot be had now.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise NotLoggedIn(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
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
            raise NotLoggedIn(f"the token has no {exc.claim}") from exc
        except jwt.PyJWTError as exc:
            raise NotLoggedIn(self._reason(exc)) from exc
        except KeysUnavailable:
            # A page that was open for long comes with a key that is no more. It needs a fresh token, not patience.
            if _says_it_has_expired(token, rules.leeway_s):
                raise NotLoggedIn(self._reason(exceptions.ExpiredSignatureError())) from None
            raise
        return self._read(decoded["header"], decoded["payload"])

    def _reason(self, exc: jwt.PyJWTError) -> str:
        if isinstance(exc, exceptions.InvalidAudienceError) and not self._rules.audience:
            return "the token has an audience (aud), but AUTHSVC_JWT_AUDIENCE is not set"
        return next(reason for kind, reason in _REASONS if isinstance(exc, kind))

    def _read(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> Token:
        """Return what a token says whose signature, `exp`, issuer and audience are right."""
        rules = self._rules
        other = token_purpose.other_purpose(header, claims, allowed=rules.allowed_types)
        if other is not None:
            raise NotLoggedIn(f"the token's type is {other}; send an access token (see AUTHSVC_JWT_ALLOWED_TYPES)")
        issuer = claims.get("iss")
        if not isinstance(issuer, str | None):
            raise NotLoggedIn("the token's iss must be a string")
        issued_ms = None if claims.get("iat") is None else _date_ms(claims, "iat")
        begins_ms = 0 if claims.get("nbf") is None else _date_ms(claims, "nbf")
        check_not_ahead(max(issued_ms or 0, begins_ms), "the token is not valid yet", leeway_s=rules.leeway_s)
        user_id = _id(claims, rules.user_claim)
        if user_id is None:
            raise NotLoggedIn(f"the token has no {rules.user_claim}")
        return Token(
            user_id=checked_user_id(user_id, f"the token's {rules.user_claim}"),
            jti=_id(claims, "jti"),
            issuer=issuer,
            issued_ms=issued_ms,
            expires_ms=_date_ms(claims, "exp") + rules.leeway_s * 1000,
        )


def check_not_ahead(moment_ms: int, what: str, *, leeway_s: int = 0) -> None:
    """Raise NotLoggedInYet if a credential's moment, Unix ms, is further ahead than two hosts' clocks may be apart."""
    ahead_ms = moment_ms - clock.now_ms()
    allowed_s = max(leeway_s, AHEAD_S)
    if ahead_ms > allowed_s * 1000:
        raise NotLoggedInYet(what, ahead_s=ahead_ms / 1000 - allowed_s)


def checked_user_id(value: str, what: str) -> str:
    """Return a user id that is fit to be one, whichever way it came; `what` names it in the refusal."""
    if not 1 <= len(value) <= MAX_ID_LENGTH or not value.isprintable() or value.isspace():
        raise NotLoggedIn(f"{what} must be 1 to {MAX_ID_LENGTH} printable characters, not spaces alone")
    return value


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Raise ValueError unless these are algorithms that one kind of key can verify."""
    if not algorithms or not set(algorithms) <= set(_ALGORITHMS):
        raise ValueError(f"must be one or more of {', '.join(_ALGORITHMS)}")
    if len({name in _HMAC_KEY_BYTES for name in algorithms}) > 1:
        # A public key is public: taken for an HMAC secret, it would let everybody sign.
        raise ValueError("HMAC algorithms (HS...) and public-key algorithms must not be mixed")


def check_allowed_types(types: Sequence[str]) -> None:
    """Raise ValueError unless these are types of token that would be refused."""
    if not set(types) <= token_purpose.OTHERS:
        raise ValueError(
            f"must be some of the types that are rejected by default: {', '.join(sorted(token_purpose.OTHERS))}"
        )


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


def published_keys(url: str, algorithms: Sequence[str]) -> list[tuple[Mapping[str, Any], bool]]:
    """
    Fetch the keys behind a JWKS URL; return each as published, and whether it can verify one of these algorithms.

    Raises:
        KeysUnavailable: from what went wrong.
    """
    listed = jwks.Jwks(url, lambda _jwk: None).listed()
    return [(jwk, _published_key(jwk, algorithms) is not None) for jwk in listed]


def _fixed_key(key: str, algorithms: Sequence[str]) -> _Key:
    check_algorithms(algorithms)
    if algorithms[0] in _HMAC_KEY_BYTES:
        return _Key(_hmac_secret(key, algorithms), tuple(algorithms))
    if "PRIVATE KEY" in key:
        raise ValueError("is a private key; set the public key")
    try:
        public_key = load_pem_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    for name in algorithms:
        if not _fits(public_key, name):
            raise ValueError(f"cannot be used with {name}, which needs {_needed(name)}")
    return _Key(public_key, tuple(algorithms))


def _hmac_secret(key: str, algorithms: Sequence[str]) -> bytes:
    secret = key_bytes(key)
    for name in algorithms:
        if len(secret) < _HMAC_KEY_BYTES[name]:
            raise ValueError(f"is shorter than the {_HMAC_KEY_BYTES[name]} bytes that {name} needs")
    try:
        jwt.get_algorithm_by_name(algorithms[0]).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ValueError("is a public key, a certificate or a JWK, not an HMAC secret") from None
    return secret


def _published_key(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> _Key | None:
    """Return the key of a JWK; None for one that is secret, private, weak, broken or made for something else."""
    operations = jwk.get("key_ops")
    if jwk.get("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        # PyJWT does not know the names of RFC 9864 here, and of a key without `alg` not the curve Ed448.
        key = jwt.PyJWK(dict(jwk), "EdDSA" if jwk.get("kty") == "OKP" else None).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, LookupError, TypeError, ValueError):
        return None
    own = jwk.get("alg")
    is_edwards = isinstance(own, str) and own in _EDWARDS  # whose names mean the same for one curve
    serves = tuple(
        name for name in algorithms if (own in (None, name) or (is_edwards and name in _EDWARDS)) and _fits(key, name)
    )
    return _Key(key, serves) if serves else None


def _fits(key: object, algorithm: str) -> bool:
    if algorithm in _RSA:
        return isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if algorithm in _CURVES:
        return isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    return algorithm in _EDWARDS and isinstance(key, _EDWARDS[algorithm])


def _needed(algorithm: str) -> str:
    if algorithm in _RSA:
        return f"an RSA key of at least {MIN_RSA_BITS} bits"
    if algorithm in _CURVES:
        return f"a key on the curve {_CURVES[algorithm]}"
    return "an Ed25519 or Ed448 key" if algorithm == "EdDSA" else f"an {algorithm} key"


def _id(claims: Mapping[str, Any], claim: str) -> str | None:
    """Return an id, of a whole number its text; None if there is none."""
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise NotLoggedIn(f"the token's {claim} must be a string or a whole number")
    return None if value is None else str(value)


def _says_it_has_expired(token: str, leeway_s: int) -> bool:
    """Return whether a token whose key is not known has expired by its own word, which is believed for that alone."""
    try:
        jwt.decode(token, options={"verify_signature": False, "verify_exp": True}, leeway=leeway_s)
    except jwt.PyJWTError as exc:
        return isinstance(exc, exceptions.ExpiredSignatureError)
    return False


def _date_ms(claims: Mapping[str, Any], name: str) -> int:
    """Return a time claim; PyJWT would take digits in a string, and any number at all."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000_S:
        raise NotLoggedIn(f"the token's {name} must be a number of seconds since 1970")
    return int(value) * 1000
