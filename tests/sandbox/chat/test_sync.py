"""What was missed, and what was said before."""

from collections.abc import Callable
from typing import Any

import pytest

from authsvc.sandbox import core as core_module
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page
from tests.support.made_up import APPKEY

Opener = Callable[..., Page]
KEYS = {"sync_key": 0, "sync_type": 0, "sync_event_key": 0, "msg_receipt_key": 0}


def texts(conversation: dict[str, Any]) -> list[str]:
    return [one["content"]["msg_body"]["text"] for one in conversation["msgs"]]


def test_missed_messages(ming: Page, page: Opener) -> None:
    """They come after the login's sync_check, by conversation, until they are acknowledged."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    for text in ("one", "two"):
        ming.says(text, single="omar")
    ming.says("gone", single="omar", no_offline=True)
    ming.says("all", group=gid)
    for _ in range(2):
        omar = page("omar")
        assert omar.do("sync_check", **KEYS) == KEYS
        told = omar.heard("sync_conversation")
        single, group = told["messages"]
        assert (single["msg_type"], single["from_username"], single["unsync_count"]) == (3, "ming", 2)
        assert texts(single) == ["one", "two"]
        assert single["receipt_msgs"] == []
        assert "from_uid" not in single["msgs"][0]
        assert (group["msg_type"], group["from_gid"], texts(group)) == (4, gid, ["all"])
        assert told["sync_key"] == group["msgs"][0]["ctime_ms"]
        omar.close()
    omar = page("omar")
    omar.do("sync_conversation_ack", sync_key=told["sync_key"])
    omar.do("sync_check", **KEYS)
    assert "sync_conversation" not in dict(omar.all())


def test_a_message_that_was_acknowledged_is_not_missed(ming: Page, omar: Page, page: Opener) -> None:
    """The SDK acknowledges each message that it gets; one that is on its way is not sent twice."""
    first = ming.says("one", single="omar")
    omar.do("msg_recv_v2", msg_id=first["msg_id"], msg_type=3, from_uid=1, from_gid=0)
    ming.says("two", single="omar")
    omar.do("sync_check", **KEYS)
    assert dict(omar.all()).keys() == {"msg_sync"}
    omar.close()
    omar = page("omar")
    omar.do("sync_check", **KEYS)
    assert texts(omar.heard("sync_conversation")["messages"][0]) == ["two"]


def test_roaming(ming: Page, omar: Page, page: Opener) -> None:
    """With flag 1 the history of both sides comes at the first check, and not at the next one."""
    ming.says("one", single="omar")
    omar.says("two", single="ming")
    taken_back = ming.says("three", single="omar", need_receipt=True)
    ming.do("msg_retract", msg_id=taken_back["msg_id"])
    ming.says("four", single="omar", need_receipt=True)
    ming.close()
    again = page("ming", flag=1)
    again.do("sync_check", **KEYS | {"sync_type": 1})
    told = again.heard("sync_conversation")
    (conversation,) = told["messages"]
    assert texts(conversation) == ["one", "two", "four"]
    assert conversation["unsync_count"] == 1
    assert [one["unread_count"] for one in conversation["receipt_msgs"]] == [1, 1]
    again.do("sync_conversation_ack", sync_key=told["sync_key"])
    again.do("sync_check", **KEYS | {"sync_type": 1, "sync_key": told["sync_key"]})
    assert again.all() == []


def test_missed_events(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """They come once, also when the page's own key is a string from before, and until they are acknowledged."""
    ming.do("add_friend", target_name="omar", why="hello", from_type=1)
    for _ in range(2):
        omar = page("omar")
        omar.do("sync_check", **KEYS | {"sync_event_key": "17"})
        told = omar.heard("sync_event")
        assert [event["event_type"] for event in told["events"]] == [5]
        omar.close()
    omar = page("omar")
    omar.do("sync_event_ack", sync_key=told["sync_key"])
    omar.do("sync_check", **KEYS)
    assert omar.all() == []


def test_missed_receipts(ming: Page, omar: Page, page: Opener) -> None:
    """A sender who was away learns who has read it."""
    sent = ming.says("read me", single="omar", need_receipt=True)
    ming.close()
    session = {"type": 3, "username": "ming", "msg_ids": [sent["msg_id"]]}
    omar.do("receipt_report", sessions=[session])
    for _ in range(2):
        again = page("ming")
        again.do("sync_check", **KEYS)
        told = again.heard("sync_receipt")
        read = [{"msg_id": sent["msg_id"], "unread_count": 0}]
        assert told["receipts"] == [{"type": 3, "appkey": APPKEY, "username": "omar", "receipt_msgs": read}]
        again.close()
    again = page("ming")
    again.do("sync_receipt_ack", sync_key=told["sync_key"])
    again.do("sync_check", **KEYS)
    assert again.all() == []


def test_receipts_of_what_was_sent(sandbox: Sandbox, ming: Page, omar: Page, page: Opener) -> None:
    """With roaming: how many have not read a message, and since when it is so."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}, {"username": "anna"}])
    sandbox.behave(clock={"frozen": True})
    sent = ming.says("read me", group=gid, need_receipt=True)
    receipt = {"msg_id": sent["msg_id"], "unread_count": 2, "mtime": sent["ctime_ms"]}
    for is_read in (False, True):
        if is_read:
            sandbox.behave(clock={"advance_ms": 5_000})
            omar.do("receipt_report", sessions=[{"type": 4, "gid": gid, "msg_ids": [sent["msg_id"]]}])
            receipt |= {"unread_count": 1, "mtime": sent["ctime_ms"] + 5_000}
        desk = page("ming", flag=1)
        desk.do("sync_check", **KEYS | {"sync_type": 1})
        (told,) = desk.heard("sync_conversation")["messages"]
        assert told["receipt_msgs"] == [receipt]


def test_who_is_gone_or_kicked_before_the_answer(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """What was missed goes to nobody else, and an account that was deleted leaves no conversation behind."""
    ming.says("hello", single="omar")
    sandbox.behave(delete={"username": "ming"})
    omar = page("omar")
    omar.do("sync_check", **KEYS)
    assert omar.all() == []


def test_missed_events_are_bounded(ming: Page, page: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest are kept."""
    monkeypatch.setattr(core_module, "KEPT_EVENTS", 2)
    for _ in range(3):
        ming.do("add_friend", target_name="omar", why="hello", from_type=1)
    omar = page("omar")
    omar.do("sync_check", **KEYS)
    assert len(omar.heard("sync_event")["events"]) == 2
