"""What no SDK would send: it ends neither the process nor anybody else's connection, and it is refused by a code."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from authsvc.sandbox.gateway import CALLS
from authsvc.sandbox.persistence import Folder
from authsvc.sandbox.rest.calls import CALLS as REST
from authsvc.sandbox.state import KEPT_OF_CONVERSATION
from tests.sandbox.conftest import Line, Sandbox
from tests.sandbox.pages import Page, message

Opener = Callable[..., Page]
CASES = int(os.environ.get("FUZZ_CASES", "100"))
FLOOD = 1_000 * max(1, CASES // 40)

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**62, 1.5, "", "ming", "omar", "nobody", "7", "小明 😀", "x" * 300, "\u0000", [],
    [None], ["ming"], [{}], [{"username": "omar"}], [{"username": 7}], {}, {"text": "x"}, {"username": "omar"},
    "__proto__",
]  # fmt: skip
NAMES = [
    "username", "appkey", "password", "gid", "id", "start", "msg_id", "msg_ids", "sessions", "content", "target_name",
    "target_username", "target_appkey", "member_usernames", "cmd", "platform", "sync_key", "sync_type", "event_id",
    "result", "reason", "why", "from_type", "group_name", "group_description", "is_limit", "media_id", "keep_silence",
    "memo_name", "memo_others", "nickname", "extras", "gender", "old_pwd", "new_pwd", "version", "type", "users",
    "need_receipt", "no_offline", "custom_notification",
]  # fmt: skip
CONTENTS = ["msg_type", "msg_body", "target_id", "target_type", "from_id", "from_appkey", "version"]


def alive(page: Line) -> bool:
    """Whether a connection still answers."""
    page.say("2")
    while (packet := page.hear()) is not None and packet != "3":
        pass
    return packet == "3"


@pytest.mark.parametrize("event", sorted(CALLS.keys() - {"update_user_pwd", "exit_group"}))
def test_any_members_of_any_kind(sandbox: Sandbox, ming: Page, omar: Page, tmp_path: Any, event: str) -> None:
    """Each event answers whatever it is asked with, and what is kept of it can be written and read again."""
    chance = random.Random(event)
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    sandbox.behave(seed={"rooms": [{"name": "lobby"}]})
    values = [*VALUES, gid, str(gid), ming.says("hello", single="omar", need_receipt=True)["msg_id"], "omar", "text"]
    for _ in range(max(1, CASES // 5)):
        data = {name: chance.choice(values) for name in chance.sample(NAMES, chance.randrange(len(NAMES)))}
        if chance.random() < 0.7:
            data["content"] = {name: chance.choice(values) for name in CONTENTS}
        told = ming.request(event, **data)
        assert isinstance(told["code"], int)
        assert told["code"] != 882001
        if ming.request("get_groups_list")["code"] == 882004:
            break
    assert alive(omar)
    folder = Folder(tmp_path)
    folder.save(sandbox.core.state)
    assert folder.load() == sandbox.core.state
    folder.close()


@pytest.mark.parametrize(
    "packet",
    [
        '42["login"]',
        '42["login",null]',
        '42["login",[]]',
        '42["login",{"rid":true}]',
        '42["login",{"rid":1.5}]',
        '42["login",{"rid":{}}]',
        '42[{},{"rid":1}]',
        '42["\\ud800",{"rid":1}]',
        '42["login",{"rid":1,"username":"\\udc00"}]',
        '42["login",{"rid":1,"x":NaN}]',
        '42["login",{"rid":1,"x":1e999}]',
        '42["login",{"rid":' + "9" * 30 + "}]",
        '42["login",{"rid":1,"x":' + "[" * 500 + "]" * 500 + "}]",
        '42["login",{"rid":1,"x":' + "[" * 30_000,
        "42" + "9" * 5000 + '["login",{}]',
    ],
)
def test_packets_that_are_none(ming: Page, omar: Page, packet: str) -> None:
    """They are passed over."""
    ming.say(packet)
    assert alive(ming)
    assert alive(omar)


def test_foreign_groups_messages_and_rooms(sandbox: Sandbox, ming: Page, omar: Page) -> None:
    """Who is not in a group changes nothing of it, and learns nothing of its members."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "anna"}])
    mine = ming.says("hello", group=gid, need_receipt=True)["msg_id"]
    omar.all()
    anna = {"member_usernames": [{"username": "anna"}], "target_username": "anna", "keep_silence": True}
    for event in (
        *("get_group_members", "add_across_group_member", "del_across_group_member", "exit_group", "dissolve_group"),
        *("update_group_info", "group_mem_silence", "add_group_keeper", "del_group_keeper", "change_group_admin"),
        *("admin_add_group_member", "add_msg_no_disturb_group", "add_msg_shield_group", "unread_group_count"),
        *("trans_msg_group",),
    ):
        told = omar.refused(event, gid=gid, event_id=1, result=0, group_name="mine", cmd="x", **anna)
        assert told == 880205, event
    assert omar.refused("msg_retract", msg_id=mine) == 881402
    assert omar.refused("msg_unread_list", msg_id=mine) == 880008
    assert omar.refused("receipt_report", sessions=[{"type": 4, "gid": gid, "msg_ids": [mine]}]) == 880205
    omar.do("receipt_report", sessions=[{"type": 3, "username": "ming", "msg_ids": [mine]}])
    omar.do("msg_recv_v2", msg_id=mine)
    lists = ming.do("msg_unread_list", msg_id=mine)["msg_unread_list"]
    assert ([one["username"] for one in lists["unread_list"]], lists["read_list"]) == (["anna"], [])
    assert ming.do("get_group_info", gid=gid)["group_info"]["name"] == "weekend"


