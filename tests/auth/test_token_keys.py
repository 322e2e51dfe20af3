"""Which keys may verify tokens, fixed ones and published ones, and what each of them may verify."""

import base64
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from authsvc.auth.token_keys import check_algorithms, check_jwks_url, check_key
from authsvc.auth.tokens import TokenRules, Tokens
from authsvc.errors import KeysUnavailable, NotLoggedIn
from tests.auth.jwts import by_hand, signed
from tests.support import keys
from tests.support.login_service import LoginService
from tests.support.made_up import JWT_KEY

pytestmark = pytest.mark.usefixtures("stopped_jwt_clock")


@pytest.mark.parametrize(
    "algorithms", [(), ("none",), ("HS256", "none"), ("ES256K",), ("rs256",), ("HS1",), ("",), ("HS256 RS256",)]
)
def test_algorithms_that_are_not_accepted(algorithms: tuple[str, ...]) -> None:
    """`none`, unknown names and an empty list are refused as settings."""
    with pytest.raises(ValueError, match=r"^must be one or more of HS256, HS384, .*, EdDSA, Ed25519, Ed448$"):
        check_algorithms(algorithms)


def test_hmac_and_public_key_algorithms_are_not_mixed() -> None:
    """A setting that would invite the confusion of keys is refused; others may stand together."""
    with pytest.raises(ValueError, match="must not be mixed"):
        check_algorithms(("HS256", "RS256"))
    check_algorithms(("RS256", "ES256", "EdDSA"))
    check_algorithms(("HS256", "HS512"))


NOT_PEM = "is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)"
PRIVATE = "is a private key; set the public key"
NOT_HMAC = "is a public key, a certificate or a JWK, not an HMAC secret"
NOT_RSA = "cannot be used with PS256, which needs an RSA key of at least 2048 bits"


@pytest.mark.parametrize(
    ("algorithms", "key", "expected"),
    [
        (("HS256",), lambda: "", "is shorter than the 32 bytes that HS256 needs"),
        (("HS256", "HS512"), lambda: "k" * 63, "is shorter than the 64 bytes that HS512 needs"),
        (("HS256",), lambda: "k" * 32 + "\udcff", "is not UTF-8 text"),
        (("HS256",), lambda: keys.public_pem(keys.rsa()), NOT_HMAC),
        (("HS256",), lambda: keys.private_pem(keys.ec()), NOT_HMAC),
        (("HS256",), lambda: json.dumps(keys.jwk(keys.rsa())), NOT_HMAC),
        (("RS256",), lambda: keys.private_pem(keys.rsa()), PRIVATE),
        (("ES256",), lambda: keys.private_pem(keys.ec()), PRIVATE),
        (("RS256",), lambda: "k" * 64, NOT_PEM),
        (("RS256",), lambda: "k" * 64 + "\udcff", NOT_PEM),
        (("RS256",), lambda: keys.public_pem(keys.rsa())[:100], NOT_PEM),
        (("RS256",), lambda: keys.public_pem(keys.rsa()).replace("PUBLIC KEY", "CERTIFICATE"), NOT_PEM),
        (("PS256",), lambda: keys.public_pem(keys.rsa("weak", bits=1024)), NOT_RSA),
        (("PS256",), lambda: keys.public_pem(keys.ec()), NOT_RSA),
        (
            ("RS256", "ES256"),
            lambda: keys.public_pem(keys.rsa()),
            "cannot be used with ES256, which needs a key on the curve secp256r1",
        ),
        (
            ("ES256", "ES384"),
            lambda: keys.public_pem(keys.ec()),
            "cannot be used with ES384, which needs a key on the curve secp384r1",
        ),
        (
            ("EdDSA",),
            lambda: keys.public_pem(keys.ec()),
            "cannot be used with EdDSA, which needs an Ed25519 or Ed448 key",
        ),
        (
            ("Ed25519",),
            lambda: keys.public_pem(keys.ed448()),
            "cannot be used with Ed25519, which needs an Ed25519 key",
        ),
        (("Ed448",), lambda: keys.public_pem(keys.ed25519()), "cannot be used with Ed448, which needs an Ed448 key"),
        (("HS256",), lambda: "base64:!", "is not base64 after base64:"),
        ((), lambda: keys.public_pem(keys.ec()), "must be one or more of"),
    ],
)
def test_keys_that_cannot_serve(algorithms: tuple[str, ...], key: Callable[[], str], expected: str) -> None:
    """A key that could not verify is refused as a setting, in a sentence without a bit of the key."""
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}") as refused:
        check_key(key(), algorithms)
    assert not any(line in str(refused.value) for line in key().splitlines() if len(line) > 30)
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        Tokens.with_key(TokenRules(algorithms), key())


