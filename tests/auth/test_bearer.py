"""Tokens: in the page's own header, in a cookie, in a gateway's header; and those that are good once."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from authsvc.auth.authenticator import Authenticator, Way
from authsvc.auth.bearer import Assertion, Bearer, TokenCookie
from authsvc.auth.tokens import Token, TokenRules, Tokens
from authsvc.errors import KeysUnavailable, NotLoggedIn, NotLoggedInYet, StoreUnavailable
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.auth.logins import (
    NOW_MS,
    NOW_S,
    Asked,
    asking,
    at,
    gateway_way,
    reason,
    session_cookie,
    session_way,
    token,
    tokens,
    user,
)
from tests.conftest import Clock
from tests.support import keys
from tests.support.login_service import LoginService
from tests.support.made_up import GATEWAY_SECRET, JWT_KEY

pytestmark = pytest.mark.usefixtures("stopped_clock")


@pytest.fixture
def clock() -> Clock:
    """A clock that a test can move."""
    return Clock(NOW_MS)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store that was born a minute ago."""
    store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=clock)
    clock.now_ms -= 60_000
    store.ping()
    clock.now_ms += 60_000
    yield store
    store.close()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_a_bearer_token_logs_in(scheme: str) -> None:
    """The scheme's name is taken in any case, with one space after it or more."""
    assert user(Bearer(tokens()), {"Authorization": f"{scheme} {token()}"}) == "ming"
    assert user(Bearer(tokens()), {"Authorization": f"{scheme}   {token()}"}) == "ming"


@pytest.mark.parametrize(
    "authorization", ["Basic bWluZzpwYXNz", "Digest a=b, c=d", "Bearerish abc", "Token abc", "X-Token abc", " ", "abc"]
)
def test_another_scheme_is_no_bearer_token(authorization: str) -> None:
    """A credential for somebody else is left to somebody else."""
    assert reason(Bearer(tokens()), {"Authorization": authorization}).startswith("the request has no credentials")


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "bearer   "])
def test_a_bearer_without_token_is_refused(authorization: str) -> None:
    """The scheme Bearer requires a token."""
    expected = "the Authorization header has no token after Bearer"
    assert reason(Bearer(tokens()), {"Authorization": authorization}) == expected


def test_a_bearer_token_that_came_twice_is_refused() -> None:
    """Two Authorization headers, which WSGI joins by a comma, are refused even if they are equal."""
    one = f"Bearer {token()}"
    for joined in (f"{one},{one}", f"{one}, {one}", f"{one},Basic bWluZzpwYXNz", f"{one},"):
        assert reason(Bearer(tokens()), {"Authorization": joined}) == "Authorization contains a comma or was sent twice"


@pytest.mark.parametrize(
    "authorization",
    [
        *("Bearer\tx", "bearer\t", "Bearer,Bearer x", "Basic bWluZzpwYXNz,Bearer x", "Basic bWluZzpwYXNz, bearer x"),
        *("Digest a=b, c=d,Bearer", ",Bearer x", "\tBearer x", " Bearer x"),
    ],
)
def test_a_bearer_credential_anywhere_decides(authorization: str) -> None:
    """However it is written or joined to another, a good cookie beside it does not make up for it."""
    authenticator = Authenticator([Bearer(tokens()), session_way()], allowed_origins=frozenset())
    headers = {"Authorization": authorization, "Cookie": f"session={session_cookie({'_user_id': 'ming'})}"}
    expected = "^the Authorization header must be Bearer, a space and the token, and nothing else$"
    with pytest.raises(NotLoggedIn, match=expected):
        authenticator.authenticate(asking(headers), NOW_MS)
    headers["Authorization"] = "Digest a=b, c=bearer, d=bearers x"
    assert authenticator.authenticate(asking(headers), NOW_MS) == "ming"


def test_the_fault_of_a_bearer_token_is_reported() -> None:
    """The refusal is the one of the token's first fault."""
    assert reason(Bearer(tokens()), {"Authorization": f"Bearer {token(exp=NOW_S)}"}) == "the token has expired"
    assert reason(Bearer(tokens()), {"Authorization": "Bearer a b"}) == "the token is malformed"


def test_unavailable_keys_are_not_the_users_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the keys cannot be had, the caller hears so, and no later way is tried."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoginService() as login:
        away = Tokens.with_jwks(TokenRules(("RS256",)), login.url)
        authenticator = Authenticator([Bearer(away), gateway_way()], allowed_origins=frozenset())
        headers = {
            "Authorization": f"Bearer {token(keys.rsa(), 'RS256')}",
            "X-Gateway-Secret": GATEWAY_SECRET,
            "X-Forwarded-User": "hua",
        }
        with pytest.raises(KeysUnavailable):
            authenticator.authenticate(asking(headers), NOW_MS)


def test_a_single_use_token_is_good_once(store: Store) -> None:
    """The second time it is refused; a token with another id is not."""
    way = Bearer(tokens(), single_use=store)
    first = {"Authorization": f"Bearer {token(jti='one')}"}
    assert user(way, first) == "ming"
    assert reason(way, first) == "the token was already used; get a fresh token"
    assert reason(way, {"Authorization": f"Bearer {token(jti='one', sub='hua')}"}).startswith(
        "the token was already used"
    )
    assert user(way, {"Authorization": f"Bearer {token(jti='two')}"}) == "ming"


