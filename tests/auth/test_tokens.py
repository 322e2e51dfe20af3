"""Which tokens are believed: the rules, the classic forgeries, and anything at all that is no token."""

import base64
import hmac
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from authsvc.auth.token_keys import check_key
from authsvc.auth.tokens import (
    MAX_TOKEN_BYTES,
    Token,
    TokenRules,
    Tokens,
    checked_user_id,
)
from authsvc.errors import KeysUnavailable, NotLoggedIn, NotLoggedInYet
from authsvc.message import Message
from tests.auth.jwts import by_hand, signed
from tests.auth.logins import NOW_S
from tests.support import keys
from tests.support.login_service import LoginService
from tests.support.made_up import JWT_KEY
from tests.support.promptness import check_prompt

pytestmark = pytest.mark.usefixtures("stopped_jwt_clock")

HS256 = TokenRules(("HS256",))
FAMILIES: dict[tuple[str, ...], Callable[[], keys.PrivateKey]] = {
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"): keys.rsa,
    ("ES256",): keys.ec,
    ("ES384",): partial(keys.ec, "P-384"),
    ("ES512",): partial(keys.ec, "P-521"),
    ("EdDSA",): keys.ed25519,
}


def reason(token: str, rules: TokenRules = HS256, key: str = JWT_KEY) -> str:
    """Return why the token is refused."""
    with pytest.raises(NotLoggedIn) as refused:
        Tokens.with_key(rules, key).verify(token)
    return refused.value.detail


def _resigned(token: str) -> str:
    """Return the token with one character of its signature changed, still in canonical encoding."""
    signature = token.rpartition(".")[2]
    return token.removesuffix(signature) + ("A" if signature[0] != "A" else "B") + signature[1:]


def test_a_good_token_has_user_and_expiry() -> None:
    """The claims come out parsed, times in milliseconds, the leeway counted in."""
    token = signed({"jti": "one", "iss": "login", "iat": NOW_S - 5})
    assert Tokens.with_key(TokenRules(("HS256",), leeway_s=10), JWT_KEY).verify(token) == Token(
        user_id="ming", jti="one", issuer="login", issued_ms=(NOW_S - 5) * 1000, expires_ms=(NOW_S + 310) * 1000
    )


def test_only_sub_and_exp_are_needed() -> None:
    """A token without id, issuer and time of issue is good."""
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed({})) == Token(
        user_id="ming", jti=None, issuer=None, issued_ms=None, expires_ms=(NOW_S + 300) * 1000
    )


def test_fractions_of_a_second_count_as_pyjwt_counts_them() -> None:
    """A time claim with a fraction is rounded down, in the check and in what comes out."""
    token = Tokens.with_key(HS256, JWT_KEY).verify(signed({"exp": NOW_S + 1.9, "iat": NOW_S - 0.5}))
    assert (token.issued_ms, token.expires_ms) == ((NOW_S - 1) * 1000, (NOW_S + 1) * 1000)


@pytest.mark.parametrize(
    ("algorithms", "key", "algorithm"), [(names, key, name) for names, key in FAMILIES.items() for name in names]
)
def test_every_public_key_algorithm_verifies(
    algorithms: tuple[str, ...], key: Callable[[], keys.PrivateKey], algorithm: str
) -> None:
    """Each algorithm accepts its own signature and no other."""
    tokens = Tokens.with_key(TokenRules(algorithms), keys.public_pem(key()))
    token = signed({}, key=key(), algorithm=algorithm)
    assert tokens.verify(token).user_id == "ming"
    with pytest.raises(NotLoggedIn, match=r"^the token's signature does not match$"):
        tokens.verify(_resigned(token))


