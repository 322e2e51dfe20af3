"""IM usernames: as the vendor takes them, and never those of two users."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.vendor.usernames import readable

VENDOR_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}", re.ASCII)


@pytest.mark.parametrize("user_id", ["ming", "1234", "a.b-c_d@e.example", "a" * 128, "0000", "id_1", "sha1"])
def test_an_id_that_the_vendor_takes_is_the_name(user_id: str) -> None:
    """Most user ids are IM usernames as they are."""
    assert readable(user_id) == user_id


@pytest.mark.parametrize(
    ("user_id", "username"),
    [
        ("7", "id-7"),
        ("bob", "id-bob"),
        ("_ming", "id-_ming"),
        ("小明", "id--E5-B0-8F-E6-98-8E"),
        ("a b/c", "id-a-20b-2Fc"),
        ("id-7", "id-id-2D7"),
        ("sha-1", "id-sha-2D1"),
        ("a-b", "id-a-2Db"),
        ("ming\n", "id-ming-0A"),
        ("Ming", "id--4Ding"),
        ("ID-7", "id--49-44-2D7"),
        ("Sha-1", "id--53ha-2D1"),
    ],
)
def test_any_other_id_becomes_a_readable_name(user_id: str, username: str) -> None:
    """Other bytes are escaped behind a prefix, so that the user is still recognizable."""
    assert readable(user_id) == username


def test_a_very_long_id() -> None:
    """What is too long even so becomes its beginning and a digest."""
    name = readable("明" * 100)
    assert name.startswith("sha--E6-98-8E")
    assert len(name) <= 128
    assert name != readable("明" * 101)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
@example("id-7", "7")
@example("id--E5-B0-8F-E6-98-8E", "小明")
@example("a" * 128, "a" * 129)
@example("ming", "Ming")
@example("id-7", "ID-7")
@example("id--4Ding", "Ming")
@example("id--4ding", "Ming")
def test_names_keep_the_vendors_rule_and_never_collide(one: str, other: str) -> None:
    """Two users never share an account, whatever their ids, nor would they if the vendor compared without case."""
    for user_id in (one, other):
        assert VENDOR_RULE.fullmatch(readable(user_id))
    assert (readable(one).casefold() == readable(other).casefold()) is (one == other)


def test_a_name_is_nobody_elses_id() -> None:
    """A user cannot choose an id that is the name made for another: plain ids never begin with the prefixes."""
    for user_id in ("7", "小明", "明" * 100):
        assert readable(readable(user_id)) != readable(user_id)