def test_jwks_urls_as_settings() -> None:
    """A JWKS URL serves public-key algorithms, and only over HTTP."""
    check_jwks_url("https://login.example/jwks.json", ("RS256", "ES256"))
    with pytest.raises(ValueError, match=r"^HMAC algorithms \(HS\.\.\.\) need AUTHSVC_JWT_KEY"):
        check_jwks_url("https://login.example/jwks.json", ("HS256",))
    with pytest.raises(ValueError, match=r"^AUTHSVC_JWT_JWKS_URL: must be an http:// or https:// URL"):
        check_jwks_url("file:///etc/passwd", ("RS256",))
    with pytest.raises(ValueError, match=r"^must be one or more of"):
        Tokens.with_jwks(TokenRules(()), "https://login.example/jwks.json")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (keys.rsa, "RS256"),
        (keys.rsa, "PS512"),
        (keys.ec, "ES256"),
        (partial(keys.ec, "P-384"), "ES384"),
        (partial(keys.ec, "P-521"), "ES512"),
        (keys.ed25519, "EdDSA"),
    ],
)
def test_published_keys_verify(login: LoginService, key: Callable[[], keys.PrivateKey], algorithm: str) -> None:
    """A published key serves the algorithms of its kind that are accepted, whether it names its own or none."""
    accepted = TokenRules(("RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
    for members in ({}, {"alg": algorithm}, {"use": None}):
        login.publish(keys.jwk(keys.rsa("other"), "other"), keys.jwk(key(), "this", **members))
        tokens = Tokens.with_jwks(accepted, login.url)
        assert tokens.verify(signed({}, key=key(), algorithm=algorithm, kid="this")).user_id == "ming"
        with pytest.raises(NotLoggedIn, match=r"^the token's (signature|algorithm)"):
            tokens.verify(signed({}, key=key(), algorithm=algorithm, kid="other"))
        nameless = signed({}, key=key(), algorithm=algorithm)
        if key == keys.rsa:  # as the other one is
            with pytest.raises(NotLoggedIn, match="kid"):
                tokens.verify(nameless)
        else:
            assert tokens.verify(nameless).user_id == "ming"


def test_a_published_key_verifies_only_what_it_is_made_for(login: LoginService) -> None:
    """A key that names its algorithm serves no other, and no key serves one that is not accepted."""
    login.publish(keys.jwk(keys.rsa(), "bound", alg="RS256"), keys.jwk(keys.rsa(), "free"))
    tokens = Tokens.with_jwks(TokenRules(("RS256", "PS256")), login.url)
    assert tokens.verify(signed({}, key=keys.rsa(), algorithm="PS256", kid="free")).user_id == "ming"
    for algorithm, kid in (("PS256", "bound"), ("RS512", "free"), ("RS512", "bound")):
        with pytest.raises(NotLoggedIn, match="algorithm"):
            tokens.verify(signed({}, key=keys.rsa(), algorithm=algorithm, kid=kid))


def test_a_published_key_is_no_hmac_secret(login: LoginService) -> None:
    """The confusion of keys fails with published keys as it does with a fixed one."""
    login.publish(keys.jwk(keys.rsa(), "this"))
    tokens = Tokens.with_jwks(TokenRules(("RS256",)), login.url)
    for alg in (b"HS256", b"none", b"RS256"):
        header = b'{"alg":"%s","kid":"this"}' % alg
        forged = by_hand(header, b'{"sub":"admin","exp":1750000300}', keys.public_pem(keys.rsa()).encode())
        with pytest.raises(NotLoggedIn):
            tokens.verify(forged)


@pytest.mark.parametrize(
    "jwk",
    [
        lambda: {"kty": "oct", "k": base64.urlsafe_b64encode(JWT_KEY.encode()).decode(), "kid": "this"},
        lambda: {"kty": "oct", "kid": "this"},
        lambda: keys.jwk(keys.rsa(), "this", use="enc"),
        lambda: keys.jwk(keys.rsa(), "this", alg="RSA-OAEP"),
        lambda: keys.jwk(keys.rsa(), "this", alg="HS256"),
        lambda: keys.jwk(keys.rsa(), "this", alg=["RS256"]),
        lambda: keys.jwk(keys.rsa(), "this", kty="EC"),
        lambda: keys.jwk(keys.rsa(), "this", kty=["RSA"]),
        lambda: keys.jwk(keys.rsa(), "this", n=5),
        lambda: keys.jwk(keys.rsa(), "this", n="é"),
        lambda: keys.jwk(keys.rsa(), "this", e="AA"),
        lambda: keys.jwk(keys.rsa("weak", bits=1024), "this"),
        lambda: keys.jwk(keys.ec("secp256k1"), "this"),
        lambda: keys.jwk(keys.ec("P-384"), "this", alg="ES256"),
        lambda: keys.jwk(keys.ec(), "this", x="A" * 43),
        lambda: {"kid": "this"} | json.loads(ECAlgorithm.to_jwk(keys.ec())),
        lambda: {"kid": "this"} | json.loads(RSAAlgorithm.to_jwk(keys.rsa())),
    ],
)
def test_published_keys_that_are_left_out(login: LoginService, jwk: Callable[[], dict[str, Any]]) -> None:
    """A key that is secret, private, weak, broken or made for something else does not count, and harms no other."""
    login.publish(jwk(), keys.jwk(keys.ed25519(), "good"))
    tokens = Tokens.with_jwks(TokenRules(("RS256", "ES256", "EdDSA")), login.url)
    assert tokens.verify(signed({}, key=keys.ed25519(), algorithm="EdDSA", kid="good")).user_id == "ming"
    for key, algorithm in ((keys.rsa(), "RS256"), (keys.ec(), "ES256"), (JWT_KEY, "HS256")):
        with pytest.raises(KeysUnavailable, match=r"key id \(kid\) was not among the login service's keys at"):
            tokens.verify(signed({}, key=key, algorithm=algorithm, kid="this"))
    # Alone it leaves nothing to verify with.
    login.publish(jwk())
    with pytest.raises(KeysUnavailable):
        Tokens.with_jwks(TokenRules(("RS256", "ES256", "EdDSA")), login.url).verify(signed({}))


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_the_names_of_rfc_9864(login: LoginService, name: str) -> None:
    """Each is its own curve's, with a fixed key and a published one, whichever of its names that gives itself."""
    key, other = (keys.ed25519(), keys.ed448()) if name == "Ed25519" else (keys.ed448(), keys.ed25519())
    token = signed({}, key=key, algorithm=name, kid="this")
    assert Tokens.with_key(TokenRules((name,)), keys.public_pem(key)).verify(token).user_id == "ming"
    with pytest.raises(NotLoggedIn, match="algorithm"):
        Tokens.with_key(TokenRules(("EdDSA",)), keys.public_pem(key)).verify(token)
    for members in ({}, {"alg": name}, {"alg": "EdDSA"}):
        login.publish(keys.jwk(key, "this", **members), keys.jwk(other, "other"))
        tokens = Tokens.with_jwks(TokenRules((name, "EdDSA")), login.url)
        assert tokens.verify(token).user_id == "ming"
        assert tokens.verify(signed({}, key=other, algorithm="EdDSA", kid="other")).user_id == "ming"
        with pytest.raises(NotLoggedIn, match="algorithm"):
            tokens.verify(signed({}, key=other, algorithm=name, kid="other"))


def test_two_published_keys_of_one_id(login: LoginService) -> None:
    """The one that serves the token's algorithm is meant, in whatever order they stand (RFC 7517, 4.5)."""
    one, two = keys.jwk(keys.rsa(), "this"), keys.jwk(keys.ec(), "this")
    for jwks in ([one, two], [two, one]):
        login.publish(*jwks)
        tokens = Tokens.with_jwks(TokenRules(("RS256", "ES256")), login.url)
        for key, algorithm in ((keys.rsa(), "RS256"), (keys.ec(), "ES256")):
            assert tokens.verify(signed({}, key=key, algorithm=algorithm, kid="this")).user_id == "ming"
        with pytest.raises(NotLoggedIn, match="algorithm"):
            tokens.verify(signed({}, key=keys.rsa(), algorithm="PS256", kid="this"))


@pytest.mark.parametrize(
    ("key_ops", "is_used"), [(["verify"], True), (["encrypt"], False), ([], False), ("verify", True)]
)
def test_what_a_published_key_is_for(login: LoginService, key_ops: object, is_used: bool) -> None:  # noqa: FBT001 -- a column
    """One that is for other operations than verifying is left out (RFC 7517, 4.3)."""
    login.publish(keys.jwk(keys.rsa(), "this", use=None, key_ops=key_ops))
    tokens, token = Tokens.with_jwks(TokenRules(("RS256",)), login.url), signed({}, key=keys.rsa(), algorithm="RS256")
    if is_used:
        assert tokens.verify(token).user_id == "ming"
    else:
        with pytest.raises(KeysUnavailable):
            tokens.verify(token)
