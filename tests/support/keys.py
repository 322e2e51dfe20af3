"""Key pairs for the suite, generated when first asked for."""

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256K1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey

_CURVES = {"P-256": SECP256R1(), "P-384": SECP384R1(), "P-521": SECP521R1(), "secp256k1": SECP256K1()}


@cache
def rsa(name: str = "first", *, bits: int = 2048) -> RSAPrivateKey:
    """Return the RSA key of this name."""
    return generate_rsa_key(public_exponent=65_537, key_size=bits)


@cache
def ec(curve: str = "P-256") -> EllipticCurvePrivateKey:
    """Return the key on this curve."""
    return generate_private_key(_CURVES[curve])


@cache
def ed25519() -> Ed25519PrivateKey:
    """Return the Ed25519 key."""
    return Ed25519PrivateKey.generate()


@cache
def ed448() -> Ed448PrivateKey:
    """Return the Ed448 key."""
    return Ed448PrivateKey.generate()


def public_pem(key: PrivateKey) -> str:
    """Return the public half as AUTHSVC_JWT_KEY takes it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: PrivateKey) -> str:
    """Return the private half, as somebody may paste it by mistake."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk(key: PrivateKey, kid: str | None = None, **members: object) -> dict[str, Any]:
    """Return the public half as a login service publishes it."""
    if isinstance(key, RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key.public_key())
    else:
        text = OKPAlgorithm.to_jwk(key.public_key())
    published: dict[str, Any] = json.loads(text)
    return published | {"use": "sig"} | ({} if kid is None else {"kid": kid}) | members