def test_nobody_is_believed(ming: Page, omar: Page) -> None:
    """Who a message comes from is who is logged in, whatever it says."""
    event, data = message("hello", single="omar")
    data["content"] |= {  # type: ignore[operator] # a dict
        "from_id": "anna",
        "from_appkey": "another",
        "from_type": "admin",
        "from_name": "The boss",
    }
    ming.do(event, **data)
    content = omar.heard("msg_sync")["messages"][0]["content"]
    assert (content["from_id"], content["from_type"], content["from_name"]) == ("ming", "user", "")


def test_half_a_login(sandbox: Sandbox, page: Opener, omar: Page) -> None:
    """Connections that stop half-way do not stand in anybody's way, and are gone when they are closed."""
    lines = [Line.opened(sandbox) for _ in range(20)]
    for line in lines:
        line.emit("login", {"rid": 1, "username": "omar", "password": "x"})
        line.emit("c_init", {"rid": 2})
    assert alive(omar)
    assert sandbox.told()["online"] == ["omar"]
    for line in lines:
        line.close()
    assert alive(omar)
    assert sandbox.connections() == 1


def test_a_flood(sandbox: Sandbox, ming: Page, omar: Page, anna: Page) -> None:
    """Of messages that are not waited for: each is answered, others are served meanwhile, memory is bounded."""
    answered: set[int] = set()
    got: list[str] = []
    for number in range(FLOOD):
        event, data = message(str(number), single="omar")
        ming.emit(event, {**data, "rid": number + 1})
        if number % 1000 == 999:
            anna.do("get_conversations")
            got += [omar.heard("msg_sync")["messages"][0]["content"]["msg_body"]["text"] for _ in range(1000)]
            while len(answered) <= number:
                name, told = ming.event()
                if name == "s_single_text":
                    assert told["code"] == 0
                    answered.add(told["rid"])
    assert got == [str(number) for number in range(FLOOD)]
    assert sandbox.told()["messages"] == KEPT_OF_CONVERSATION


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"[" * 10_000, b'{"x": "\\ud800"}', b"NaN"])
def test_bodies_that_are_none(sandbox: Sandbox, omar: Page, body: bytes) -> None:
    """Every call of the REST API refuses what it cannot read, and goes on."""
    for method, path in REST:
        path = path.format(username="omar", gid=7, room=7, msg_id=7)
        answer = sandbox.ask(method, path, data=body)
        assert answer.status_code < 500, (method, path)
        if method == "DELETE" and path == "/v1/users/omar":
            sandbox.ask("POST", "/v1/users", json=[{"username": "omar", "password": "a word"}])
    assert sandbox.told()["users"] == 4
