"""
Chatrooms as a back end makes and changes them.
"""

from collections.abc import Callable

from authsvc.sandbox.core import Core
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, invalid, time_of
from authsvc.sandbox.rest.users import ON_OR_OFF
from authsvc.sandbox.state import MAX_ROOMS, Room, User


def create(asked: Asked) -> Answer:
    owner, name = asked.user(asked.text("owner_username")), asked.text("name")
    users = asked.users(asked.fields().get("members_username") or [])
    try:
        room = make(asked.core, asked.appkey, name, owner=owner, description=asked.text("description", ""))
    except ValueError as exc:
        raise invalid(str(exc)) from None
    room.members |= {user.uid for user in users}
    return 201, {"chatroom_id": room.id}


def make(core: Core, appkey: str, name: str, *, owner: User | None = None, description: str = "") -> Room:
    """Make a room. Raises ValueError, which names the member and the rule."""
    if not 1 <= len(name.encode()) <= 128:
        raise ValueError("name: must be 1 to 128 bytes")
    if len(description.encode()) > 250:
        raise ValueError("description: must be at most 250 bytes")
    if len(core.state.rooms) >= MAX_ROOMS:
        raise ValueError(f"name: the sandbox keeps {MAX_ROOMS} chatrooms")
    room = Room(core.new_id(), appkey, name, description, owner.uid if owner else 0, ctime_ms=core.clock())
    core.state.rooms[room.id] = room
    return room


def listed(asked: Asked) -> Answer:
    return asked.page(
        "rooms", [room for room in asked.core.state.rooms.values() if room.appkey == asked.appkey], _shown(asked)
    )


def several(asked: Asked) -> Answer:
    if not isinstance(asked.body, list) or len(asked.body) > MAX_ROOMS:
        raise invalid(f"a list of at most {MAX_ROOMS} chatroom ids")
    return 200, [_shown(asked)(asked.room(number)) for number in asked.body]


def of_user(asked: Asked) -> Answer:
    uid = asked.user().uid
    return 200, [_shown(asked)(room) for room in asked.core.state.rooms.values() if uid in room.members]


def update(asked: Asked) -> Answer:
    room = asked.room()
    owner = asked.user(asked.text("owner_username")) if "owner_username" in asked.fields() else None
    name, description = asked.text("name", room.name), asked.text("description", room.description)
    if not 1 <= len(name.encode()) <= 128 or len(description.encode()) > 250:
        raise invalid("name must be 1 to 128 bytes, description at most 250")
    room.name, room.description = name, description
    room.owner = owner.uid if owner else room.owner
    return DONE


def remove(asked: Asked) -> Answer:
    del asked.core.state.rooms[asked.room().id]
    return DONE


def members(asked: Asked) -> Answer:
    room = asked.room()
    return asked.page(
        "users",
        asked.core.users(sorted(room.members)),
        lambda user: {
            "username": user.username,
            "flag": int(user.uid == room.owner),
            "room_ctime": time_of(room.ctime_ms),
        },
    )


def add_members(asked: Asked) -> Answer:
    asked.room().members.update(user.uid for user in asked.users(asked.body))
    return DONE


def remove_members(asked: Asked) -> Answer:
    asked.room().members.difference_update(user.uid for user in asked.users(asked.body))
    return DONE


def silence(asked: Asked) -> Answer:
    room, user = asked.room(), asked.user()
    if asked.choice("status", ON_OR_OFF):
        room.silenced.add(user.uid)
    else:
        room.silenced.discard(user.uid)
    return DONE


def _shown(asked: Asked) -> Callable[[Room], dict[str, object]]:
    def shown(room: Room) -> dict[str, object]:
        owners = asked.core.users([room.owner])
        return {
            "id": room.id,
            "name": room.name,
            "description": room.description,
            "appkey": room.appkey,
            "owner_username": owners[0].username if owners else "",
            "max_member_count": room.max_member_count,
            "total_member_count": len(room.members),
            "ctime": time_of(room.ctime_ms),
        }

    return shown


CALLS = {
    ("POST", "/v1/chatroom"): create,
    ("GET", "/v1/chatroom"): listed,
    ("POST", "/v1/chatroom/batch"): several,
    ("GET", "/v1/users/{username}/chatroom"): of_user,
    ("PUT", "/v1/chatroom/{room}"): update,
    ("DELETE", "/v1/chatroom/{room}"): remove,
    ("GET", "/v1/chatroom/{room}/members"): members,
    ("PUT", "/v1/chatroom/{room}/members"): add_members,
    ("DELETE", "/v1/chatroom/{room}/members"): remove_members,
    ("PUT", "/v1/chatroom/{room}/forbidden/{username}"): silence,
}