def test_single_use_holds_whichever_way_a_token_comes(store: Store) -> None:
    """A token that was used up in one place is good in no other, nor twice in any."""
    ways: list[Way] = [
        Bearer(tokens(), single_use=store),
        TokenCookie(tokens(), cookie="token", single_use=store),
        Assertion(tokens(), header="X-Jwt", single_use=store),
    ]
    authenticator = Authenticator(ways, allowed_origins=frozenset())

    def brought(jti: str) -> list[Asked]:
        text = token(jti=jti)
        return [
            asking(headers)
            for headers in (
                {"Authorization": f"Bearer {text}"},
                {"Cookie": f"token={text}"},
                {"X-Jwt": text},
                {"X-Jwt": f"Bearer {text}"},
            )
        ]

    for first in range(4):
        requests = brought(f"number-{first}")
        assert authenticator.authenticate(requests[first], NOW_MS) == "ming"
        for request in requests:
            with pytest.raises(NotLoggedIn, match="was already used"):
                authenticator.authenticate(request, NOW_MS)
    assert reason(ways[2], {"X-Jwt": token()}).startswith("the token must have a jti")


def test_a_token_is_used_as_often_as_you_like_unless_set() -> None:
    """Without the setting an id means nothing."""
    for _ in range(3):
        assert user(Bearer(tokens()), {"Authorization": f"Bearer {token(jti='one')}"}) == "ming"


def test_ids_of_different_issuers_do_not_collide(store: Store) -> None:
    """An id is an issuer's own; no choice of issuer and id makes two pairs one."""
    way = Bearer(tokens(), single_use=store)
    pairs = [
        ("a", "b"),
        ("", "ab"),
        ("ab", "c"),
        ("a", "bc"),
        ('a", "b', "c"),
        ("a", 'b", "c'),
        ("a:b", "c"),
        ("a", "b:c"),
    ]
    for issuer, jti in [*pairs, *((jti, issuer) for issuer, jti in pairs if issuer)]:
        assert user(way, {"Authorization": f"Bearer {token(iss=issuer, jti=jti)}"}) == "ming"
    assert reason(way, {"Authorization": f"Bearer {token(jti='ab')}"}).startswith(
        "the token was already used"
    )  # no issuer is ""


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({}, False),
        ({"jti": ""}, False),
        ({"jti": "j" * 256}, False),
        ({"jti": "j" * 255}, True),
        ({"jti": "号"}, True),
        ({"jti": 7}, True),
        ({"jti": None}, False),
    ],
)
def test_a_single_use_token_needs_an_id(store: Store, claims: dict[str, Any], is_good: bool) -> None:  # noqa: FBT001 -- a column
    """Without an id nothing could be remembered."""
    way, headers = Bearer(tokens(), single_use=store), {"Authorization": f"Bearer {token(**claims)}"}
    if is_good:
        assert user(way, headers) == "ming"
    else:
        expected = "the token must have a jti of 1 to 255 characters, because it can be used only once"
        assert reason(way, headers) == expected


def test_a_forged_token_uses_nothing_up(store: Store) -> None:
    """Whoever knows an id but not the key cannot spoil the true token."""
    way = Bearer(tokens(), single_use=store)
    for forged in (token("e" * 32, jti="one"), token(jti="one", exp=NOW_S), token(jti="one", sub="")):
        with pytest.raises(NotLoggedIn):
            user(way, {"Authorization": f"Bearer {forged}"})
    assert user(way, {"Authorization": f"Bearer {token(jti='one')}"}) == "ming"


def test_a_claim_on_a_token_outlives_the_token(store: Store, clock: Clock) -> None:
    """The claim outlives the token and its leeway by a minute, for clocks that differ."""
    way = Bearer(tokens(leeway_s=30), single_use=store)
    headers = {"Authorization": f"Bearer {token(jti='one')}"}
    user(way, headers)
    key = f"jti:{hashlib.sha256(json.dumps(['', 'one']).encode()).hexdigest()}"
    clock.now_ms = (NOW_S + 300 + 30 + 60) * 1000 - 1
    store.ping()  # a write, at which a store forgets what has expired
    assert store.get(key) is not None
    clock.now_ms += 1
    store.ping()
    assert store.get(key) is None, "and not for ever"


@pytest.mark.parametrize(("iat_s", "is_good"), [(NOW_S - 62, False), (NOW_S - 61, False), (NOW_S - 60, True)])
def test_a_token_older_than_the_stores_memory(store: Store, iat_s: int, is_good: bool) -> None:  # noqa: FBT001 -- a column
    """A token issued before the second in which the store was born may have been used, and forgotten."""
    way, headers = Bearer(tokens(), single_use=store), {"Authorization": f"Bearer {token(jti='one', iat=iat_s)}"}
    if is_good:
        assert user(way, headers) == "ming"
    else:
        assert reason(way, headers) == "the token is older than the store's records; get a fresh token"


