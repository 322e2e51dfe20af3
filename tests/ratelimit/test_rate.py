"""A rate, read from text and written as text."""

import pytest

from authsvc.ratelimit.rate import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/second", Rate(1, 1_000)),
        ("60/minute", Rate(60, 60_000)),
        ("999999999/hour", Rate(999_999_999, 3_600_000)),
    ],
)
def test_rate(text: str, rate: Rate) -> None:
    """A number and a unit, written as it was read."""
    assert Rate.parse(text) == rate
    assert str(rate) == text


@pytest.mark.parametrize(
    "text", ["", "60", "0/minute", "-1/minute", "60/day", "60 / minute", "6e1/minute", "60/minutes", "１/minute", "1/"]
)
def test_no_rate(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match=r"^must be a number and a unit, like 60/minute \(second, minute, hour\)$"):
        Rate.parse(text)
