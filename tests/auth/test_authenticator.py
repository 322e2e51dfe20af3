"""Who counts as logged in: the order of the ways, and the same-site rule over them."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.auth.authenticator import Authenticator, Way
from authsvc.auth.bearer import Assertion, Bearer
from authsvc.auth.gateway import Gateway
from authsvc.errors import CrossSite, InvalidRequest, NotLoggedIn
from tests.auth.logins import (
    NOW_MS,
    Handmade,
    asking,
    gateway_way,
    session_cookie,
    session_way,
    token,
    token_cookie_way,
    tokens,
)
from tests.support.made_up import GATEWAY_SECRET

pytestmark = pytest.mark.usefixtures("stopped_clock")


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_a_header_that_was_emptied(name: str) -> None:
    """A server may drop what it cannot read, so an empty header may have been a bad login: no later one counts."""
    for ways in (all_ways(), [session_way(), *all_ways()]):
        removed = "is empty, or contains non-ASCII bytes, which the server removes"
        with pytest.raises(InvalidRequest, match=f"^{name}: {removed}$"):
            Authenticator(ways, allowed_origins=frozenset()).authenticate(
                asking(GOOD["assertion"]() | GOOD["gateway"]() | {name: ""}), NOW_MS
            )


@pytest.mark.parametrize("value", [",Basic eDp4", ", Bearer x", ";theme=dark"])
def test_one_of_several_headers_that_was_emptied(value: str) -> None:
    """A server may join what it has emptied with the next of its name."""
    name = "Cookie" if ";" in value else "Authorization"
    authenticator = Authenticator([session_way(), Bearer(tokens()), gateway_way()], allowed_origins=frozenset())
    with pytest.raises((InvalidRequest, NotLoggedIn), match=r"is empty, or contains|and nothing else"):
        authenticator.authenticate(asking(GOOD["gateway"]() | {name: value}), NOW_MS)


def test_a_way_is_spoiled_by_its_own_headers_alone() -> None:
    """An assertion counts beside a cookie with bytes beyond ASCII where no session could have been in it."""
    authenticator = Authenticator([Bearer(tokens()), Assertion(tokens(), header="X-Jwt")], allowed_origins=frozenset())
    assert authenticator.authenticate(asking(GOOD["assertion"]() | {"Cookie": ""}), NOW_MS) == "by-assertion"


@pytest.mark.parametrize(
    ("way", "emptied"), [("bearer", "Cookie"), ("gateway", "Cookie"), ("gateway", "Authorization")]
)
def test_the_first_way_needs_no_other_header(way: str, emptied: str) -> None:
    """Many a site has a cookie with bytes beyond ASCII: a credential that is looked for first counts beside it."""
    first = [one for one in all_ways() if type(one).__name__.lower() == way]
    authenticator = Authenticator([*first, session_way()], allowed_origins=frozenset())
    assert authenticator.authenticate(asking(GOOD[way]() | {emptied: ""}), NOW_MS) == f"by-{way}"


@pytest.mark.parametrize("other", ["x", "session=x; session=y", "theme=session"])
def test_a_cookie_does_not_spoil_a_token(authenticator: Authenticator, other: str) -> None:
    """Whoever brings a good Bearer token is its user, whatever cookies a browser adds; none of them names another."""
    for cookie in (other, f"{other}; session={session_cookie({'_user_id': 'eve'})}"):
        found = authenticator.authenticate(asking(GOOD["bearer"]() | {"Cookie": cookie}), NOW_MS)
        assert found == "by-bearer"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Authorization", "X-Jwt", "X-Gateway-Secret", "X-Forwarded-User", "Cookie", "X-Forwarded-For"]
            ),
            st.sampled_from(["bearer", "session", "assertion", "gateway"]),
            st.sampled_from(
                ["{}", "{}", "Bearer {}", "{}, {}", "{},", " {}", '"{}"', "session={}", "Basic {}", "{}\t"]
            ),
        ),
        max_size=4,
    )
)
def test_credentials_in_each_others_places(placed: list[tuple[str, str, str]]) -> None:
    """A token, a cookie, a secret or a name in a header that is another's makes nobody a user but its own."""
    credentials = {f"by-{way}": next(iter(good().values())) for way, good in GOOD.items()}
    headers = {header: form.replace("{}", credentials[f"by-{way}"]) for header, way, form in placed}
    try:
        found = Authenticator(all_ways(), allowed_origins=frozenset()).authenticate(asking(headers), NOW_MS)
    except NotLoggedIn:
        return
    own = credentials.get(found, "none").removeprefix("session=")
    if any(own in headers.get(place, "") for place in ("Authorization", "Cookie", "X-Jwt")):
        return
    assert headers["X-Gateway-Secret"] == GATEWAY_SECRET
    assert headers["X-Forwarded-User"] == found


