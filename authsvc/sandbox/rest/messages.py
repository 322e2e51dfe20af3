"""
Messages that a back end sends, in the name of an admin, and takes back.
"""

from typing import Any

from authsvc.sandbox.chat import messages, retraction, rooms
from authsvc.sandbox.core import Core
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, Wrong, invalid
from authsvc.sandbox.state import Group, Room, User

_REST = {881401: 855001, 881403: 855003, 881404: 855004}


def send(asked: Asked) -> Answer:
    fields = asked.fields()
    if fields.get("version") != 1:
        raise invalid("version must be 1")
    sender = asked.user(asked.text("from_id"))
    if fields.get("from_type") != "admin" or not sender.is_admin:
        raise Wrong(403, 899016, "No authority to send message")
    to = _target(asked, fields)
    try:
        messages.check_body(fields)
    except Refused as refused:
        raise invalid(refused.message) from None
    content = _content(fields, sender)
    notification = fields.get("notification")
    if isinstance(notification, dict):
        fields = fields | {"custom_notification": {"enabled": True} | notification}
    msg_id, ctime_ms = deliver(asked.core, sender, to, content, fields)
    return 201, {"msg_id": msg_id, "msg_ctime": ctime_ms}


def deliver(
    core: Core, sender: User, to: User | Group | Room, content: dict[str, Any], asked: dict[str, Any]
) -> tuple[int, int]:
    """Send a message to wherever it is for; return its number and its time."""
    if isinstance(to, Room):
        told = rooms.kept(core, to, content)
        core.push(core.users(to.members), "room_msg_sync", told)
        return told["msg_id"], told["ctime_ms"]
    message = messages.kept(core, sender, to, content, asked)
    messages.deliver(core, message)
    return message.msg_id, message.ctime_ms


def retract(asked: Asked) -> Answer:
    sender, msg_id = asked.user(), asked.path["msg_id"]
    message = asked.core.state.messages.get(int(msg_id)) if msg_id.isdecimal() and len(msg_id) < 20 else None
    if message is not None and message.sender != sender.uid:
        message = None
    try:
        retraction.retract(asked.core, sender, message)
    except Refused as refused:
        raise Wrong(400, _REST[refused.code], refused.message) from None
    return DONE


def _target(asked: Asked, fields: dict[str, Any]) -> User | Group | Room:
    kind, target = fields.get("target_type"), fields.get("target_id")
    if kind == "single":
        found = asked.core.find(asked.text("target_appkey", "") or asked.appkey, str(target))
        if found is None:
            raise Wrong(404, 899002, "No such user")
        return found
    if kind == "group":
        return asked.group(target)
    if kind == "chatroom":
        return asked.room(target)
    raise invalid("target_type must be one of single, group, chatroom")


def _content(fields: dict[str, Any], sender: User) -> dict[str, Any]:
    names = ("version", "target_type", "target_id", "target_name", "target_appkey", "msg_type", "msg_body")
    given = {name: fields[name] for name in names if name in fields}
    signed = messages.signed(sender) | {"from_type": "admin", "from_platform": "api"}
    if isinstance(fields.get("from_name"), str):
        signed |= {"from_name": fields["from_name"], "set_from_name": 1}
    return given | {"target_id": str(given["target_id"])} | signed


CALLS = {
    ("POST", "/v1/messages"): send,
    ("POST", "/v1/messages/{username}/{msg_id}/retract"): retract,
}
