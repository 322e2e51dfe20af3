"""
Who has read a message that asked for a receipt.
"""

from authsvc.sandbox.call import Call, whole
from authsvc.sandbox.chat.conversations import of_group, of_user
from authsvc.sandbox.chat.messages import GROUP
from authsvc.sandbox.core import Core, short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import KEPT_EVENTS, Message, User

REPORTED_ELSEWHERE = 201  # an event
MAX_REPORTED = 500


def report(call: Call) -> dict[str, object]:
    """Take note of what was read, and let each sender know. The SDK hands the answer on as it is."""
    reader, sessions = call.user, call.data.get("sessions")
    named: dict[str, object] = {}
    if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
        raise Refused(880002, "sessions: must be a list of objects")
    for session in sessions:
        msg_ids = session.get("msg_ids")
        if not isinstance(msg_ids, list) or len(msg_ids) > MAX_REPORTED:
            raise Refused(880002, f"msg_ids: must be a list of at most {MAX_REPORTED}")
        numbers = [whole(msg_id, "msg_ids") for msg_id in msg_ids]
        named = _named(Call(call.core, call.line, session))
        read = [
            message
            for message in map(call.core.state.messages.get, numbers)
            if message is not None and message.need_receipt and message.receivers.get(reader.uid) is False
        ]
        for message in read:
            message.receivers[reader.uid], message.read_ms = True, call.core.clock()
        for sender in call.core.users(dict.fromkeys(message.sender for message in read)):
            _tell(call.core, sender, reader, [message for message in read if message.sender == sender.uid])
        call.own_devices(REPORTED_ELSEWHERE, description=named, msg_ids=numbers)
    return {name: value for name, value in named.items() if name != "type"}


def unread_list(call: Call) -> dict[str, object]:
    message = call.core.state.messages.get(call.number("msg_id"))
    if message is None or message.sender != call.user.uid:
        raise Refused(880008)
    unread = message.unread()
    read = [uid for uid, is_read in message.receivers.items() if is_read]
    return {
        "msg_unread_list": {
            "unread_list": [short(user) for user in call.core.users(unread)],
            "read_list": [short(user) for user in call.core.users(read)],
        }
    }


def _named(session: Call) -> dict[str, object]:
    """Return the conversation that a session is of."""
    if session.data.get("type") == GROUP:
        return of_group(session.own_group().gid)
    return of_user(session.target("username"))


def _tell(core: Core, sender: User, reader: User, messages: list[Message]) -> None:
    for is_group in (False, True):
        changed = [message for message in messages if message.is_group is is_group]
        for to in dict.fromkeys(message.to for message in changed):
            receipt: dict[str, object] = (of_group(to) if is_group else of_user(reader)) | {
                "receipt_msgs": [
                    {"msg_id": message.msg_id, "unread_count": len(message.unread())}
                    for message in changed
                    if message.to == to
                ]
            }
            if core.push([sender], "receipt_change", receipt):
                sender.receipts.append(receipt | {"key": core.new_id()})
                del sender.receipts[:-KEPT_EVENTS]


CALLS = {"receipt_report": report, "msg_unread_list": unread_list}
