"""
The keys that verify tokens: an HMAC secret, a public key in PEM form, or the JWKs that a login service publishes.

Which algorithms a key may verify is decided here, once, before any token is read. Beside `tokens` the only module that
imports `jwt`. Of the project it imports `jwks` and `secret`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import OKPAlgorithm

from authsvc.auth import jwks
from authsvc.secret import key_bytes

MIN_RSA_BITS = 2048  # NIST SP 800-131A

_HMAC_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_EDWARDS: dict[str, tuple[type, ...]] = {
    "EdDSA": (Ed25519PublicKey, Ed448PublicKey),
    "Ed25519": (Ed25519PublicKey,),
    "Ed448": (Ed448PublicKey,),
}
_ALGORITHMS = (*_HMAC_KEY_BYTES, *sorted(_RSA), *_CURVES, *_EDWARDS)
for _name in ("Ed25519", "Ed448"):
    with suppress(ValueError):  # a later PyJWT has the names of RFC 9864
        jwt.register_algorithm(_name, OKPAlgorithm())


@dataclass(frozen=True, slots=True)
class Key:
    """A key that verifies, and the accepted algorithms that it is made for."""

    key: Any
    algorithms: tuple[str, ...]


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Raise ValueError unless one kind of key can verify these algorithms."""
    if not algorithms or not set(algorithms) <= set(_ALGORITHMS):
        raise ValueError(f"must be one or more of {', '.join(_ALGORITHMS)}")
    if len({name in _HMAC_KEY_BYTES for name in algorithms}) > 1:
        # A public key is public: used as an HMAC secret, it would allow everybody to sign.
        raise ValueError("HMAC algorithms (HS...) and public-key algorithms must not be mixed")


def check_key(key: str, algorithms: Sequence[str]) -> None:
    """Raise ValueError, without any part of the key, unless it serves all these algorithms."""
    fixed_key(key, algorithms)


def check_jwks_url(url: str, algorithms: Sequence[str]) -> None:
    """Raise ValueError unless this URL can have keys for these algorithms."""
    check_algorithms(algorithms)
    if algorithms[0] in _HMAC_KEY_BYTES:
        raise ValueError("HMAC algorithms (HS...) need AUTHSVC_JWT_KEY; a JWKS URL publishes public keys only")
    try:
        jwks.check_url(url)
    except ValueError as exc:
        raise ValueError(f"AUTHSVC_JWT_JWKS_URL: {exc}") from None


def published_keys(url: str, algorithms: Sequence[str]) -> list[tuple[Mapping[str, Any], bool]]:
    """
    Fetch the keys behind a JWKS URL. Return each as published, and whether it can verify one of these algorithms.

    Raises:
        KeysUnavailable: from the failure.
    """
    listed = jwks.Jwks(url, lambda _jwk: None).listed()
    return [(jwk, published_key(jwk, algorithms) is not None) for jwk in listed]


def fixed_key(key: str, algorithms: Sequence[str]) -> Key:
    check_algorithms(algorithms)
    if algorithms[0] in _HMAC_KEY_BYTES:
        return Key(_hmac_secret(key, algorithms), tuple(algorithms))
    if "PRIVATE KEY" in key:
        raise ValueError("is a private key; set the public key")
    try:
        public_key = load_pem_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    for name in algorithms:
        if not _fits(public_key, name):
            raise ValueError(f"cannot be used with {name}, which needs {_needed(name)}")
    return Key(public_key, tuple(algorithms))


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


def published_key(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> Key | None:
    """Return the key of a JWK; None for one that is secret, private, weak, malformed or for another use."""
    operations = jwk.get("key_ops")
    if jwk.get("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        # PyJWT does not know the names of RFC 9864 here, and of a key without `alg` not the curve Ed448.
        key = jwt.PyJWK(dict(jwk), "EdDSA" if jwk.get("kty") == "OKP" else None).key
    except (jwt.PyJWTError, UnsupportedAlgorithm, LookupError, TypeError, ValueError):
        return None
    own = jwk.get("alg")
    is_edwards = isinstance(own, str) and own in _EDWARDS  # its names mean the same for one curve
    serves = tuple(
        name for name in algorithms if (own in (None, name) or (is_edwards and name in _EDWARDS)) and _fits(key, name)
    )
    return Key(key, serves) if serves else None


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