@pytest.mark.parametrize("value", ["\ud800", "用户", "Bearer \ud800", "Bearer 用户"])
@pytest.mark.parametrize(
    "way",
    [Bearer(tokens()), session_way(), token_cookie_way(), Assertion(tokens(), header="X-Jwt"), gateway_way()],
    ids=lambda way: type(way).__name__,
)
def test_text_that_wsgi_would_never_pass(way: Way, value: str) -> None:
    """Characters beyond Latin-1 and lone surrogates are refused, never replaced by others."""
    with pytest.raises(NotLoggedIn) as refused:
        Authenticator([way], allowed_origins=frozenset()).authenticate(Handmade(value), NOW_MS)
    if isinstance(way, Gateway):
        assert refused.value.detail == "the server did not decode X-Forwarded-User as WSGI requires"


GOOD: dict[str, Callable[[], dict[str, str]]] = {
    "bearer": lambda: {"Authorization": f"Bearer {token(sub='by-bearer')}"},
    "session": lambda: {"Cookie": f"session={session_cookie({'_user_id': 'by-session'})}"},
    "assertion": lambda: {"X-Jwt": token(sub="by-assertion")},
    "gateway": lambda: {"X-Gateway-Secret": GATEWAY_SECRET, "X-Forwarded-User": "by-gateway"},
}
BAD: dict[str, dict[str, str]] = {
    "bearer": {"Authorization": "Bearer x"},
    "session": {"Cookie": "session=x"},
    "assertion": {"X-Jwt": "x"},
    "gateway": {"X-Gateway-Secret": "x", "X-Forwarded-User": "by-gateway"},
}
AMBIENT = ("session", "assertion", "gateway")


@pytest.fixture
def authenticator() -> Authenticator:
    """All four ways, in their order."""
    return Authenticator(all_ways(), allowed_origins=frozenset({"https://app.example"}))


def all_ways() -> list[Way]:
    """Return the four ways."""
    return [Bearer(tokens()), session_way(), Assertion(tokens(), header="X-Jwt"), gateway_way()]


@pytest.mark.parametrize("states", list(itertools.product(["none", "good", "bad"], repeat=4)), ids=" ".join)
def test_the_first_credential_decides(authenticator: Authenticator, states: tuple[str, ...]) -> None:
    """Of all that a request brings, the first way's credential decides: if it is bad, no other one helps."""
    headers: dict[str, str] = {}
    for way, state in zip(GOOD, states, strict=True):
        headers |= {"none": dict, "good": GOOD[way], "bad": BAD[way].copy}[state]()
    first = next(((way, state) for way, state in zip(GOOD, states, strict=True) if state != "none"), None)
    if first is not None and first[1] == "good":
        assert authenticator.authenticate(asking(headers), NOW_MS) == f"by-{first[0]}"
    else:
        with pytest.raises(NotLoggedIn) as refused:
            authenticator.authenticate(asking(headers), NOW_MS)
        assert refused.value.detail.startswith("the request has no credentials") == (first is None)


