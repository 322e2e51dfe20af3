"""The gateway's word for who is logged in."""

import itertools

import pytest

from authsvc.auth.authenticator import Authenticator
from authsvc.auth.gateway import Gateway
from authsvc.errors import NotLoggedIn
from tests.auth.logins import NOW_MS, Handmade, gateway_way, reason, user
from tests.support.made_up import GATEWAY_SECRET

pytestmark = pytest.mark.usefixtures("stopped_clock")


def test_the_gateways_word_is_believed_beside_its_secret() -> None:
    """With the right secret the header names the user, in UTF-8 too, as WSGI passes its bytes."""
    headers = {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "ming"}
    assert user(gateway_way(), headers) == "ming"
    assert user(gateway_way(), headers | {"X-Forwarded-User": "用户".encode().decode("latin-1")}) == "用户"


def test_without_the_secret_the_header_counts_for_nothing() -> None:
    """Anybody can send a user's name; alone it is as good as nothing."""
    expected = "the request has no credentials; accepted: X-Forwarded-User from the gateway"
    assert reason(gateway_way(), {"X-Forwarded-User": "admin"}) == expected


@pytest.mark.parametrize(
    "presented",
    [
        "",
        " ",
        GATEWAY_SECRET[:-1],
        f"{GATEWAY_SECRET}x",
        GATEWAY_SECRET.upper(),
        f"{GATEWAY_SECRET},{GATEWAY_SECRET}",
        f"{GATEWAY_SECRET}, {GATEWAY_SECRET}",
        f"wrong,{GATEWAY_SECRET}",
        "\xff",
    ],
    ids=itertools.count(),
)
def test_a_wrong_secret_is_refused(presented: str) -> None:
    """Nearly right, empty and doubled secrets are wrong ones."""
    headers = {"X-Gateway-Secret": presented, "X-Forwarded-User": "admin"}
    assert reason(gateway_way(), headers) == "the X-Gateway-Secret header does not match AUTHSVC_GATEWAY_SECRET"


def test_a_server_that_mixes_up_header_names_lets_no_gateway_name_a_user() -> None:
    """Where `X_Forwarded_User` may pass for it, the header is refused beside the right secret; one without a hyphen has
    no twin."""
    headers = {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "ming", "Remoteuser": "ming"}
    with_twin = Gateway((GATEWAY_SECRET,), user_header="X-Forwarded-User", twins_pass=True)
    assert reason(with_twin, headers) == (
        "this server cannot distinguish X-Forwarded-User from its underscore twin; have the gateway send a signed"
        " assertion, use a header name without a hyphen, or serve with gunicorn"
    )
    assert user(Gateway((GATEWAY_SECRET,), user_header="Remoteuser", twins_pass=True), headers) == "ming"


def test_gateway_secrets_rotate() -> None:
    """Any of the secrets will do, outside ASCII too; a secret is compared as bytes."""
    way = gateway_way("made-up-old-secret", "made-up-néw-secret")
    for presented in ("made-up-old-secret", "made-up-néw-secret".encode().decode("latin-1")):
        assert user(way, {"X-Gateway-Secret": presented, "X-Forwarded-User": "ming"}) == "ming"
    headers = {"X-Gateway-Secret": "made-up-néw-secret", "X-Forwarded-User": "ming"}
    assert reason(way, headers) == "the X-Gateway-Secret header does not match AUTHSVC_GATEWAY_SECRET"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "the gateway names no user: the header X-Forwarded-User is missing"),
        ({"X-Forwarded-User": ""}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "  "}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a" * 256}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a\tb"}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "a\x7f"}, "X-Forwarded-User must be 1 to 255 printable characters, not spaces alone"),
        ({"X-Forwarded-User": "ming,mallory"}, "X-Forwarded-User contains a comma or was sent twice"),
        ({"X-Forwarded-User": "ming, ming"}, "X-Forwarded-User contains a comma or was sent twice"),
        ({"X-Forwarded-User": "caf\xe9"}, "X-Forwarded-User is not UTF-8 text"),
    ],
)
def test_a_user_whom_the_gateway_does_not_name_well(headers: dict[str, str], expected: str) -> None:
    """A missing, doubled or unreadable name is refused even beside the right secret."""
    assert reason(gateway_way(), {"X-Gateway-Secret": GATEWAY_SECRET} | headers) == expected


def test_a_gateway_secret_that_wsgi_would_never_pass() -> None:
    """It is refused as any wrong one."""
    with pytest.raises(NotLoggedIn) as refused:
        Authenticator([gateway_way()], allowed_origins=frozenset()).authenticate(Handmade("ming", secret="密"), NOW_MS)
    assert refused.value.detail == "the server did not decode X-Gateway-Secret as WSGI requires"