@pytest.mark.parametrize(("algorithm", "key_bytes"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_every_hmac_algorithm_verifies_with_a_secret_of_its_length(algorithm: str, key_bytes: int) -> None:
    """As many bytes as the hash has are enough, counted in UTF-8, and one fewer is refused as a setting."""
    secret = "é" + "k" * (key_bytes - 2)
    tokens = Tokens.with_key(TokenRules((algorithm,)), secret)
    token = signed({}, key=secret, algorithm=algorithm)
    assert tokens.verify(token).user_id == "ming"
    with pytest.raises(NotLoggedIn, match=r"^the token's signature does not match$"):
        tokens.verify(_resigned(token))
    with pytest.raises(ValueError, match=f"^is shorter than the {key_bytes} bytes that {algorithm} needs$"):
        check_key(secret[:-1], (algorithm,))


def test_ed448_is_eddsa_too() -> None:
    """RFC 8037 has one algorithm name for both curves."""
    token = signed({}, key=keys.ed448(), algorithm="EdDSA")
    assert Tokens.with_key(TokenRules(("EdDSA",)), keys.public_pem(keys.ed448())).verify(token).user_id == "ming"


@pytest.mark.parametrize(
    ("after_s", "leeway_s", "is_good"), [(-1, 0, True), (0, 0, False), (1, 0, False), (29, 30, True), (30, 30, False)]
)
def test_exp_at_its_boundary(after_s: int, leeway_s: int, is_good: bool) -> None:  # noqa: FBT001 -- a column
    """A token is rejected from the second in `exp` plus the leeway; `expires_ms` is the same."""
    tokens = Tokens.with_key(TokenRules(("HS256",), leeway_s=leeway_s), JWT_KEY)
    token = signed({"exp": NOW_S})
    with freeze_time(datetime.fromtimestamp(NOW_S - 60, UTC)):
        expires_ms = tokens.verify(token).expires_ms
    assert ((NOW_S + after_s) * 1000 < expires_ms) == is_good
    with freeze_time(datetime.fromtimestamp(NOW_S + after_s, UTC)):
        if is_good:
            tokens.verify(token)
        else:
            with pytest.raises(NotLoggedIn, match=r"^the token has expired$"):
                tokens.verify(token)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(
    ("ahead_s", "leeway_s", "retry_after_s"),
    [(0, 0, None), (5, 0, None), (6, 0, 1), (30, 30, None), (31, 30, 1), (42, 30, 12), (3600, 0, 60)],
)
def test_a_token_from_the_future(claim: str, ahead_s: int, leeway_s: int, retry_after_s: int | None) -> None:
    """A token that begins later than now, by more than the leeway or five seconds, is good after a while."""
    tokens = Tokens.with_key(TokenRules(("HS256",), leeway_s=leeway_s), JWT_KEY)
    token = signed({claim: NOW_S + ahead_s, "exp": NOW_S + 7200})
    if retry_after_s is None:
        tokens.verify(token)
    else:
        with pytest.raises(
            NotLoggedInYet, match=r"^the token is not valid yet: it is \d+ s ahead; compare the clocks"
        ) as refused:
            tokens.verify(token)
        assert refused.value.retry_after_s == retry_after_s


def test_the_five_seconds_are_not_for_exp() -> None:
    """A token that has expired has expired."""
    assert reason(signed({"exp": NOW_S})) == "the token has expired"
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed({"exp": NOW_S + 1})).expires_ms == (NOW_S + 1) * 1000


def test_null_is_as_good_as_nothing() -> None:
    """Many a library writes null for a claim that is not set, and a number for an id."""
    token = by_hand(
        b'{"alg":"HS256","typ":null}',
        b'{"sub":5,"exp":1750000300,"iat":null,"nbf":null,"jti":null,"iss":null,"aud":null,"type":null}',
    )
    found = Token(user_id="5", jti=None, issuer=None, issued_ms=None, expires_ms=(NOW_S + 300) * 1000)
    assert Tokens.with_key(HS256, JWT_KEY).verify(token) == found
    numbered = by_hand(b'{"alg":"HS256"}', b'{"sub":"ming","exp":1750000300,"jti":7}')
    assert Tokens.with_key(HS256, JWT_KEY).verify(numbered).jti == "7"


OTHER_PURPOSES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"token_type": "refresh"}, {}, "refresh"),  # djangorestframework-simplejwt
    ({"type": "refresh"}, {}, "refresh"),  # flask-jwt-extended
    ({"token_use": "id"}, {}, "id"),  # Amazon Cognito
    ({"typ": "Refresh"}, {}, "refresh"),  # Keycloak, these four
    ({"typ": "Offline"}, {}, "offline"),
    ({"typ": "ID"}, {}, "id"),
    ({"typ": "Logout"}, {}, "logout"),
    ({"type": "refresh_token"}, {}, "refresh"),
    ({"type": "RefreshToken"}, {}, "refresh"),
    ({"type": ["access", "refresh"]}, {}, "refresh"),
    ({"type": "password-reset"}, {}, "passwordreset"),
    ({"token_type": "urn:ietf:params:oauth:token-type:id_token"}, {}, "id"),
    ({"token_type": "DPoP"}, {}, "dpop"),
    ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, {}, "secevent"),
    ({}, {"typ": "logout+jwt"}, "logout"),
    ({}, {"typ": "dpop+jwt"}, "dpop"),
    ({}, {"typ": "application/DPoP+JWT"}, "dpop"),
    ({}, {"typ": "secevent+jwt"}, "secevent"),
    ({}, {"typ": "refresh+jwt"}, "refresh"),
    ({}, {"typ": "kb+jwt"}, "kb"),
    ({}, {"typ": "vc+sd-jwt"}, "vc"),
    ({}, {"typ": "oauth-authz-req+jwt"}, "oauthauthzreq"),
    ({"typ": "Bearer", "token_use": "id"}, {"typ": "at+jwt"}, "id"),
]


