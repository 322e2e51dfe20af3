"""Accounts and connections, as every subject of the sandbox finds them."""

import pytest

from authsvc.sandbox import core as core_module
from authsvc.sandbox.chat.users import delete, md5_of, set_password
from authsvc.sandbox.connection import Socket
from authsvc.sandbox.core import Answers, Clock, Core, Line, is_password
from authsvc.sandbox.files import Files
from authsvc.sandbox.state import State, Storage
from tests.support.made_up import APPKEY


@pytest.fixture
def core() -> Core:
    """An empty one, at a time of its own."""
    return Core(State(), Files(Storage(), {}), Clock(lambda: 1_750_000_000_000), "http://127.0.0.1:8100")


def test_an_account(core: Core) -> None:
    """It has one password at a time, and belongs to one app."""
    user = core.add_user(APPKEY, "ming", md5_of("one word"))
    assert core.find(APPKEY, "ming") is user
    assert core.find("another", "ming") is None
    assert is_password(user, md5_of("one word").upper())
    set_password(core, user, md5_of("another"))
    assert not is_password(user, md5_of("one word"))
    assert not is_password(user, "极光")
    delete(core, user)
    assert core.find(APPKEY, "ming") is None


def test_no_name_twice(core: Core) -> None:
    """A username is given once in an app."""
    core.add_user(APPKEY, "ming", md5_of("word"))
    core.add_user("another", "ming", md5_of("word"))
    with pytest.raises(KeyError):
        core.add_user(APPKEY, "ming", md5_of("word"))


@pytest.mark.parametrize("username", ["min", "m" * 129, "-ming", "ming!", "小明小明", "", "ming\n"])
def test_names_that_the_vendor_does_not_take(core: Core, username: str) -> None:
    """4 to 128 of its characters, the first a letter or digit."""
    with pytest.raises(ValueError, match="username: must be 4 to 128"):
        core.add_user(APPKEY, username, md5_of("word"))


@pytest.mark.parametrize("username", ["ming", "m" * 128, "7-_.@"])
def test_names_that_it_takes(core: Core, username: str) -> None:
    """The boundaries, and every character."""
    assert core.add_user(APPKEY, username, md5_of("word")).username == username


def test_accounts_are_bounded(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that registers does not fill the memory."""
    monkeypatch.setattr(core_module, "MAX_USERS", 2)
    for number in range(2):
        core.add_user(APPKEY, f"user{number}", md5_of("word"))
    with pytest.raises(ValueError, match="username: the sandbox keeps 2 users"):
        core.add_user(APPKEY, "user2", md5_of("word"))


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"nickname": "小" * 22}, "nickname: must be text of at most 64 bytes"),
        ({"address": 7}, "address: must be text of at most 250 bytes"),
        ({"gender": 3}, "gender: must be 0, 1 or 2"),
        ({"gender": 1.0}, "gender: must be 0, 1 or 2"),
        ({"gender": True}, "gender: must be 0, 1 or 2"),
        ({"extras": []}, "extras: must be an object of at most 512 bytes"),
        ({"extras": {"key": "x" * 512}}, "extras: must be an object of at most 512 bytes"),
    ],
)
def test_profiles_that_are_none(core: Core, profile: dict[str, object], reason: str) -> None:
    """The member and the rule are named."""
    with pytest.raises(ValueError, match=reason):
        core.add_user(APPKEY, "ming", md5_of("word"), **profile)


def test_numbers(core: Core) -> None:
    """No number is given twice, whatever it is for, and they are as long as the vendor's."""
    numbers = [core.new_id() for _ in range(100)]
    assert len(set(numbers)) == 100
    assert all(len(str(number)) == 10 for number in numbers)


def test_leaving_without_having_come(core: Core) -> None:
    """A connection that nobody logged in on ends like any other."""
    line = Line(Socket())
    core.leave(line)
    core.notify_devices(line, {})
    assert core.online == {}


def test_answers_are_bounded() -> None:
    """The latest are kept."""
    answers = Answers()
    for number in range(100):
        answers.keep(number, b"")
    assert list(answers) == list(range(100 - core_module.KEPT_ANSWERS, 100))
