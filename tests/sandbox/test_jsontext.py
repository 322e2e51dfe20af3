"""JSON from outside."""

import json

import pytest

from authsvc.sandbox import jsontext


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, -2.5, "小明 😀", null, true]}',
        '"\\ud83d\\ude00"',
        "[" * 50 + "]" * 50,
        "18446744073709551615",
        "123456789012345678901234567890.0",
        '"[[["',
    ],
)
def test_what_is_taken(text: str) -> None:
    """As json reads it."""
    assert jsontext.parse(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[-Infinity]",
        "1e999",
        "-1e999",
        '"\\ud800"',
        '{"\\udfff": 1}',
        "[" * 51 + "]" * 51,
        '{"a":' * 60 + "1" + "}" * 60,
        "[" * 100_000,
    ],
)
def test_what_is_not(text: str) -> None:
    """What could not be written again, to a page or to a file, is no JSON here."""
    with pytest.raises(ValueError):  # noqa: PT011 -- any of them
        jsontext.parse(text)


def test_many_brackets_that_are_not_deep() -> None:
    """A long flat list is taken."""
    text = json.dumps([[1], {"a": 2}] * 100)
    assert jsontext.parse(text) == json.loads(text)