@pytest.mark.parametrize(("claims", "header", "purpose"), OTHER_PURPOSES, ids=str)
def test_a_token_of_another_purpose_is_refused(claims: dict[str, Any], header: dict[str, Any], purpose: str) -> None:
    """One key signs all of them; the purpose that the library writes decides, unless the setting allows it."""
    token = signed(claims, **header)
    assert reason(token) == (f"the token's type is {purpose}; send an access token (see AUTHSVC_JWT_ALLOWED_TYPES)")
    allowing = TokenRules(("HS256",), allowed_types=frozenset({purpose}))
    assert Tokens.with_key(allowing, JWT_KEY).verify(token).user_id == "ming"


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"token_type": "access"}, {}),  # djangorestframework-simplejwt
        ({"token_type": "sliding"}, {}),  # and its tokens that renew themselves
        ({"type": "access", "fresh": False, "csrf": "made-up"}, {}),  # flask-jwt-extended
        ({"token_use": "access", "client_id": "made-up", "scope": "openid"}, {}),  # Amazon Cognito
        ({"typ": "Bearer", "azp": "app", "sid": "made-up"}, {}),  # Keycloak
        ({}, {"typ": "at+jwt"}),  # RFC 9068, Auth0
        ({}, {"typ": "application/at+jwt"}),
        ({}, {"typ": "JWT"}),
        ({"auth_time": NOW_S, "user_id": "ming", "firebase": {"sign_in_provider": "password"}}, {}),  # Firebase
        ({"token_type": "urn:ietf:params:oauth:token-type:access_token"}, {}),
        ({"type": "user"}, {}),
        ({"type": 5, "typ": None, "token_use": {"id": 1}, "token_type": [7]}, {}),
    ],
    ids=str,
)
def test_access_tokens_of_common_libraries_log_in(claims: dict[str, Any], header: dict[str, Any]) -> None:
    """So does a token without a known purpose."""
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed(claims, **header)).user_id == "ming"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"ming"', "ming"),
        (b"42", "42"),
        (b"0", "0"),
        (b"4.2", "must be a string or a whole number"),
        (b"true", "must be a string or a whole number"),
        (b'["ming"]', "must be a string or a whole number"),
        (b'" "', "must be 1 to 255 printable characters, not spaces alone"),
        (b'""', "must be 1 to 255 printable characters, not spaces alone"),
        (b"9" * 256, "must be 1 to 255 printable characters, not spaces alone"),
    ],
)
@pytest.mark.parametrize("claim", ["sub", "userId", "https://app.example/id"])
def test_the_claim_that_names_the_user(claim: str, value: bytes, expected: str) -> None:
    """It is the one that is set, text or a whole number; a refusal names it, and `sub` beside it does not matter."""
    rules = TokenRules(("HS256",), user_claim=claim)
    others = b"" if claim == "sub" else b'"sub":[5],'
    token = by_hand(b'{"alg":"HS256"}', b'{%s"%s":%s,"exp":%d}' % (others, claim.encode(), value, NOW_S + 300))
    if expected.startswith("must"):
        assert reason(token, rules) == f"the token's {claim} {expected}"
    else:
        assert Tokens.with_key(rules, JWT_KEY).verify(token).user_id == expected
    assert reason(signed({"sub": None}), rules) == f"the token has no {claim}"


SECRET_BYTES = bytes(range(224, 256))


@pytest.mark.parametrize(
    "digits",
    [
        base64.b64encode(SECRET_BYTES).decode(),
        base64.b64encode(SECRET_BYTES).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET_BYTES).decode(),
        base64.urlsafe_b64encode(SECRET_BYTES).decode().rstrip("="),
    ],
)
def test_an_hmac_secret_that_is_bytes(digits: str) -> None:
    """It is written in base64, in either alphabet, and as long as its bytes are."""
    token = signed({}, key=SECRET_BYTES)
    assert Tokens.with_key(HS256, f"base64:{digits}").verify(token).user_id == "ming"
    assert reason(token, key=digits) == "the token's signature does not match"
    with pytest.raises(ValueError, match=r"^is shorter than the 64 bytes that HS512 needs$"):
        check_key(f"base64:{digits}", ("HS512",))


