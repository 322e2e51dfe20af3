"""Friends, black list, no-disturb, shield."""

import json
from collections.abc import Callable

import pytest

from authsvc.sandbox.chat import friends, lists
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page, message

Opener = Callable[..., Page]


def invite(one: Page, other: Page) -> None:
    one.do("add_friend", target_name=other.username, why="hello", from_type=1)
    assert other.notified(5)["extra"] == 1


def accept(other: Page, one: Page) -> None:
    other.do("add_friend", target_name=one.username, why="yes", from_type=2)
    assert one.notified(5)["return_code"] == 0


def test_accepted(ming: Page, omar: Page, page: Opener) -> None:
    """Both are friends then; the other devices of who accepts learn of it."""
    phone = page("omar", platform="a")
    ming.do("update_user_inf", avatar="qiniu/image/r/1.png")
    ming.do("add_friend", target_name="omar", why="it is me", from_type=1)
    event = omar.notified(5)
    assert (event["extra"], event["description"], event["from_username"]) == (1, "it is me", "ming")
    omar.do("add_friend", target_name="ming", why="yes", from_type=2)
    event = ming.notified(5)
    assert (event["extra"], event["return_code"], event["description"]) == (2, 0, "yes")
    assert phone.notified(5)
    event = phone.notified(100)
    assert (event["extra"], event["media_id"]) == (5, "qiniu/image/r/1.png")  # the friend's picture, not one's own
    for one, other in ((ming, "omar"), (omar, "ming")):
        (friend,) = one.do("get_friend_list")["friend_list"]
        assert (friend["username"], friend["memo_name"], friend["memo_others"]) == (other, "", "")
        assert len(str(friend["mtime"])) == 10
    assert ming.refused("add_friend", target_name="omar", why="", from_type=1) == 881302
    assert omar.refused("add_friend", target_name="ming", why="yes", from_type=2) == 881305


def test_declined(ming: Page, omar: Page) -> None:
    """Anything but yes is a no, with its reason."""
    invite(ming, omar)
    omar.do("add_friend", target_name="ming", why="who are you", from_type=2)
    event = ming.notified(5)
    assert (event["extra"], event["description"]) == (2, "who are you")
    assert event["return_code"] != 0
    assert ming.do("get_friend_list") == {"friend_list": []}


def test_noted_and_removed(ming: Page, omar: Page, page: Opener) -> None:
    """A note is one's own; its event has JSON text, which the SDK parses."""
    phone = page("ming", platform="a")
    assert ming.refused("update_friend_memo", target_name="omar", memo_name="O") == 881303
    assert ming.refused("del_friend", target_name="omar") == 881303
    invite(ming, omar)
    accept(omar, ming)
    phone.all()
    ming.do("update_friend_memo", target_name="omar", memo_name="O", memo_others="from school")
    event = phone.notified(100)
    assert event["extra"] == 7
    assert json.loads(event["description"]) == {"memo_name": "O", "memo_others": "from school"}
    ming.do("update_friend_memo", target_name="omar", memo_name="O")
    assert json.loads(phone.notified(100)["description"]) == {"memo_name": "O", "memo_others": "from school"}
    assert ming.refused("update_friend_memo", target_name="omar", memo_others="no name") == 880002
    assert ming.do("get_friend_list")["friend_list"][0]["memo_name"] == "O"
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    assert [one["memo_name"] for one in ming.do("get_group_members", gid=gid)["member_list"]] == ["", "O"]
    assert ming.refused("update_friend_memo", target_name="omar", memo_name="x" * 65) == 881304
    omar.all()
    phone.all()
    ming.do("del_friend", target_name="omar")
    assert omar.notified(6)["from_username"] == "ming"
    assert phone.notified(100)["extra"] == 6
    assert omar.do("get_friend_list") == {"friend_list": []}


