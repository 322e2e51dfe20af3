"""
The purpose of a token, where it names one: only an access token logs in.

A login service signs refresh tokens, ID tokens and logout tokens with the same key as access tokens, so the signature
does not distinguish them. The purpose is in `typ` of the header (RFC 8725, 3.11) or in a claim of the library's own:
`token_type` (djangorestframework-simplejwt), `type` (flask-jwt-extended), `token_use` (Amazon Cognito), `typ`
(Keycloak). A token without a purpose, or with an unknown one, counts as an access token. Pure; imports nothing of the
project.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

CLAIMS = ("type", "token_type", "token_use", "typ")
OTHERS = frozenset(
    {
        *("refresh", "rt", "offline", "id", "identity", "logout", "dpop", "secevent"),
        *("authorizationcode", "authcode", "code", "devicecode", "usercode", "state", "nonce", "csrf"),
        *("clientassertion", "clientauthentication", "oauthclientattestation", "oauthclientattestationpop"),
        *("registration", "registrationaccess", "initialaccess", "oauthauthzreq", "tokenintrospection", "userinfo"),
        *("entitystatement", "trustmark", "vc", "vp", "kb", "openid4vciproof", "passport", "statuslist"),
        *("reset", "resetpassword", "passwordreset", "forgotpassword", "changeemail", "emailchange"),
        *("verify", "verification", "verifyemail", "emailverify", "emailverification"),
        *("confirm", "confirmation", "confirmemail", "emailconfirm", "emailconfirmation", "activate", "activation"),
        *("invite", "invitation", "unsubscribe", "magiclink", "mfa", "2fa", "otp", "twofactor", "challenge", "preauth"),
    }
)


def other_purpose(header: Mapping[str, Any], claims: Mapping[str, Any], *, allowed: Collection[str]) -> str | None:
    """
    Return the purpose in OTHERS that the token names; None for a token that may log in.

    Args:
        allowed: those of OTHERS that may log in nevertheless.
    """
    named = (plain(text) for text in _names(header, claims))
    return next((name for name in named if name in OTHERS and name not in allowed), None)


def plain(name: str) -> str:
    """Return a name in the form of OTHERS: `application/logout+jwt`, `Refresh`, `refresh_token`, `urn:…:id_token`."""
    last = re.split(r"[/:]", name.lower())[-1]
    kind = re.sub(r"\+(sd-)?jwt$", "", last)
    return re.sub(r"[^a-z0-9]", "", kind).removesuffix("token") or "token"


def check_allowed_types(types: Sequence[str]) -> None:
    """Raise ValueError unless these types are in OTHERS."""
    if not set(types) <= OTHERS:
        raise ValueError(f"must be some of the types that are rejected by default: {', '.join(sorted(OTHERS))}")


def _names(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Iterator[str]:
    # A logout token of an older login service has no `typ`; its mark is `events` (OpenID Connect
    # Back-Channel Logout, 2.4), as of every security event token (RFC 8417).
    if "events" in claims:
        yield "secevent"
    for value in (header.get("typ"), *map(claims.get, CLAIMS)):
        yield from (name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str))