@pytest.mark.parametrize(
    ("audience", "aud", "expected"),
    [
        ((), None, None),
        ((), [], None),
        ((), "sign", "the token has an audience (aud), but AUTHSVC_JWT_AUDIENCE is not set"),
        (("sign",), "sign", None),
        (("sign",), ["app", "sign"], None),
        (("sign", "app"), "app", None),
        (("sign",), "app", "the token is for another audience (aud)"),
        (("sign",), "sign2", "the token is for another audience (aud)"),
        (("sign",), ["app", ["sign"]], "the token is for another audience (aud)"),
        (("sign",), {"sign": 1}, "the token is for another audience (aud)"),
        (("sign",), 5, "the token is for another audience (aud)"),
        (("sign",), None, "the token has no aud"),
        (("sign",), [], "the token has no aud"),
    ],
)
def test_audience(audience: tuple[str, ...], aud: Any, expected: str | None) -> None:
    """A token must be for one of the audiences; where none is set, it must not be for anybody."""
    rules = TokenRules(("HS256",), audience=audience)
    if expected is None:
        Tokens.with_key(rules, JWT_KEY).verify(signed({"aud": aud}))
    else:
        assert reason(signed({"aud": aud}), rules) == expected


@pytest.mark.parametrize(
    ("issuer", "iss", "expected"),
    [
        (None, b'"anybody"', None),
        (None, b"null", None),
        (None, b"5", "the token's iss must be a string"),
        ("login", b'"login"', None),
        ("login", b'"log"', "the token is from another issuer (iss)"),
        ("login", b'"login2"', "the token is from another issuer (iss)"),
        ("login", b'["login"]', "the token is from another issuer (iss)"),
        ("login", b"null", "the token is from another issuer (iss)"),
    ],
)
def test_issuer(issuer: str | None, iss: bytes, expected: str | None) -> None:
    """The issuer must be the very one that is set, not a part of it and not a list."""
    rules = TokenRules(("HS256",), issuer=issuer)
    token = by_hand(b'{"alg":"HS256"}', b'{"sub":"ming","exp":%d,"iss":%s}' % (NOW_S + 300, iss))
    if expected is None:
        Tokens.with_key(rules, JWT_KEY).verify(token)
    else:
        assert reason(token, rules) == expected


def test_a_missing_claim_is_named() -> None:
    """The refusal names the missing claim, so that the login service can be corrected."""
    assert reason(signed({"exp": None})) == "the token has no exp"
    assert reason(signed({"sub": None})) == "the token has no sub"
    assert reason(signed({}), TokenRules(("HS256",), issuer="login")) == "the token has no iss"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (b'"sub":null,"exp":1750000300', "the token has no sub"),
        (b'"sub":"","exp":1750000300', "the token's sub must be 1 to 255 printable characters, not spaces alone"),
        (
            b'"sub":"%s","exp":1750000300' % (b"a" * 256),
            "the token's sub must be 1 to 255 printable characters, not spaces alone",
        ),
        (rb'"sub":"a\nb","exp":1750000300', "the token's sub must be 1 to 255 printable characters, not spaces alone"),
        (
            rb'"sub":"a\u0000","exp":1750000300',
            "the token's sub must be 1 to 255 printable characters, not spaces alone",
        ),
        (
            rb'"sub":"\ud800","exp":1750000300',
            "the token's sub must be 1 to 255 printable characters, not spaces alone",
        ),
        (
            rb'"sub":"a\u202eb","exp":1750000300',
            "the token's sub must be 1 to 255 printable characters, not spaces alone",
        ),
        (b'"sub":"ming","exp":null', "the token has no exp"),
        (b'"sub":"ming","exp":"1750000300"', "the token's exp must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300000', "the token's exp must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1e300', "the token's exp must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":253402300800', "the token's exp must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":true', "the token has expired"),
        (b'"sub":"ming","exp":-1', "the token has expired"),
        (b'"sub":"ming","exp":NaN', "the token is malformed"),
        (b'"sub":"ming","exp":Infinity', "the token is malformed"),
        (b'"sub":"ming","exp":1e999', "the token is malformed"),
        (b'"sub":"ming","exp":"soon"', "the token is malformed"),
        (b'"sub":"ming","exp":[1750000300]', "the token is malformed"),
        (b'"sub":"ming","exp":{}', "the token is malformed"),
        (b'"sub":"ming","exp":%s' % (b"9" * 4400), "the token is malformed"),
        (b'"sub":"ming","exp":1750000300,"iat":"1750000000"', "the token's iat must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"iat":-1', "the token's iat must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"iat":true', "the token's iat must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"iat":[]', "the token's iat must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"nbf":"soon"', "the token's nbf must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"nbf":true', "the token's nbf must be a number of seconds since 1970"),
        (b'"sub":"ming","exp":1750000300,"jti":5.5', "the token's jti must be a string or a whole number"),
        (b'"sub":"ming","exp":1750000300,"jti":["a"]', "the token's jti must be a string or a whole number"),
    ],
    ids=lambda value: value.decode()[:50] if isinstance(value, bytes) else "",
)
def test_claims_of_a_wrong_kind(claims: bytes, expected: str) -> None:
    """A claim that is no string or no time is refused, never rounded, wrapped or guessed at."""
    assert reason(by_hand(b'{"alg":"HS256"}', b"{%s}" % claims)) == expected


