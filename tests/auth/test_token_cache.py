"""Whose a token was found to be: for how long that is remembered, and of how many."""

import pytest

from authsvc.auth.token_cache import LIFE_MS, MAX_TOKENS, TokenCache

NOW_MS = 1_750_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def remembered() -> TokenCache[str]:
    """Nothing yet."""
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
def test_for_a_minute(remembered: TokenCache[str], expires_ms: int, later_ms: int, *, is_known: bool) -> None:
    """From when it was verified until a minute has passed or it expires, to the millisecond."""
    remembered.add("Bearer a", "ming", expires_ms=NOW_MS + expires_ms, now_ms=NOW_MS)
    assert remembered.find("Bearer a", NOW_MS + later_ms) == ("ming" if is_known else None)
    for other in ("Bearer A", "Bearer 用户"):
        assert remembered.find(other, NOW_MS) is None


def test_verified_again(remembered: TokenCache[str]) -> None:
    """The minute begins anew, and the user is the one that it was found to belong to last."""
    for user_id, at_ms in (("ming", NOW_MS), ("hua", NOW_MS + LIFE_MS)):
        remembered.add("Bearer a", user_id, expires_ms=NOW_MS + HOUR_MS, now_ms=at_ms)
    assert remembered.find("Bearer a", NOW_MS + 2 * LIFE_MS - 1) == "hua"
    assert len(remembered) == 1


def test_bounded(remembered: TokenCache[str]) -> None:
    """Of too many, the one that was verified longest ago is forgotten."""
    for number in (*range(MAX_TOKENS), 0):
        remembered.add(f"Bearer {number}", f"{number}", expires_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    assert len(remembered) == MAX_TOKENS
    remembered.add("Bearer new", "new", expires_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    assert len(remembered) == MAX_TOKENS
    assert [remembered.find(f"Bearer {name}", NOW_MS) for name in (0, 1, 2, "new")] == ["0", None, "2", "new"]
