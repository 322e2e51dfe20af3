"""
The list of a user's conversations, and that one of them was read on another device.
"""

from typing import Any

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat.messages import GROUP, SINGLE
from authsvc.sandbox.core import Core
from authsvc.sandbox.state import User

READ_ELSEWHERE = 200  # an event


def listed(call: Call) -> dict[str, object]:
    """Return the conversations, the one that was quiet for longest first."""
    items = (_item(call.core, conversation, ms) for conversation, ms in call.user.conversations.items())
    return {"conversations": [item for item in items if item is not None]}


def single_read(call: Call) -> dict[str, object]:
    call.own_devices(READ_ELSEWHERE, description=of_user(call.target("username")))
    return {}


def group_read(call: Call) -> dict[str, object]:
    call.own_devices(READ_ELSEWHERE, description=of_group(call.own_group().gid))
    return {}


def of_user(user: User) -> dict[str, object]:
    """Return how events and receipts name a single conversation."""
    return {"type": SINGLE, "appkey": user.appkey, "username": user.username}


def of_group(gid: int) -> dict[str, object]:
    return {"type": GROUP, "gid": gid}


def _item(core: Core, conversation: str, mtime_ms: int) -> dict[str, Any] | None:
    kind, _, number = conversation.partition(":")
    if kind == "4":
        group = core.state.groups.get(int(number))
        return (
            None
            if group is None
            else {"key": number, "type": GROUP, "name": group.name, "avatar": group.avatar, "mtime": mtime_ms}
        )
    user = core.state.users.get(int(number))
    return (
        None
        if user is None
        else {
            "key": number,
            "type": SINGLE,
            "name": user.username,  # jchat-web sends to this name
            "username": user.username,
            "nickname": user.nickname,
            "appkey": user.appkey,
            "avatar": user.avatar,
            "mtime": mtime_ms,
            "utime": user.mtime_ms,
        }
    )


CALLS = {
    "get_conversations": listed,
    "unread_single_count": single_read,
    "unread_group_count": group_read,
}
