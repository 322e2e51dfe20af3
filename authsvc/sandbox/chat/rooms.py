"""
Chatrooms: listed, entered, left, and spoken in. A back end makes them, by REST; whoever enters gets the last messages.
"""

from typing import Any

from authsvc.sandbox.call import Call, whole
from authsvc.sandbox.chat.messages import content_of
from authsvc.sandbox.core import Core
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import KEPT_ROOM_MESSAGES, Room, User

PAGE = 50


def listed(call: Call) -> dict[str, object]:
    appkey, start = call.text("appkey", "") or call.appkey, call.number("start", 0)
    found = [room for room in call.core.state.rooms.values() if room.appkey == appkey]
    page = found[max(0, start) : max(0, start) + PAGE]
    rooms = [shown(room) for room in page]
    return {"result": {"rooms": rooms, "total": len(found), "start": start, "count": len(rooms)}}


def mine(call: Call) -> dict[str, object]:
    uid = call.user.uid
    return {"chat_rooms": [shown(room) for room in call.core.state.rooms.values() if uid in room.members]}


def info(call: Call) -> dict[str, object]:
    return {"info": shown(_room(call, call.data.get("id")))}


def enter(call: Call) -> dict[str, object]:
    user, room = call.user, _room(call, call.data.get("id"))
    if user.uid in room.members:
        raise Refused(881507)
    if len(room.members) >= room.max_member_count:
        raise Refused(881508)
    room.members.add(user.uid)
    if room.messages:
        history = {"room_id": room.id, "messages": [{"room_id": room.id, "msgs": list(room.messages)}]}
        call.afterwards.append(lambda: call.line.socket.emit("room_msg_sync_his", history))
    return {"id": room.id}


def leave(call: Call) -> dict[str, object]:
    room = _entered(call, call.data.get("id"))
    room.members.discard(call.user.uid)
    return {"id": room.id}


def send(call: Call) -> dict[str, object]:
    content = content_of(call, 881504)
    room = _entered(call, content["target_id"])
    if call.user.uid in room.silenced:
        raise Refused(881502)
    message = kept(call.core, room, content)
    call.core.push(call.core.users(room.members), "room_msg_sync", message, but=call.line)
    return {"msg_id": message["msg_id"], "ctime_ms": message["ctime_ms"], "room_id": room.id}


def kept(core: Core, room: Room, content: dict[str, Any]) -> dict[str, Any]:
    """Keep a message as the room's latest, and return it as pages get it."""
    message = {"room_id": room.id, "msg_id": core.new_id(), "ctime_ms": core.clock(), "content": content}
    room.messages.append(message)
    del room.messages[:-KEPT_ROOM_MESSAGES]
    return message


def shown(room: Room) -> dict[str, Any]:
    return {
        "id": room.id,
        "name": room.name,
        "description": room.description,
        "appkey": room.appkey,
        "total_member_count": len(room.members),
        "max_member_count": room.max_member_count,
    }


def _room(call: Call, number: object) -> Room:
    room = call.core.state.rooms.get(whole(number, "id"))
    if room is None:
        raise Refused(881503)
    return room


def _entered(call: Call, number: object) -> Room:
    user: User = call.user
    room = _room(call, number)
    if user.uid not in room.members:
        raise Refused(881501)
    return room


CALLS = {
    "room_list": listed,
    "room_list_self": mine,
    "room_info": info,
    "join_room": enter,
    "exit_room": leave,
    "send_room_msg": send,
}