def test_single_use_needs_the_store(tmp_path: Path, clock: Clock) -> None:
    """Whether a token was used cannot be known, so it is neither accepted nor called bad."""
    (tmp_path / "file").touch()
    away = open_store(f"sqlite://{tmp_path}/file/store.db", now_ms=clock)
    with pytest.raises(StoreUnavailable):
        user(Bearer(tokens(), single_use=away), {"Authorization": f"Bearer {token(jti='one')}"})


def test_of_many_uses_at_once_one_wins(store: Store) -> None:
    """However many threads bring the token, it is good once."""
    authenticator = Authenticator([Bearer(tokens(), single_use=store)], allowed_origins=frozenset())
    headers = {"Authorization": f"Bearer {token(jti='one')}"}

    def is_let_in(_: int) -> bool:
        try:
            authenticator.authenticate(asking(headers), NOW_MS)
        except NotLoggedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_let_in, range(16))) == 1


def test_a_token_in_a_cookie() -> None:
    """It is what it is in a header, and the cookie of that very name counts."""
    way = TokenCookie(tokens(), cookie="access_token")
    assert user(way, {"Cookie": f"a=b; access_token={token()}"}) == "ming"
    assert reason(way, {"Cookie": f"access_token={token(exp=NOW_S)}"}) == "the token has expired"
    assert (
        reason(way, {"Cookie": f"token={token()}"})
        == "the request has no credentials; accepted: the cookie access_token"
    )
    assert reason(way, {"Cookie": "access_token="}).startswith("the request has no credentials")


def test_a_token_from_the_future_is_not_cached() -> None:
    """It is good as soon as its time has come."""
    way, headers = Bearer(tokens()), {"Authorization": f"Bearer {token(nbf=NOW_S + 6)}"}
    with pytest.raises(NotLoggedInYet):
        user(way, headers)
    with at(NOW_S + 1):
        assert user(way, headers, now_ms=NOW_MS + 1000) == "ming"


class Counted(Tokens):
    """Verifies tokens as they are verified here, and counts them."""

    verified = 0

    def verify(self, token: str) -> Token:
        self.verified += 1
        return super().verify(token)


def test_a_token_is_verified_once_a_minute() -> None:
    """A page that asks often does not cost a verification each time."""
    counted = Counted.with_key(TokenRules(("HS256",)), JWT_KEY)
    way, headers = Bearer(counted), {"Authorization": f"Bearer {token()}"}
    for later_ms in (0, 1, 59_999, 60_000, 60_001):
        assert user(way, headers, now_ms=NOW_MS + later_ms) == "ming"
    assert counted.verified == 2


@pytest.mark.parametrize(
    ("make", "header"),
    [
        (lambda counted: TokenCookie(counted, cookie="token"), lambda token: {"Cookie": f"token={token}"}),
        (lambda counted: Assertion(counted, header="X-Jwt"), lambda token: {"X-Jwt": f"Bearer {token}"}),
    ],
    ids=["token-cookie", "assertion"],
)
def test_a_token_elsewhere_is_verified_once_a_minute(
    make: Callable[[Tokens], Way], header: Callable[[str], dict[str, str]]
) -> None:
    """In a cookie or a gateway's header it costs no more than in the page's own; each token is its own."""
    counted = Counted.with_key(TokenRules(("HS256",)), JWT_KEY)
    way = make(counted)
    for later_ms in (0, 1, 59_999, 60_000, 60_001):
        assert user(way, header(token()), now_ms=NOW_MS + later_ms) == "ming"
    assert counted.verified == 2
    assert user(way, header(token(sub="hua")), now_ms=NOW_MS) == "hua"


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer ", "Bearer  "])
def test_an_assertion_logs_in(prefix: str) -> None:
    """The gateway's token is taken from the header that is set, with Bearer before it or without."""
    way = Assertion(tokens(), header="X-Pomerium-Jwt-Assertion")
    assert user(way, {"X-Pomerium-Jwt-Assertion": prefix + token()}) == "ming"


def test_an_assertion_in_another_header_is_none() -> None:
    """Only the header that is set counts."""
    way = Assertion(tokens(), header="X-Pomerium-Jwt-Assertion")
    headers = {"X-Goog-Iap-Jwt-Assertion": token(), "Authorization": f"Bearer {token()}"}
    expected = "the request has no credentials; accepted: X-Pomerium-Jwt-Assertion from the gateway"
    assert reason(way, headers) == expected


def test_a_bad_assertion_is_refused() -> None:
    """An empty, expired, forged or doubled assertion is refused."""
    way = Assertion(tokens(), header="X-Jwt")
    assert reason(way, {"X-Jwt": ""}) == "the token is malformed"
    assert reason(way, {"X-Jwt": "Bearer"}) == "the token is malformed"
    assert reason(way, {"X-Jwt": token(exp=NOW_S)}) == "the token has expired"
    assert reason(way, {"X-Jwt": token("e" * 32)}) == "the token's signature does not match"
    assert reason(way, {"X-Jwt": f"{token()},{token()}"}) == "X-Jwt contains a comma or was sent twice"
