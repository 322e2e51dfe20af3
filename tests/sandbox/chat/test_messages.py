"""Messages between two users and in groups."""

from collections.abc import Callable
from typing import Any

import pytest

from authsvc.sandbox.chat import messages
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import PASSWORD, Page, message
from tests.support.made_up import APPKEY, OTHER_APPKEY

Opener = Callable[..., Page]
KINDS: list[tuple[str, Any]] = [
    ("text", {"text": "你好 😀", "extras": {"k": "v"}}),
    ("image", {"media_id": "qiniu/image/r/1.png", "media_crc32": 1, "width": 1, "height": 1, "format": "png"}),
    ("file", {"media_id": "qiniu/file/r/1", "media_crc32": 1, "hash": "h", "fsize": 1, "fname": "a.txt"}),
    ("location", {"latitude": 22.5, "longitude": 114.0, "scale": 10, "label": "深圳"}),
    ("custom", {"any": [1, {"thing": True}]}),
    ("custom", "text"),
    ("voice", {"media_id": "qiniu/voice/r/1", "duration": 3}),
]


@pytest.mark.parametrize(("kind", "body"), KINDS)
def test_single(ming: Page, omar: Page, kind: str, body: object) -> None:
    """Every kind arrives as it was sent, with what the vendor adds, and both sides know it by one number."""
    _, data = message("", single="omar")
    data["content"] |= {"msg_type": kind, "msg_body": body}  # type: ignore[operator] # a dict
    sent = ming.do("s_across_single_text", **data)
    (told,) = omar.heard("msg_sync")["messages"]
    assert (told["msg_id"], told["ctime_ms"]) == (sent["msg_id"], sent["ctime_ms"])
    assert (told["msg_type"], told["msg_level"], told["need_receipt"], told["from_gid"]) == (3, 0, False, 0)
    content = told["content"]
    assert (content["msg_type"], content["msg_body"]) == (kind, body)
    assert (content["from_id"], content["from_appkey"], content["from_type"]) == ("ming", APPKEY, "user")
    assert content["target_appkey"] == APPKEY
    assert sent["key"].isdecimal()
    assert sent["unread_count"] == 0


NOTHING: dict[str, object] = {"enabled": False, "title": "", "alert": "", "at_prefix": ""}
NOTIFICATION: dict[str, object] = {"enabled": True, "title": "T", "alert": "A", "at_prefix": "@"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, NOTHING),
        ("text", NOTHING),
        (NOTIFICATION, NOTIFICATION),
        ({"enabled": True, "alert": "A"}, NOTHING | {"enabled": True, "alert": "A"}),
        ({"enabled": "yes", "title": 7, "more": "x"}, NOTHING),
    ],
)
def test_notification(ming: Page, omar: Page, given: object, told: dict[str, object]) -> None:
    """A page reads its four members from every message, whether its sender gave any."""
    ming.says("hello", single="omar", custom_notification=given)
    assert omar.heard("msg_sync")["messages"][0]["custom_notification"] == told


def test_group(ming: Page, omar: Page, anna: Page) -> None:
    """All members get it but the sender, and nobody else; who is named by @ is passed on."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    sent = ming.says("hello", group=gid, users=[{"username": "omar"}], need_receipt=True)
    assert (sent["target_gid"], sent["key"], sent["unread_count"]) == (gid, str(gid), 1)
    (told,) = omar.heard("msg_sync")["messages"]
    assert (told["msg_type"], told["from_gid"], told["need_receipt"]) == (4, gid, True)
    assert told["content"]["at_list"] == [{"username": "omar"}]
    assert ("msg_sync", told) not in ming.all()
    assert anna.all() == []
    assert anna.refused("send_group_msg", **message("me too", group=gid)[1]) == 880205
    assert ming.refused("send_group_msg", **message("", group=7)[1]) == 880204


def test_several_devices(sandbox: Sandbox, ming: Page, page: Opener, omar: Page) -> None:
    """A user's other devices get what one of them sends, by the same number; so do all devices of the other side."""
    phone = page("ming", platform="a")
    sent = ming.says("from the desk", single="omar")
    assert phone.heard("msg_sync")["messages"][0]["msg_id"] == sent["msg_id"]
    omar.says("to both", single="ming")
    assert phone.heard("msg_sync")["messages"][0]["content"]["msg_body"]["text"] == "to both"
    assert ming.heard("msg_sync")["messages"][0]["content"]["msg_body"]["text"] == "to both"
    ming.says("a note to myself", single="ming")
    assert phone.heard("msg_sync")["messages"][0]["content"]["target_id"] == "ming"
    assert ming.all() == []


