"""The accounts that the sandbox knows."""

import pytest

from authsvc.sandbox.state import State
from authsvc.sandbox.users import Users, md5_of
from tests.made_up import APPKEY


def test_an_account() -> None:
    """It has one password at a time, and belongs to one app."""
    users = Users(State())
    users.add(APPKEY, "ming", md5_of("one word"))
    assert users.is_known(APPKEY, "ming")
    assert not users.is_known("another", "ming")
    assert users.is_password(APPKEY, "ming", md5_of("one word").upper())
    assert not users.is_password("another", "ming", md5_of("one word"))
    users.set_password(APPKEY, "ming", md5_of("another"))
    assert not users.is_password(APPKEY, "ming", md5_of("one word"))
    assert users.is_password(APPKEY, "ming", md5_of("another"))


def test_nobody_is_known() -> None:
    """Nobody has an account who was not given one; an empty password opens nothing, whatever its letters."""
    users = Users(State())
    assert not users.is_password(APPKEY, "ming", md5_of(""))
    assert not users.is_password(APPKEY, "ming", "极光")
    with pytest.raises(KeyError):
        users.set_password(APPKEY, "ming", md5_of("word"))


def test_no_name_twice() -> None:
    """A username is given once."""
    users = Users(State())
    users.add(APPKEY, "ming", md5_of("word"))
    with pytest.raises(KeyError):
        users.add(APPKEY, "ming", md5_of("word"))


@pytest.mark.parametrize("username", ["min", "m" * 129, "-ming", "ming!", "小明小明", "", "ming\n"])
def test_names_that_the_vendor_does_not_take(username: str) -> None:
    """4 to 128 of its characters, the first a letter or digit."""
    with pytest.raises(ValueError, match="username: must be 4 to 128"):
        Users(State()).add(APPKEY, username, md5_of("word"))


@pytest.mark.parametrize("username", ["ming", "m" * 128, "7-_.@"])
def test_names_that_it_takes(username: str) -> None:
    """The boundaries, and every character."""
    users = Users(State())
    users.add(APPKEY, username, md5_of("word"))
    assert users.is_known(APPKEY, username)
