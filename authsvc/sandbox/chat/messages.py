"""
Messages between two users and in groups, of all kinds: checked, kept, and pushed to whoever is online.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

from authsvc.sandbox import jsontext
from authsvc.sandbox.call import Call
from authsvc.sandbox.connection import encoded_event
from authsvc.sandbox.core import Core, Line, thread_of
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import (
    KEPT_CONVERSATIONS,
    KEPT_MESSAGES,
    KEPT_OF_CONVERSATION,
    Group,
    Message,
    User,
)

KINDS = {"text", "image", "file", "location", "custom", "voice", "video"}
MAX_BODY = 4096  # bytes of JSON; the vendor's
SINGLE, GROUP = 3, 4
NOTIFICATION = {"enabled": False, "title": "", "alert": "", "at_prefix": ""}  # what a page finds in every message


def send_single(call: Call) -> dict[str, object]:
    content = content_of(call)
    target = call.core.find(call.text("appkey", "") or call.appkey, str(content["target_id"]))
    if target is None:
        raise Refused(880203)
    if call.user.uid in target.blacks:
        raise Refused(880207)
    content["target_appkey"] = target.appkey
    message = kept(call.core, call.user, target, content, call.data)
    deliver(call.core, message, but=call.line)
    return {"key": str(target.uid), **sent(message)}


def send_group(call: Call) -> dict[str, object]:
    content = content_of(call)
    group = call.own_group(content["target_id"])
    if group.members[call.user.uid].is_silenced:
        raise Refused(880212)
    at_list = call.data.get("users")
    if isinstance(at_list, list):
        content["at_list"] = at_list
    message = kept(call.core, call.user, group, content, call.data)
    deliver(call.core, message, but=call.line)
    return {"target_gid": group.gid, "key": str(group.gid), **sent(message)}


def sent(message: Message) -> dict[str, object]:
    """Return what the answer to a sent message says of it."""
    unread = len(message.unread()) if message.need_receipt else 0
    return {"msg_id": message.msg_id, "ctime_ms": message.ctime_ms, "unread_count": unread}


def content_of(call: Call, too_long: int = 880206) -> dict[str, Any]:
    """Return the content of a message, with what the vendor adds to it."""
    user, content = call.user, dict(call.mapping("content"))
    check_body(content, too_long)
    check_words(call.core, user.appkey, content)
    if not isinstance(content.get("target_id"), str | int):
        raise Refused(880002, "content.target_id: must be a string")
    return content | signed(user)


def check_body(content: dict[str, Any], too_long: int = 880206) -> None:
    """Raise Refused unless the kind of a message is known, and its body fits it."""
    body: Any = content.get("msg_body")
    kind = content.get("msg_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused(880004, f"msg_type: must be one of {', '.join(sorted(KINDS))}")
    if kind != "custom" and not isinstance(body, dict):
        raise Refused(880002, "msg_body: must be an object")
    if kind == "text" and not isinstance(body.get("text"), str):
        raise Refused(880003, "msg_body.text: must be a string")
    if len(jsontext.written(body)) > MAX_BODY:
        raise Refused(too_long)


def check_words(core: Core, appkey: str, content: dict[str, Any]) -> None:
    """Raise Refused if a text has a word in it that the app calls sensitive."""
    sensitive = core.state.sensitive.get(appkey)
    if sensitive is None or not sensitive.is_on or content["msg_type"] != "text":
        return
    if any(word in content["msg_body"]["text"] for word in sensitive.words):
        raise Refused(880208)


def signed(sender: User) -> dict[str, Any]:
    """Return what the vendor says of the sender in a content, whatever the page says."""
    return {
        "from_id": sender.username,
        "from_appkey": sender.appkey,
        "from_type": "user",
        "from_name": sender.nickname,
        "set_from_name": 0,
        "sui_mtime": sender.mtime_ms // 1000,
    }


def kept(core: Core, sender: User, to: User | Group, content: dict[str, Any], asked: dict[str, Any]) -> Message:
    """Keep a message, as the page asked for it, and return it."""
    given = asked.get("custom_notification")
    notification = given if isinstance(given, dict) else {}
    message = Message(
        core.new_id(),
        isinstance(to, Group),
        sender.uid,
        to.gid if isinstance(to, Group) else to.uid,
        core.clock(),
        jsontext.written(content).decode(),
        content.get("target_appkey") not in (None, content.get("from_appkey")),
        asked.get("need_receipt") is True,
        {
            name: notification[name]
            for name, nothing in NOTIFICATION.items()
            if isinstance(notification.get(name), type(nothing))
        },
    )
    receivers = [to] if isinstance(to, User) else readers(core, to, sender)
    add(core, message, sender, receivers)
    for user in receivers:
        if user is not sender:
            message.receivers[user.uid] = False
            if asked.get("no_offline") is not True or core.lines(user):
                user.waiting.add(message.msg_id)
    return message


def deliver(core: Core, message: Message, *, but: Line | None = None) -> None:
    """Push a message to whoever is online of those it went to, and of the sender's devices."""
    packet = encoded_event("msg_sync", {"messages": [shown(message) | origin(message)]})
    for user in core.users({*message.receivers, message.sender}):
        for line in core.lines(user, but=but):
            line.pushed.add(message.msg_id)
            line.socket.send(packet)