def test_across_apps(sandbox: Sandbox, ming: Page) -> None:
    """A user of another app is found by its appkey, and only by it."""
    sandbox.behave(seed={"users": [{"username": "kate", "password": PASSWORD, "appkey": OTHER_APPKEY}]})
    event, data = message("hello", single="kate")
    assert ming.refused(event, **data) == 880203
    assert ming.do(event, **data, appkey=OTHER_APPKEY)["key"].isdecimal()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"msg_type": "smell"}, 880004),
        ({"msg_type": None}, 880004),
        ({"msg_type": "image", "msg_body": "text"}, 880002),
        ({"msg_body": {"text": 7}}, 880003),
        ({"msg_body": {"text": "x" * 4096}}, 880206),
        ({"target_id": None}, 880002),
        ({"target_id": "nobody"}, 880203),
    ],
)
def test_messages_that_are_none(ming: Page, change: dict[str, object], code: int) -> None:
    """Each is refused by the vendor's code."""
    event, data = message("hello", single="omar")
    data["content"] |= change  # type: ignore[operator] # a dict
    assert ming.refused(event, **data) == code
    assert ming.refused(event, content=7) == 880002


def test_a_retransmitted_message_is_one(ming: Page, omar: Page) -> None:
    """The SDK sends the same packet up to five times; it gets the same answer, and the other side one message."""
    event, data = message("once", single="omar")
    for _ in range(5):
        ming.emit(event, {**data, "rid": 77})
    answers = [ming.event() for _ in range(10)]
    assert [name for name, _ in answers] == ["ack", "s_single_text"] * 5
    assert len({told["msg_id"] for name, told in answers if name == "s_single_text"}) == 1
    assert len(omar.all()) == 1


def test_a_message_retransmitted_after_a_break(ming: Page, omar: Page, page: Opener) -> None:
    """The answer was lost with the connection: on the next one the user gets it still."""
    event, data = message("once", single="omar")
    ming.emit(event, {**data, "rid": 2_000_000_001})
    sent = [ming.event() for _ in range(2)][1]
    ming.close()
    again = page("ming")
    again.emit(event, {**data, "rid": 2_000_000_001})
    assert [again.event() for _ in range(2)][1] == sent
    assert len(omar.all()) == 1


def test_kept_messages_are_bounded(sandbox: Sandbox, ming: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a conversation, and in all; the oldest make room, also among those that somebody has missed."""
    monkeypatch.setattr(messages, "KEPT_OF_CONVERSATION", 3)
    monkeypatch.setattr(messages, "KEPT_MESSAGES", 4)
    for number in range(5):
        ming.says(str(number), single="omar")
    assert sandbox.told()["messages"] == 3
    for number in range(2):
        ming.says(str(number), single="anna")
    assert sandbox.told()["messages"] == 4
    for number in range(3):
        ming.says(str(number), single="jose")
    assert sandbox.told()["messages"] == 4


def test_kept_conversations_are_bounded(ming: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was quiet for longest is forgotten."""
    monkeypatch.setattr(messages, "KEPT_CONVERSATIONS", 2)
    for name in ("omar", "anna", "omar", "jose"):
        ming.says("hello", single=name)
    assert [one["username"] for one in ming.do("get_conversations")["conversations"]] == ["omar", "jose"]