def test_a_request_without_login_gets_the_accepted_credentials(authenticator: Authenticator) -> None:
    """The refusal names every accepted way."""
    with pytest.raises(NotLoggedIn) as refused:
        authenticator.authenticate(asking(), NOW_MS)
    assert refused.value.detail == (
        "the request has no credentials; accepted: Authorization: Bearer <token>, or the cookie session, "
        "or X-Jwt from the gateway, or X-Forwarded-User from the gateway"
    )


def test_the_ways_can_be_replaced(authenticator: Authenticator) -> None:
    """After a change of settings the new ways count, and the old no more."""
    authenticator.replace([gateway_way("made-up-new-secret")])
    for old in GOOD.values():
        with pytest.raises(NotLoggedIn):
            authenticator.authenticate(asking(old()), NOW_MS)
    new = {"X-Gateway-Secret": "made-up-new-secret", "X-Forwarded-User": "hua"}
    assert authenticator.authenticate(asking(new), NOW_MS) == "hua"


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://blog.sign.example", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-site"},
]
SAME_SITE: list[dict[str, str]] = [
    {},
    {"Origin": "https://sign.example"},
    {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://app.example", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("way", AMBIENT)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "MADEUP"])
@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_another_sites_page_cannot_use_a_login_that_comes_by_itself(
    authenticator: Authenticator, way: str, method: str, origin: dict[str, str]
) -> None:
    """What the browser or the gateway adds to every request does not count for another site's."""
    with pytest.raises(CrossSite):
        authenticator.authenticate(asking(GOOD[way]() | origin, method=method), NOW_MS)


@pytest.mark.parametrize("way", GOOD)
@pytest.mark.parametrize("origin", SAME_SITE, ids=str)
def test_the_sites_own_pages_and_allowed_ones_can(
    authenticator: Authenticator, way: str, origin: dict[str, str]
) -> None:
    """Own pages, allowed origins and clients that are no browsers are let in by every way."""
    assert authenticator.authenticate(asking(GOOD[way]() | origin), NOW_MS) == f"by-{way}"


@pytest.mark.parametrize("way", GOOD)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_may_come_from_anywhere(authenticator: Authenticator, way: str, method: str) -> None:
    """Pictures are fetched by pages of other sites, and CORS keeps them from reading more."""
    assert authenticator.authenticate(asking(GOOD[way]() | CROSS_SITE[1], method=method), NOW_MS) == f"by-{way}"


@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_a_token_in_a_cookie_is_under_the_same_site_rule(origin: dict[str, str]) -> None:
    """The browser adds it by itself; it stands after a Bearer token and before a session."""
    authenticator = Authenticator(
        [Bearer(tokens()), token_cookie_way(), gateway_way()], allowed_origins={"https://app.example"}
    )
    cookie = {"Cookie": f"session={token(sub='by-cookie')}"}
    for own in SAME_SITE:
        assert authenticator.authenticate(asking(cookie | own), NOW_MS) == "by-cookie"
    with pytest.raises(CrossSite):
        authenticator.authenticate(asking(cookie | origin), NOW_MS)
    assert authenticator.authenticate(asking(GOOD["bearer"]() | cookie | origin), NOW_MS) == "by-bearer"


@pytest.mark.parametrize("origin", CROSS_SITE, ids=str)
def test_a_bearer_token_is_good_from_anywhere(authenticator: Authenticator, origin: dict[str, str]) -> None:
    """No browser adds it by itself, so whoever sends it has it, even beside a cookie."""
    headers = GOOD["bearer"]() | GOOD["session"]() | origin
    assert authenticator.authenticate(asking(headers), NOW_MS) == "by-bearer"


@pytest.mark.parametrize("way", AMBIENT)
def test_a_bad_login_of_another_site_is_a_bad_login(authenticator: Authenticator, way: str) -> None:
    """The credential is looked at first."""
    with pytest.raises(NotLoggedIn):
        authenticator.authenticate(asking(BAD[way] | CROSS_SITE[0]), NOW_MS)
