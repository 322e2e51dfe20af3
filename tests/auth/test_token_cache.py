"""The token cache: how long it keeps a user, and of how many credentials."""

import pytest

from authsvc.auth.token_cache import LIFE_MS, MAX_TOKENS, TokenCache

NOW_MS = 1_750_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def cache() -> TokenCache[str]:
    """An empty cache."""
    return TokenCache[str]()


@pytest.mark.parametrize(
    ("expires_ms", "later_ms", "is_known"),
    [
        (HOUR_MS, 0, True),
        (HOUR_MS, LIFE_MS - 1, True),
        (HOUR_MS, LIFE_MS, False),
        (HOUR_MS, -1, False),
        (5_000, 4_999, True),
        (5_000, 5_000, False),
    ],
)
def test_for_a_minute(cache: TokenCache[str], expires_ms: int, later_ms: int, *, is_known: bool) -> None:
    """From when it was verified until a minute has passed or it expires, to the millisecond."""
    cache.add("Bearer a", "ming", expires_ms=NOW_MS + expires_ms, now_ms=NOW_MS)
    assert cache.find("Bearer a", NOW_MS + later_ms) == ("ming" if is_known else None)
    for other in ("Bearer A", "Bearer 用户"):
        assert cache.find(other, NOW_MS) is None


def test_verified_again(cache: TokenCache[str]) -> None:
    """The minute begins anew, and the user is the one that it was found to belong to last."""
    for user_id, at_ms in (("ming", NOW_MS), ("hua", NOW_MS + LIFE_MS)):
        cache.add("Bearer a", user_id, expires_ms=NOW_MS + HOUR_MS, now_ms=at_ms)
    assert cache.find("Bearer a", NOW_MS + 2 * LIFE_MS - 1) == "hua"
    assert len(cache) == 1


def test_any_text(cache: TokenCache[str]) -> None:
    """A server that does not decode headers as WSGI requires may give text that is not Latin-1."""
    cache.add("session=a; name=用户", "ming", expires_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    assert cache.find("session=a; name=用户", NOW_MS) == "ming"
    assert cache.find("session=b; name=用户", NOW_MS) is None


def test_expired_at_once(cache: TokenCache[str]) -> None:
    """What must be verified each time takes no other's place."""
    for _ in range(2):
        assert cache.user("a", NOW_MS, lambda _: ("ming", NOW_MS)) == "ming"
    assert len(cache) == 0


def test_bounded(cache: TokenCache[str]) -> None:
    """Of too many, the one that was verified longest ago is forgotten."""
    for number in (*range(MAX_TOKENS), 0):
        cache.add(f"Bearer {number}", f"{number}", expires_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    assert len(cache) == MAX_TOKENS
    cache.add("Bearer new", "new", expires_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    assert len(cache) == MAX_TOKENS
    assert [cache.find(f"Bearer {name}", NOW_MS) for name in (0, 1, 2, "new")] == ["0", None, "2", "new"]


def test_verified_once_a_minute(cache: TokenCache[str]) -> None:
    """A credential is verified at first sight and after a minute; then the user and the expiry are the new ones."""
    verified = []

    def verify(credential: str) -> tuple[str, int]:
        verified.append(credential)
        return f"user-{len(verified)}", NOW_MS + HOUR_MS

    users = [cache.user("Bearer a", NOW_MS + later_ms, verify) for later_ms in (0, LIFE_MS - 1, LIFE_MS, LIFE_MS + 1)]
    assert users == ["user-1", "user-1", "user-2", "user-2"]
    assert verified == ["Bearer a"] * 2


def test_cached_until_the_expiry(cache: TokenCache[str]) -> None:
    """The expiry that the verification returns ends the minute."""
    assert cache.user("Bearer a", NOW_MS, lambda _: ("ming", NOW_MS + 5_000)) == "ming"
    assert cache.find("Bearer a", NOW_MS + 4_999) == "ming"
    assert cache.find("Bearer a", NOW_MS + 5_000) is None


def test_credential_without_user_is_not_cached(cache: TokenCache[str]) -> None:
    """A session before its login has no user; the next request verifies it again."""
    assert cache.user("session", NOW_MS, lambda _: (None, NOW_MS + HOUR_MS)) is None
    assert len(cache) == 0
    assert cache.user("session", NOW_MS, lambda _: ("ming", NOW_MS + HOUR_MS)) == "ming"
