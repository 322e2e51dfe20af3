"""Chatrooms, and commands past the user's eyes."""

from collections.abc import Callable

import pytest

from authsvc.sandbox.state import KEPT_ROOM_MESSAGES
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page, message
from tests.support.made_up import APPKEY

Opener = Callable[..., Page]


@pytest.fixture
def room(sandbox: Sandbox, ming: Page) -> int:
    """A chatroom."""
    sandbox.behave(seed={"rooms": [{"name": "lobby", "description": "for all"}, {"name": "other"}]})
    return int(ming.do("room_list", start=0)["result"]["rooms"][0]["id"])


def test_lists(ming: Page, room: int) -> None:
    """By page, by membership, one by one; numbers as they are or as digits."""
    told = ming.do("room_list", start=1)["result"]
    assert (told["total"], told["start"], told["count"]) == (2, 1, 1)
    assert ming.do("room_list", start=0, appkey="another")["result"]["total"] == 0
    assert ming.do("room_info", id=str(room)) == {
        "info": {
            "id": room,
            "name": "lobby",
            "description": "for all",
            "appkey": APPKEY,
            "total_member_count": 0,
            "max_member_count": 500,
        }
    }
    assert ming.do("room_list_self") == {"chat_rooms": []}
    assert ming.do("join_room", id=room) == {"id": room}
    assert ming.do("room_list_self")["chat_rooms"][0]["total_member_count"] == 1
    assert ming.refused("join_room", id=room) == 881507
    assert ming.do("exit_room", id=room) == {"id": room}
    assert ming.refused("exit_room", id=room) == 881501
    assert ming.refused("room_info", id=7) == 881503


def test_messages(sandbox: Sandbox, ming: Page, omar: Page, room: int, page: Opener) -> None:
    """Who is in it gets them at once, who comes later gets the last ones; the sender's other devices do too."""
    assert ming.refused("send_room_msg", **message("hello", chatroom=room)[1]) == 881501
    for one in (ming, omar):
        one.do("join_room", id=room)
    phone = page("ming", platform="a")
    sent = ming.says("hello", chatroom=room)
    assert sent["room_id"] == room
    for other in (omar, phone):
        told = other.heard("room_msg_sync")
        assert (told["room_id"], told["msg_id"], told["ctime_ms"]) == (room, sent["msg_id"], sent["ctime_ms"])
        assert told["content"]["from_id"] == "ming"
    assert ming.all() == []
    for number in range(KEPT_ROOM_MESSAGES):
        ming.says(str(number), chatroom=room)
    anna = page("anna")
    anna.do("join_room", id=str(room))
    history = anna.heard("room_msg_sync_his")
    (part,) = history["messages"]
    assert (history["room_id"], part["room_id"]) == (room, room)
    assert [one["content"]["msg_body"]["text"] for one in part["msgs"]] == [str(number) for number in range(20)]
    assert ming.refused("send_room_msg", **message("x" * 4096, chatroom=room)[1]) == 881504


def test_full_and_silenced(sandbox: Sandbox, ming: Page, omar: Page, room: int) -> None:
    """A room has an end, and its back end may silence somebody."""
    ming.do("join_room", id=room)
    sandbox.ask("PUT", f"/v1/chatroom/{room}/forbidden/ming?status=1")
    assert ming.refused("send_room_msg", **message("hello", chatroom=room)[1]) == 881502
    sandbox.ask("PUT", f"/v1/chatroom/{room}/forbidden/ming?status=0")
    ming.says("hello", chatroom=room)
    sandbox.core.state.rooms[room].max_member_count = 1
    assert omar.refused("join_room", id=room) == 881508


def test_commands(ming: Page, omar: Page, page: Opener) -> None:
    """To a user, to a group, to one's own devices; they reach who is online."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    ming.do("trans_msg_single", target_username="omar", cmd="typing")
    assert omar.heard("trans_msg_rec") == {
        "type": 3,
        "gid": 0,
        "platform": "",
        "cmd": "typing",
        "from_appkey": APPKEY,
        "from_username": "ming",
    }
    ming.do("trans_msg_group", gid=gid, cmd="typing")
    told = omar.heard("trans_msg_rec")
    assert (told["type"], told["gid"]) == (4, gid)
    assert ming.refused("trans_msg_platform", platform="all", cmd="wake up") == 881602
    phone = page("ming", platform="a")
    for platform in ("all", "android"):
        ming.do("trans_msg_platform", platform=platform, cmd="wake up")
        told = phone.heard("trans_msg_rec")
        assert (told["type"], told["platform"]) == (5, platform)
    assert ming.refused("trans_msg_platform", platform="ios", cmd="wake up") == 881602
    assert ming.refused("trans_msg_platform", platform="fridge", cmd="wake up") == 880003
    assert ming.refused("trans_msg_single", target_username="anna", cmd="typing") == 881602
    assert ming.refused("trans_msg_single", target_username="omar", cmd="x" * 4097) == 881604
