"""
What a user has missed, which comes after the login's `sync_check`: messages, events and receipts, each until it is
acknowledged. With roaming also what was said before.

Events and receipts are kept while nobody is online to hear them; the page's own keys are echoed and not relied upon.
"""

from functools import partial
from itertools import islice
from typing import Any

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat.messages import shown
from authsvc.sandbox.core import Core, Line
from authsvc.sandbox.state import Message, User

KEYS = ("sync_key", "sync_type", "sync_event_key", "msg_receipt_key")
ROAMING = 100  # messages of a conversation
ROAMING_ON = (1, "1")
FIRST = (0, "0")  # a sync_key: the page has just logged in


def check(call: Call) -> dict[str, object]:
    """
    Echo the keys: the SDK takes them all over, and a `sync_type` of ours would switch its roaming on or off.

    What was missed follows the answer: its keys are newer, and the SDK keeps the last ones that it gets.
    """
    user, data = call.user, call.data
    with_history = data.get("sync_type") in ROAMING_ON and data.get("sync_key") in FIRST
    call.afterwards.append(partial(_push, call.core, call.line, user, with_history=with_history))
    return {name: data[name] for name in KEYS if isinstance(data.get(name), str | int)}


def conversations_ack(call: Call) -> dict[str, object]:
    until_ms, messages = call.number("sync_key"), call.core.state.messages
    call.user.waiting -= {
        msg_id for msg_id in call.user.waiting if msg_id not in messages or messages[msg_id].ctime_ms <= until_ms
    }
    return {}


def events_ack(call: Call) -> dict[str, object]:
    until = call.number("sync_key")
    call.user.events[:] = [event for event in call.user.events if event["event_id"] > until]
    return {}


def receipts_ack(call: Call) -> dict[str, object]:
    until = call.number("sync_key")
    call.user.receipts[:] = [receipt for receipt in call.user.receipts if receipt["key"] > until]
    return {}


def _push(core: Core, line: Line, user: User, *, with_history: bool) -> None:
    items = [
        _item(core, line, user, conversation, with_history=with_history) for conversation in list(user.conversations)
    ]
    found = [item for item in items if item["msgs"]]
    if found:
        newest_ms = max(message["ctime_ms"] for item in found for message in item["msgs"])
        line.socket.emit("sync_conversation", {"sync_key": newest_ms, "messages": found})
    if user.events:
        line.socket.emit("sync_event", {"sync_key": user.events[-1]["event_id"], "events": user.events})
    if user.receipts:
        receipts = [{name: receipt[name] for name in receipt if name != "key"} for receipt in user.receipts]
        line.socket.emit("sync_receipt", {"sync_key": user.receipts[-1]["key"], "receipts": receipts})


def _item(core: Core, line: Line, user: User, conversation: str, *, with_history: bool) -> dict[str, Any]:
    """Return one conversation as it is synchronised; without messages if there is nothing to tell of it."""
    kind, _, number = conversation.partition(":")
    peer = int(number)
    thread = (peer,) if kind == "4" else tuple(sorted((user.uid, peer)))
    messages = [core.state.messages[msg_id] for msg_id in core.threads.get(thread, ())]
    missed = [one for one in messages if one.msg_id in user.waiting and one.msg_id not in line.pushed]
    told = missed
    if with_history:
        seen = (one for one in reversed(messages) if _is_visible(one, user) and one.msg_id not in line.pushed)
        told = list(islice(seen, ROAMING))[::-1]
    told = [one for one in told if not one.is_retracted]
    item: dict[str, Any] = {
        "key": number,
        "msg_type": int(kind),
        "unsync_count": sum(1 for one in told if one.msg_id in user.waiting),
        "receipt_msgs": [
            {"msg_id": one.msg_id, "unread_count": len(one.unread()), "mtime": one.read_ms or one.ctime_ms}
            for one in messages
            if one.sender == user.uid and one.need_receipt and one.unread()
        ],
        "msgs": [shown(one) for one in told],
    }
    if kind == "4":
        return item | {"from_gid": peer}
    other = core.state.users[peer]
    return item | {"from_appkey": other.appkey, "from_username": other.username}


def _is_visible(message: Message, user: User) -> bool:
    return user.uid == message.sender or user.uid in message.receivers


CALLS = {
    "sync_check": check,
    "sync_conversation_ack": conversations_ack,
    "sync_event_ack": events_ack,
    "sync_receipt_ack": receipts_ack,
}