def test_the_longest_sub_and_one_outside_ascii() -> None:
    """255 characters of any script are a user id."""
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed({"sub": "用" * 255})).user_id == "用" * 255
    assert checked_user_id("a b", Message("it")) == "a b"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}',
        b'{"alg":"None"}',
        b'{"alg":"nOnE"}',
        b'{"alg":""}',
        b'{"alg":null}',
        b'{"alg":["HS256"]}',
        b'{"alg":{"HS256":1}}',
        b'{"alg":0}',
        b'{"alg":"hs256"}',
        b'{"alg":"HS512"}',
        b'{"alg":"RS256"}',
        b"{}",
    ],
)
def test_alg_is_never_the_tokens_choice(header: bytes) -> None:
    """No spelling of none, no other algorithm and no missing one gets past the accepted algorithms."""
    expected = "the token's algorithm (alg) is not accepted for its key"
    token = by_hand(header, b'{"sub":"admin","exp":1750000300}')
    assert reason(token) == expected
    assert reason(f"{token.rpartition('.')[0]}.") == expected


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", keys.rsa), ("ES256", keys.ec), ("EdDSA", keys.ed25519)])
def test_a_public_key_is_no_hmac_secret(algorithm: str, key: Callable[[], keys.PrivateKey]) -> None:
    """The classic confusion: a token signed by HMAC with the text of the public key is refused."""
    pem = keys.public_pem(key())
    for secret in (pem, pem.strip(), pem.replace("\n", "")):
        token = by_hand(b'{"alg":"HS256"}', b'{"sub":"admin","exp":1750000300}', secret.encode())
        assert "algorithm" in reason(token, TokenRules((algorithm,)), pem)
        relabelled = by_hand(b'{"alg":"%s"}' % algorithm.encode(), b'{"sub":"admin","exp":1750000300}', secret.encode())
        assert reason(relabelled, TokenRules((algorithm,)), pem) == "the token's signature does not match"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"HS256","crit":["exp"],"exp":1}',
        b'{"alg":"HS256","crit":["urn:x"],"urn:x":1}',
        b'{"alg":"HS256","crit":["b64"]}',
        b'{"alg":"HS256","crit":[]}',
        b'{"alg":"HS256","crit":"b64"}',
        b'{"alg":"HS256","crit":null}',
        b'{"alg":"HS256","crit":[["b64"]],"b64":true}',
        b'{"alg":"HS256","b64":false}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}',
        b'{"alg":"HS256","kid":5}',
        b'{"alg":"HS256","kid":null}',
        b'{"alg":"HS256","kid":["../../dev/null"]}',
        b"[]",
        b'"HS256"',
        b"null",
        b"5",
        b"",
        b"{",
        b'{"alg":"HS256"',
        b"\xff\xfe",
        b'{"alg":"HS256","x":"\xff"}',
        b"[" * 5000,
        b'{"alg":%s}' % (b"9" * 4400),
    ],
    ids=lambda header: header[:40].decode(errors="replace"),
)
def test_headers_that_are_not_understood(header: bytes) -> None:
    """A header with critical extensions, a detached payload or no sense is refused, never read on a guess."""
    assert reason(by_hand(header, b'{"sub":"admin","exp":1750000300}')) == "the token is malformed"


