"""Several cookies of one name, and secrets that are none, whichever way they are for."""

import itertools

import pytest

from authsvc.auth.authenticator import Way
from authsvc.auth.credentials import MAX_COOKIES
from authsvc.auth.gateway import Gateway
from authsvc.auth.session_cookie import SessionCookie
from tests.auth.logins import (
    DAY_S,
    NOW_S,
    at,
    flask_app,
    reason,
    session_cookie,
    session_way,
    token,
    token_cookie_way,
    user,
)
from tests.support.made_up import SESSION_KEY

pytestmark = pytest.mark.usefixtures("stopped_clock")


@pytest.mark.parametrize("way", [session_way(), token_cookie_way()], ids=lambda way: type(way).__name__)
def test_several_cookies_of_one_name(way: Way) -> None:
    """A stale cookie does not count beside a good one; good ones of two users are ambiguous."""
    with at(NOW_S - 32 * DAY_S):
        old = session_cookie({"_user_id": "hua"}) if isinstance(way, SessionCookie) else token(sub="hua", exp=NOW_S - 1)
    if isinstance(way, SessionCookie):
        good, again, planted, forged = (
            session_cookie({"_user_id": name, "n": number}, flask_app(key))
            for number, (name, key) in enumerate(
                [("ming", SESSION_KEY), ("ming", SESSION_KEY), ("mallory", SESSION_KEY), ("mallory", "another-key")]
            )
        )
    else:
        good, again, planted = token(jti="1"), token(jti="2"), token(sub="mallory")
        forged = token("e" * 32, sub="mallory")
    for others in ([old], [forged], [""], ["x"], [good], [again], [old, forged, "x", again]):
        for several in itertools.permutations([good, *others]):
            headers = {"Cookie": "; ".join(f"session={one}" for one in several)}
            assert user(way, headers) == "ming"
    for several in itertools.permutations([good, planted, old]):
        headers = {"Cookie": "; ".join(f"session={one}" for one in several)}
        assert reason(way, headers) == "the request has several cookies named session, of different users"
    refused = reason(way, {"Cookie": f"session={old}; session=x"})
    assert refused == reason(way, {"Cookie": f"session={old}"})


@pytest.mark.parametrize("way", [session_way(), token_cookie_way()], ids=lambda way: type(way).__name__)
def test_a_flood_of_cookies_is_not_verified(way: Way) -> None:
    """A head may bring thousands, each of which would cost a signature, without any login."""
    good = session_cookie({"_user_id": "ming"}) if isinstance(way, SessionCookie) else token()
    stale = [f"session=stale-{number}" for number in range(MAX_COOKIES)]
    equal = [f"session={good}", "session="] * 1_000
    assert user(way, {"Cookie": "; ".join([*stale[1:], *equal])}) == "ming"
    assert reason(way, {"Cookie": "; ".join([*stale, *equal])}) == "the request has more than 16 cookies named session"


@pytest.mark.parametrize("empty", [(), ("",), ("good-secret", "")])
def test_empty_secrets_are_refused(empty: tuple[str, ...]) -> None:
    """An empty key or secret would let everybody in, so nothing can be built with one."""
    with pytest.raises(ValueError, match=r"^an empty secret would accept every request$"):
        Gateway(empty, user_header="X-Forwarded-User")
    with pytest.raises(ValueError, match="empty secret"):
        SessionCookie(empty, cookie="session", user_field="_user_id", max_age_s=60)
