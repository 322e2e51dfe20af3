"""
What a test plants: users, groups, friends, chatrooms and what was said before it began.

Raises ValueError, which names the member and the rule, or `Refused` where a page would get it too.
"""

from typing import Any

from authsvc.sandbox.chat import friends, groups, messages
from authsvc.sandbox.chat import users as accounts
from authsvc.sandbox.core import PROFILE, Core
from authsvc.sandbox.rest import rooms
from authsvc.sandbox.state import Group, User

PARTS = ("users", "friends", "groups", "rooms", "messages")
MAX_PARTS = 20_000


def plant(core: Core, appkey: str, value: object) -> None:
    """Add what is asked for, users first, so that all else may name them."""
    asked = members(value, "seed", set(PARTS))
    for one in listed(asked.get("users", []), "seed.users"):
        _user(core, appkey, members(one, "seed.users", {"username", "password", "appkey", "is_admin", *PROFILE}))
    for one in listed(asked.get("friends", []), "seed.friends"):
        pair = [user_of(core, appkey, {"username": name}) for name in listed(one, "seed.friends")]
        if len(pair) != 2:
            raise ValueError("seed.friends: each must be a pair of usernames")
        friends.befriend(core, *pair)
    for one in listed(asked.get("groups", []), "seed.groups"):
        _group(core, appkey, members(one, "seed.groups", {"owner", "name", "desc", "members", "is_public"}))
    for one in listed(asked.get("rooms", []), "seed.rooms"):
        room = members(one, "seed.rooms", {"name", "description"})
        rooms.make(core, appkey, text(room, "name"), description=text(room, "description", ""))
    for one in listed(asked.get("messages", []), "seed.messages"):
        _message(core, appkey, members(one, "seed.messages", {"from", "to", "group", "text", "content", "ago_ms"}))


def user_of(core: Core, appkey: str, asked: dict[str, Any], name: str = "username") -> User:
    """Return the user whom a member names, of the app that `appkey` names."""
    username = text(asked, name)
    user = core.find(text(asked, "appkey", appkey), username)
    if user is None:
        raise ValueError(f"{name}: there is no user {username[:64]}")
    return user


def set_password(core: Core, user: User, password: object) -> None:
    if not isinstance(password, str) or not 4 <= len(password.encode()) <= 128:
        raise ValueError("password: must be 4 to 128 bytes")
    accounts.set_password(core, user, accounts.md5_of(password))


def delete(core: Core, user: User) -> None:
    accounts.delete(core, user)


def _user(core: Core, appkey: str, asked: dict[str, Any]) -> None:
    username, password = text(asked, "username"), text(asked, "password")
    profile = {name: asked[name] for name in PROFILE if name in asked}
    try:
        user = core.add_user(text(asked, "appkey", appkey), username, accounts.md5_of(password), **profile)
    except KeyError:
        raise ValueError(f"seed.users: there is a user {username}") from None
    user.is_admin = asked.get("is_admin") is True


def _group(core: Core, appkey: str, asked: dict[str, Any]) -> None:
    owner = user_of(core, appkey, asked, "owner")
    group = groups.make(
        core, owner, text(asked, "name"), desc=text(asked, "desc", ""), is_public=asked.get("is_public") is True
    )
    names = listed(asked.get("members", []), "seed.groups.members")
    users = [user_of(core, appkey, {"username": name}) for name in names]
    if users:
        groups.add(core, owner, group, users)
    for user in (owner, *users):
        user.events.clear()  # a test begins with nothing missed


def _message(core: Core, appkey: str, asked: dict[str, Any]) -> None:
    sender = user_of(core, appkey, asked, "from")
    if "group" in asked:
        named = [group for group in core.state.groups.values() if asked["group"] in (group.name, group.gid)]
        if not named:
            raise ValueError("seed.messages.group: must be the name or the number of a group")
        to: User | Group = named[-1]
    else:
        to = user_of(core, appkey, asked, "to")
    content = members(
        asked.get("content", {"msg_type": "text", "msg_body": {"text": asked.get("text")}}), "seed.messages.content"
    )
    messages.check_body(content)
    kind, target = ("single", to.username) if isinstance(to, User) else ("group", str(to.gid))
    content = {"version": 1, "target_type": kind, "target_id": target, "from_platform": "web"} | content
    content |= messages.signed(sender) | {"target_appkey": to.appkey}
    message = messages.kept(core, sender, to, content, {})
    message.ctime_ms -= number(asked.get("ago_ms", 0), "seed.messages.ago_ms", least=0)


def members(value: object, name: str, known: set[str] | None = None) -> dict[str, Any]:
    """Return an object of known members."""
    if not isinstance(value, dict):
        raise ValueError(f"{name}: must be an object")  # noqa: TRY004 -- the asker's fault, as below
    for member in value:
        if known is not None and member not in known:
            raise ValueError(f"{name}.{member[:64]}: is unknown; known are {', '.join(sorted(known))}")
    return value


def listed(value: object, name: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_PARTS:
        raise ValueError(f"{name}: must be a list of at most {MAX_PARTS}")
    return value


def text(asked: dict[str, Any], name: str, default: str | None = None) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a string")  # noqa: TRY004
    return value


def number(value: object, name: str, *, least: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise ValueError(f"{name}: must be a whole number" + ("" if least is None else f", {least} or more"))
    return value