def test_padding() -> None:
    """A token may be padded, as AWS's load balancers pad theirs, and signed so; whoever adds to it gains nothing."""
    parts = [base64.urlsafe_b64encode(part) for part in (b'{"alg":"HS256"}', b'{"sub":"ming","exp":%d}' % (NOW_S + 9))]
    digest = hmac.digest(JWT_KEY.encode(), b".".join(parts), "sha256")
    token = b".".join([*parts, base64.urlsafe_b64encode(digest)]).decode()
    assert token.count("=") == 3
    assert Tokens.with_key(HS256, JWT_KEY).verify(token).user_id == "ming"
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed({}) + "=").user_id == "ming"


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b'"admin"', b"{", b"\xff", b"[" * 5000, b'{"a":' * 900, b'{"sub":"a","exp":1750000300}x'],
    ids=lambda payload: payload[:20].decode(errors="replace"),
)
def test_payloads_that_are_no_claims(payload: bytes) -> None:
    """A payload that is no JSON object is refused, however deep it is nested."""
    assert reason(by_hand(b'{"alg":"HS256"}', payload)) == "the token is malformed"


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'k"},
        {"kid": ""},
        {"jku": "http://127.0.0.1:1/evil.json"},
        {"x5u": "http://127.0.0.1:1/evil.pem"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5c": ["MIIB"], "x5t": "AAAA", "x5t#S256": "AAAA"},
        {"kid": "http://127.0.0.1:1/evil.json"},
        {"kid": "made-up\\0key | id"},
        {"zip": "DEF"},
        {"typ": "at+jwt", "cty": "JWT"},
    ],
    ids=str,
)
def test_a_token_cannot_bring_its_own_key(header: dict[str, Any]) -> None:
    """Hints at keys in the header change nothing: the key that is set decides."""
    assert Tokens.with_key(HS256, JWT_KEY).verify(signed({}, **header)).user_id == "ming"
    assert reason(signed({}, key="e" * 32, **header)) == "the token's signature does not match"


@pytest.mark.parametrize("nested", [b"[" * 2900 + b"]" * 2900, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_deep_nesting_does_no_harm(nested: bytes) -> None:
    """However deep a header or a payload is nested, it is refused or read; which of them is up to the Python."""
    with suppress(NotLoggedIn):
        Tokens.with_key(HS256, JWT_KEY).verify(by_hand(b'{"alg":"HS256","a":%s}' % nested, b"{}"))
    with suppress(NotLoggedIn):
        Tokens.with_key(HS256, JWT_KEY).verify(by_hand(b'{"alg":"HS256"}', b'{"a":%s}' % nested))


def test_tokens_that_were_tampered_with() -> None:
    """Not one part may be changed, swapped, lost, padded, wrapped or added."""
    token, other = signed({}), signed({"sub": "hua"}, typ="other")
    header, payload, signature = token.split(".")
    _, other_payload, other_signature = other.split(".")
    for forged in (
        f"{header}.{other_payload}.{signature}",
        f"{header}.{payload}.{other_signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}..{signature}",
        f".{payload}.{signature}",
        f"{token}.",
        f"{token}.{signature}",
        f"{token}!",
        f"{token}====",
        f"{token}\n",
        f" {token}",
        f"{header}. {payload}.{signature}",
        f"{header}.{payload}.{signature[:-1]}",
        f"{header}.{payload}.{signature[:20]} {signature[20:]}",
        f"{token},{token}",
        f"{token}\u00e9",
        f"{token}\ud800",
        f"{token}\u212a",
        token.upper(),
        "",
        ".",
        "..",
        "...",
        "\x00",
        "a.b.c",
    ):
        with pytest.raises(NotLoggedIn):
            Tokens.with_key(HS256, JWT_KEY).verify(forged)


def test_a_token_in_a_token() -> None:
    """Neither a good token inside another one counts, nor an encrypted one's five parts, nor a list of signatures."""
    good = signed({})
    assert reason(by_hand(b'{"alg":"HS256","cty":"JWT"}', good.encode())) == "the token is malformed"
    assert reason(by_hand(b'{"alg":"HS256","cty":"JWT"}', f'"{good}"'.encode())) == "the token is malformed"
    assert reason(by_hand(b'{"alg":"none"}', good.encode()))
    header, payload, signature = good.split(".")
    assert reason(f"{header}.{payload}.{payload}.{payload}.{signature}") == "the token is malformed"
    several = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    assert reason(json.dumps(several)) == "the token is malformed"


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"HS256","alg":"none"}', b'{"sub":"admin","exp":1750000300}'),
        (b'{"alg":"HS256","\\u0061lg":"none"}', b'{"sub":"admin","exp":1750000300}'),
        (b'{"alg":"HS256"}', b'{"sub":"admin","exp":1750000300,"exp":1}'),
        (b'{"alg":"HS256"}', b'{"sub":"admin","exp":1750000300,"sub":null}'),
    ],
)
def test_the_last_of_two_names_counts(header: bytes, payload: bytes) -> None:
    """A good value does not cover up a bad one that is read."""
    assert reason(by_hand(header, payload))