def add(core: Core, message: Message, sender: User, receivers: Iterable[User]) -> None:
    """Keep a message as the latest of its conversation; the oldest ones make room."""
    core.state.messages[message.msg_id] = message
    thread = core.threads.setdefault(thread_of(message), deque())
    thread.append(message.msg_id)
    if len(thread) > KEPT_OF_CONVERSATION:
        drop(core, core.state.messages[thread[0]])
    if len(core.state.messages) > KEPT_MESSAGES:
        drop(core, next(iter(core.state.messages.values())))
    for user in {sender.uid: sender, **{user.uid: user for user in receivers}}.values():
        peer = message.to if message.is_group or user.uid == message.sender else message.sender
        touch(user, f"{GROUP if message.is_group else SINGLE}:{peer}", message.ctime_ms)


def drop(core: Core, message: Message) -> None:
    """Forget a message, which is the oldest of its conversation."""
    del core.state.messages[message.msg_id]
    thread = core.threads[thread_of(message)]
    thread.remove(message.msg_id)
    if not thread:
        del core.threads[thread_of(message)]
    for user in core.users(message.receivers):
        user.waiting.discard(message.msg_id)


def touch(user: User, conversation: str, ctime_ms: int) -> None:
    """Make a conversation the latest of a user's."""
    user.conversations.pop(conversation, None)
    user.conversations[conversation] = ctime_ms
    if len(user.conversations) > KEPT_CONVERSATIONS:
        del user.conversations[next(iter(user.conversations))]


def readers(core: Core, group: Group, sender: User) -> list[User]:
    """Return whom a message in a group goes to: its members, but those who shield it."""
    members = core.users(uid for uid in group.members if uid != sender.uid)
    return [user for user in members if group.gid not in user.shielded]


def shown(message: Message) -> dict[str, object]:
    """Return a message as pages get it."""
    return {
        "msg_id": message.msg_id,
        "msg_type": GROUP if message.is_group else SINGLE,
        "ctime_ms": message.ctime_ms,
        "msg_level": int(message.is_across_apps),
        "need_receipt": message.need_receipt,
        "custom_notification": NOTIFICATION | message.custom_notification,
        "content": jsontext.embedded(message.content),
    }


def origin(message: Message) -> dict[str, object]:
    return {"from_uid": message.sender, "from_gid": message.to if message.is_group else 0}


def received(call: Call) -> dict[str, object]:
    """Take note that a device has a message."""
    msg_id = call.number("msg_id")
    call.user.waiting.discard(msg_id)
    call.line.pushed.discard(msg_id)
    return {}


CALLS = {"s_across_single_text": send_single, "send_group_msg": send_group, "msg_recv_v2": received}
ANSWERED_AS = {"s_across_single_text": "s_single_text"}  # what the SDK listens for
