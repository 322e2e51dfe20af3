"""
Taking a message back.
"""

from authsvc.sandbox.call import Call
from authsvc.sandbox.core import Core, short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import Message, User

RETRACTED = 55  # an event
MAX_AGE_MS = 180_000  # 3 minutes; the vendor's


def asked(call: Call) -> dict[str, object]:
    message = call.core.state.messages.get(call.number("msg_id"))
    if message is not None and message.sender != call.user.uid:
        raise Refused(881402)
    retract(call.core, call.user, message)
    return {}


def retract(core: Core, sender: User, message: Message | None) -> None:
    """Take a message back, and let everybody know whom it went to. Raises Refused."""
    if message is None:
        raise Refused(881403)
    if message.is_retracted:
        raise Refused(881404)
    if core.clock() - message.ctime_ms > MAX_AGE_MS:
        raise Refused(881401)
    message.is_retracted = True
    receivers = core.users(message.receivers)
    event = core.event(
        RETRACTED,
        sender,
        core.state.groups.get(message.to) if message.is_group else None,
        msgid_list=[message.msg_id],
        msg_ids=[message.msg_id],  # where jchat-web looks for it
        to_usernames=[] if message.is_group else [short(user) for user in receivers],
    )
    for user in receivers:
        user.waiting.discard(message.msg_id)
    core.notify((user for user in receivers if user is not sender), event)
    core.push([sender], "event_notification", event)  # jchat-web waits for it before it takes the message away


CALLS = {"msg_retract": asked}