def test_invitations_that_are_none(ming: Page, omar: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """To oneself, to who has one on the black list, too long, or one too many."""
    assert ming.refused("add_friend", target_name="ming", why="", from_type=1) == 880903
    assert ming.refused("add_friend", target_name="omar", why="x" * 251, from_type=1) == 880003
    assert ming.refused("add_friend", target_name="omar", from_type=1) == 880002
    monkeypatch.setattr(friends, "MAX_LISTED", 0)
    assert ming.refused("add_friend", target_name="omar", why="", from_type=1) == 880903
    monkeypatch.setattr(friends, "MAX_LISTED", 1)
    invite(ming, omar)
    monkeypatch.setattr(friends, "MAX_LISTED", 0)
    assert omar.refused("add_friend", target_name="ming", why="yes", from_type=2) == 880903
    omar.do("add_black_list", version=0, member_usernames=[{"username": "ming"}])
    assert ming.refused("add_friend", target_name="omar", why="", from_type=1) == 880207


def test_black_list(ming: Page, omar: Page, page: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is on it cannot write; one's other devices learn of each change."""
    phone = page("omar", platform="a")
    users = [{"username": "ming"}]
    omar.do("add_black_list", member_usernames=users)
    assert ming.refused("s_across_single_text", **message("hello", single="omar")[1]) == 880207
    event = phone.notified(101)
    assert (event["extra"], event["to_usernames"][0]["username"]) == (1, "ming")
    assert [user["username"] for user in omar.do("get_black_list", version=0)["black_list"]] == ["ming"]
    assert omar.refused("add_black_list", member_usernames=users) == 880904
    assert omar.refused("add_black_list", member_usernames=[{"username": "omar"}]) == 880903
    omar.do("del_black_list", member_usernames=users)
    assert phone.notified(101)["extra"] == 2
    ming.says("hello", single="omar")
    monkeypatch.setattr(lists, "MAX_LISTED", 0)
    assert omar.refused("add_black_list", member_usernames=users) == 880903


def test_no_disturb(ming: Page, page: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of users, groups and all; each of them once, and each change is told to one's other devices."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    phone = page("ming", platform="a")
    user, group = {"target_name": "omar", "version": 0}, {"gid": gid, "version": 0}
    for name, data, codes, extra in (
        ("single", user, (881101, 881102), 31),
        ("group", group, (881105, 881106), 33),
        ("global", {}, (881107, 881108), 35),
    ):
        assert ming.refused(f"delete_msg_no_disturb_{name}", **data) == codes[1]
        ming.do(f"add_msg_no_disturb_{name}", **data)
        assert phone.notified(102)["extra"] == extra
        assert ming.refused(f"add_msg_no_disturb_{name}", **data) == codes[0]
    told = ming.do("no_disturb", version=0)["no_disturb"]
    assert (told["global"], told["users"][0]["username"], told["groups"][0]["gid"]) == (1, "omar", gid)
    for name, data, extra in (("single", user, 32), ("group", group, 34), ("global", {}, 36)):
        ming.do(f"delete_msg_no_disturb_{name}", **data)
        assert phone.notified(102)["extra"] == extra
    assert ming.do("no_disturb", version=0)["no_disturb"] == {"global": 0, "users": [], "groups": []}
    monkeypatch.setattr(lists, "MAX_LISTED", 0)
    assert ming.refused("add_msg_no_disturb_single", **user) == 882005


def test_shield(ming: Page, omar: Page, page: Opener) -> None:
    """Messages of a shielded group do not arrive."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    phone = page("omar", platform="a")
    omar.do("add_msg_shield_group", gid=gid)
    event = phone.notified(103)
    assert (event["extra"], event["to_groups"]) == (1, [{"gid": gid, "name": "weekend"}])
    assert [group["gid"] for group in omar.do("list_shield_group")["groups"]] == [gid]
    assert omar.refused("add_msg_shield_group", gid=gid) == 881203
    ming.says("unheard", group=gid)
    omar.do("del_msg_shield_group", gid=gid)
    assert phone.notified(103)["extra"] == 2
    assert omar.refused("del_msg_shield_group", gid=gid) == 881204
    ming.says("heard", group=gid)
    assert omar.heard("msg_sync")["messages"][0]["content"]["msg_body"]["text"] == "heard"


def test_lists_of_what_is_gone(sandbox: Sandbox, ming: Page) -> None:
    """A group that was dissolved and a user who was deleted are on no list."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_msg_no_disturb_group", gid=gid)
    ming.do("add_msg_shield_group", gid=gid)
    ming.do("add_msg_no_disturb_single", target_name="omar")
    ming.do("add_black_list", member_usernames=[{"username": "omar"}])
    ming.do("exit_group", gid=gid)
    sandbox.behave(delete={"username": "omar"})
    assert ming.do("no_disturb")["no_disturb"] == {"global": 0, "users": [], "groups": []}
    assert ming.do("list_shield_group") == {"groups": []}
    assert ming.do("get_black_list") == {"black_list": []}