def test_the_length_of_a_token() -> None:
    """8192 bytes are read, one more is refused before anything is parsed."""
    empty = len(signed({"pad": ""}))
    pad = "x" * ((MAX_TOKEN_BYTES - empty) * 3 // 4)
    longest = next(token for cut in range(5) if len(token := signed({"pad": pad[: len(pad) - cut]})) <= MAX_TOKEN_BYTES)
    assert len(longest) > MAX_TOKEN_BYTES - 4
    assert Tokens.with_key(HS256, JWT_KEY).verify(longest).user_id == "ming"
    assert reason("x" * MAX_TOKEN_BYTES) == "the token is malformed"
    assert reason("x" * (MAX_TOKEN_BYTES + 1)) == "the token is longer than 8192 bytes"


def test_a_huge_token_costs_nothing() -> None:
    """A megabyte, signed and deeply nested, is refused by its length, before anything of it is decoded."""
    nested = b'{"sub":"ming","exp":1750000300,"a":%s1%s}' % (b'{"a":[' * 125_000, b"]}" * 125_000)
    for token in (signed({"pad": "x" * 750_000}), by_hand(b'{"alg":"HS256"}', nested), "." * 1_000_000):
        assert len(token) >= 1_000_000
        tokens = Tokens.with_key(HS256, JWT_KEY)

        def refuse(token: str = token, tokens: Tokens = tokens) -> None:
            with pytest.raises(NotLoggedIn, match=r"^the token is longer than 8192 bytes$"):
                tokens.verify(token)

        check_prompt(refuse, within_s=0.1)


def test_a_refusal_contains_no_part_of_the_token() -> None:
    """Neither a claim's value nor a part of the token is in the reason."""
    canary = "canary-in-a-claim"
    token = signed({"aud": canary, "iss": canary, "sub": canary, "jti": canary, "exp": NOW_S - 1}, kid=canary)
    assert canary not in reason(token)
    assert token.split(".")[2] not in reason(token)


_CLAIM_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_garbage_is_refused_and_nothing_else_happens(text: str) -> None:
    """Whatever text comes, the one answer is NotLoggedIn."""
    with pytest.raises(NotLoggedIn):
        Tokens.with_key(HS256, JWT_KEY).verify(text)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_signed_garbage_is_refused_and_nothing_else_happens(header: bytes, payload: bytes) -> None:
    """The same with a right signature over bytes of any kind."""
    with pytest.raises(NotLoggedIn):
        Tokens.with_key(HS256, JWT_KEY).verify(by_hand(header, payload))


@given(
    st.dictionaries(st.sampled_from(["typ", "kid", "crit", "b64", "jku", "zip"]), _CLAIM_VALUES),
    st.dictionaries(st.sampled_from(["sub", "exp", "iat", "nbf", "aud", "iss", "jti"]), _CLAIM_VALUES),
)
def test_any_values_are_accepted_or_refused_and_nothing_else_happens(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Claims and headers of any type give a token that is sound, or NotLoggedIn."""
    token = by_hand(
        json.dumps({"alg": "HS256"} | header).encode(),
        json.dumps({"sub": "ming", "exp": NOW_S + 300} | claims).encode(),
    )
    try:
        verified = Tokens.with_key(HS256, JWT_KEY).verify(token)
    except (NotLoggedIn, NotLoggedInYet):
        return
    assert verified.user_id
    assert NOW_S * 1000 < verified.expires_ms < 253_402_300_800_000
    assert verified.issuer is None or isinstance(verified.issuer, str)


def read_again(token: str) -> str | None:
    """Return whose an HS256 token is by a second, plain reading of the RFCs that lets padding pass; None if not."""
    parts = token.split(".")
    if len(parts) != 3 or not all(re.fullmatch("[A-Za-z0-9_-]+={0,2}", part) for part in parts):
        return None
    if any("=" in part and len(part) % 4 for part in parts):
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in parts[:2])
    except ValueError:
        return None
    digest = hmac.digest(JWT_KEY.encode(), ".".join(parts[:2]).encode(), "sha256")
    if (
        base64.urlsafe_b64decode(f"{parts[2]}==") != digest
        or not isinstance(header, dict)
        or header.get("alg") != "HS256"
    ):
        return None
    if "crit" in header or header.get("b64") is False or not isinstance(claims, dict) or claims.get("aud"):
        return None
    if claims["exp"] < NOW_S + 1 or any(claims.get(name, 0) >= NOW_S + 6 for name in ("nbf", "iat")):
        return None
    sub, is_id = claims.get("sub"), isinstance(claims.get("jti"), str | int | None)
    is_fit = isinstance(sub, str) and 1 <= len(sub) <= 255 and sub.isprintable()
    return sub if is_fit and is_id and isinstance(claims.get("iss"), str | None) else None


_TIMES = st.integers(NOW_S - 2, NOW_S + 2) | st.floats(NOW_S - 2, NOW_S + 2)


@given(
    header=st.fixed_dictionaries(
        {"alg": st.sampled_from(["HS256", "HS256", "HS256", "none", "HS512", "RS256", "hs256", ""])},
        optional={
            "kid": st.sampled_from(["../../dev/null", "' OR 1=1 --"]) | _CLAIM_VALUES,
            "jku": st.just("http://127.0.0.1:9/jwks.json"),
            "x5u": st.just("http://127.0.0.1:9/x.pem"),
            "jwk": st.just({"kty": "oct", "k": ""}),
            "crit": st.sampled_from([["exp"], [], None]),
            "b64": st.sampled_from([True, False, None]),
        },
    ),
    claims=st.fixed_dictionaries(
        {"sub": st.just("ming") | st.text(max_size=3), "exp": st.just(NOW_S + 300) | _TIMES},
        optional={"nbf": _TIMES, "iat": _TIMES, "aud": _CLAIM_VALUES, "iss": _CLAIM_VALUES, "jti": _CLAIM_VALUES},
    ),
    key=st.sampled_from([JWT_KEY] * 6 + ["", "null", JWT_KEY[:-1], "e" * 32]),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["", ".", "=", "-", "_", "A", "\n", " ", "+", "é", "\0"])),
        max_size=1,
    ),
)
def test_what_is_accepted_is_so_by_a_second_reading(
    header: dict[str, Any], claims: dict[str, Any], key: str, edits: list[tuple[float, str]]
) -> None:
    """No token logs in that a plain reading of the RFCs would reject, whatever its header and its edges contain."""
    token = by_hand(json.dumps(header).encode(), json.dumps(claims).encode(), key.encode())
    for where, piece in edits:
        place = int(where * len(token))
        token = token[:place] + piece + token[place + (not piece) :]
    try:
        found = Tokens.with_key(HS256, JWT_KEY).verify(token).user_id
    except (NotLoggedIn, NotLoggedInYet):
        return
    assert found == read_again(token)


@pytest.mark.parametrize("kid", ["this", None, "theirs", "../../../dev/null", "this' OR '1'='1", "this\0"])
def test_a_token_names_no_other_place_of_keys(login: LoginService, kid: str | None) -> None:
    """A URL or a key in the header is never asked nor used: a token that its own key verifies is forged."""
    login.publish(keys.jwk(keys.rsa(), "this"), keys.jwk(keys.ec(), "that"))
    theirs = keys.rsa("theirs")
    with LoginService() as elsewhere:
        elsewhere.publish(keys.jwk(theirs, "theirs"), keys.jwk(theirs, "this"))
        for hint in (
            {"jku": elsewhere.url},
            {"x5u": elsewhere.url},
            {"jku": f"{login.url}@{elsewhere.url.removeprefix('http://')}"},
            {"jwk": keys.jwk(theirs, "this")},
            {"jku": elsewhere.url, "jwk": keys.jwk(theirs, "theirs"), "x5c": ["MIIB"], "iss": elsewhere.url},
        ):
            header = hint if kid is None else hint | {"kid": kid}
            token = signed({"sub": "admin", "iss": elsewhere.url}, key=theirs, algorithm="RS256", **header)
            with pytest.raises(NotLoggedIn):
                Tokens.with_jwks(TokenRules(("RS256", "ES256")), login.url).verify(token)
        assert elsewhere.requests == []


def test_an_expired_token_with_a_key_that_is_gone_has_expired(login: LoginService) -> None:
    """A page that was open over a rotation has to get a fresh token, not to wait for a key that never comes."""
    login.publish(keys.jwk(keys.rsa(), "new"))
    tokens = Tokens.with_jwks(TokenRules(("RS256",), leeway_s=10), login.url)
    old = partial(signed, key=keys.rsa("old"), algorithm="RS256", kid="old")
    tokens.verify(signed({}, key=keys.rsa(), algorithm="RS256", kid="new"))
    with pytest.raises(NotLoggedIn, match=r"^the token has expired$"):
        tokens.verify(old({"exp": NOW_S - 10}))
    for claims in ({"exp": NOW_S - 9}, {"exp": "soon"}, {"exp": None}):
        with pytest.raises(KeysUnavailable):
            tokens.verify(old(claims))


def test_an_unavailable_login_service_refuses_no_token(login: LoginService) -> None:
    """While the keys cannot be had, a token is neither good nor bad; one that is no token at all is bad still."""
    login.answer(b"<h1>Bad gateway</h1>", status=502)
    tokens = Tokens.with_jwks(TokenRules(("RS256",)), login.url)
    with pytest.raises(KeysUnavailable):
        tokens.verify(signed({}, key=keys.rsa(), algorithm="RS256", kid="this"))
    with pytest.raises(NotLoggedIn):
        tokens.verify("no token")
