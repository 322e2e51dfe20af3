"""
Groups and who is in them: made, shown, changed, joined by invitation, left.
"""

from collections.abc import Sequence
from typing import Any

from authsvc.sandbox.call import Call
from authsvc.sandbox.core import Core, short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import KEPT_REQUESTS, MAX_GROUPS, MAX_MEMBERS, Group, Member, Request, User

CREATED, LEFT, ADDED, REMOVED, CHANGED = 8, 9, 10, 11, 12  # events
ASKED = 56
BY_SELF, BY_MEMBER = 59, 10  # what the event of a request says in `extra`
DISSOLVED = 69  # what the event of leaving says in `extra`
MAX_NAME = 64  # bytes; a group may have none, and jchat-web then names it by its members
MAX_DESC = 250
PAGE = 50


def create(call: Call) -> dict[str, object]:
    group = make(
        call.core,
        call.user,
        call.text("group_name"),
        desc=call.text("group_description", ""),
        avatar=call.text("media_id", ""),
        is_public=call.data.get("is_limit") in (True, 1, "true"),
    )
    return {"gid": group.gid, "group_name": group.name, "group_descriptin": group.desc}


def make(core: Core, owner: User, name: str, *, desc: str = "", avatar: str = "", is_public: bool = False) -> Group:
    """Make a group with its owner alone in it. Raises Refused."""
    _check(name, desc)
    if len(core.state.groups) >= MAX_GROUPS:
        raise Refused(880403)
    now_ms = core.clock()
    group = Group(core.new_id(), owner.appkey, name, owner.uid, desc, avatar, is_public, now_ms, now_ms)
    group.members[owner.uid] = Member()
    core.state.groups[group.gid] = group
    core.notify([owner], core.event(CREATED, owner, group, to_usernames=[short(owner)]))
    return group


def update(call: Call) -> dict[str, object]:
    """Change what is given, of which there must be something."""
    group = call.own_group()
    name, desc, avatar = (call.text(member, "") for member in ("group_name", "group_description", "media_id"))
    if not (name or desc or avatar):
        raise Refused(880002, "group_name, group_description, avatar: at least one must be given")
    change(call.core, call.user, group, name=name or group.name, desc=desc or group.desc, avatar=avatar or group.avatar)
    return {}


def change(core: Core, by: User | None, group: Group, *, name: str, desc: str, avatar: str) -> None:
    """Change what a group is called. Raises Refused."""
    _check(name, desc)
    group.name, group.desc, group.avatar, group.mtime_ms = name, desc, avatar, core.clock()
    core.notify(core.users(group.members), core.event(CHANGED, by, group, to_usernames=[short(by)] if by else []))


def mine(call: Call) -> dict[str, object]:
    return {"group_list": [shown(group) for group in of(call.core, call.user)]}


def info(call: Call) -> dict[str, object]:
    return {"group_info": shown(call.group())}


def public(call: Call) -> dict[str, object]:
    appkey, start = call.text("appkey", "") or call.appkey, call.number("start", 0)
    found = [group for group in call.core.state.groups.values() if group.is_public and group.appkey == appkey]
    page = found[max(0, start) : max(0, start) + PAGE]
    return {"result": {"groups": [shown(group) for group in page], "total": len(found), "start": start}}


def members(call: Call) -> dict[str, object]:
    group, friends = call.own_group(), call.user.friends
    found = []
    for user in call.core.users(group.members):
        member = group.members[user.uid]
        memo = friends[user.uid].memo_name if user.uid in friends else ""
        found.append(
            short(user)
            | {
                "uid": user.uid,
                "mtime": user.mtime_ms,
                "flag": 1 if user.uid == group.owner else 2 * member.is_keeper,
                "keep_silence": member.is_silenced,
                "memo_name": memo,
            }
        )
    return {"member_list": found}


def invite(call: Call) -> dict[str, object]:
    """Add members; in a public group owner and keepers decide on those whom an ordinary member brings."""
    group, users = call.own_group(), call.targets()
    check_fresh(group, users)
    if group.is_public and not manages(group, call.user):
        ask(call.core, group, call.user, users)
    else:
        add(call.core, call.user, group, users)
    return {}


def check_fresh(group: Group, users: Sequence[User]) -> None:
    """Raise Refused unless these can all become members."""
    if any(user.uid in group.members for user in users):
        raise Refused(880607)
    if len(group.members) + len(users) > MAX_MEMBERS:
        raise Refused(880608)


def add(core: Core, by: User | None, group: Group, users: Sequence[User]) -> None:
    """Make these users members, and let all members know. Raises Refused."""
    check_fresh(group, users)
    group.members.update({user.uid: Member() for user in users})
    core.notify(core.users(group.members), core.event(ADDED, by, group, to_usernames=[short(user) for user in users]))


def ask(core: Core, group: Group, by: User, users: Sequence[User], reason: str = "") -> None:
    """Ask owner and keepers whether these may become members."""
    is_self = [user.uid for user in users] == [by.uid]
    event = core.event(
        ASKED,
        by,
        group,
        extra=BY_SELF if is_self else BY_MEMBER,
        to_usernames=[short(user) for user in users],
        description=reason,
    )
    group.requests[event["event_id"]] = Request(by.uid, [user.uid for user in users])
    if len(group.requests) > KEPT_REQUESTS:
        del group.requests[next(iter(group.requests))]
    core.notify(managers(core, group), event)


def expel(call: Call) -> dict[str, object]:
    group, users = call.own_group(), call.targets()
    if not manages(group, call.user):
        raise Refused(880704)
    if any(user.uid not in group.members for user in users):
        raise Refused(880205)
    for user in users:
        if user.uid == group.owner or (group.members[user.uid].is_keeper and call.user.uid != group.owner):
            raise Refused(880705)
    remove(call.core, call.user, group, users)
    return {}


def remove(core: Core, by: User | None, group: Group, users: Sequence[User]) -> None:
    """Take members out of a group, and let them and all others know."""
    everybody = core.users(group.members)
    new_owner = _without(core, group, users)
    facts = {"to_usernames": [short(user) for user in users], "new_owner": new_owner}
    core.notify(everybody, core.event(REMOVED, by, group, **facts))


def leave(call: Call) -> dict[str, object]:
    group = call.own_group()
    everybody = call.core.users(group.members)
    new_owner = _without(call.core, group, [call.user])
    facts = {"to_usernames": [short(call.user)], "new_owner": new_owner}
    call.core.notify(everybody, call.core.event(LEFT, call.user, group, **facts))
    return {"gid": group.gid, "group_name": group.name}


def dissolve(core: Core, group: Group) -> None:
    """End a group."""
    everybody = core.users(group.members)
    _without(core, group, everybody)
    core.state.groups.pop(group.gid, None)
    core.notify(
        everybody, core.event(LEFT, None, group, extra=DISSOLVED, to_usernames=[short(user) for user in everybody])
    )


def of(core: Core, user: User) -> list[Group]:
    """Return the groups of a user."""
    return [group for group in core.state.groups.values() if user.uid in group.members]


def manages(group: Group, user: User) -> bool:
    """Whether a user is a group's owner or one of its keepers."""
    member = group.members.get(user.uid)
    return member is not None and (user.uid == group.owner or member.is_keeper)


def managers(core: Core, group: Group) -> list[User]:
    return [user for user in core.users(group.members) if manages(group, user)]


def shown(group: Group) -> dict[str, Any]:
    """Return a group as pages get it; the SDK calls `flag` group_type."""
    return {
        "gid": group.gid,
        "name": group.name,
        "desc": group.desc,
        "appkey": group.appkey,
        "ctime": group.ctime_ms // 1000,
        "mtime": group.mtime_ms // 1000,
        "avatar": group.avatar,
        "flag": 2 if group.is_public else 1,
    }


def _without(core: Core, group: Group, users: Sequence[User]) -> dict[str, Any]:
    """Take members out; return the new owner if one was needed. A group without members is gone."""
    for user in users:
        group.members.pop(user.uid, None)
    if not group.members:
        core.state.groups.pop(group.gid, None)
    elif group.owner not in group.members:
        group.owner = next(iter(group.members))
        return short(core.state.users[group.owner])
    return {}


def _check(name: str, desc: str) -> None:
    if len(name.encode()) > MAX_NAME:
        raise Refused(880404)
    if len(desc.encode()) > MAX_DESC:
        raise Refused(880405)


CALLS = {
    "create_group": create,
    "update_group_info": update,
    "get_groups_list": mine,
    "get_group_info": info,
    "public_group_list": public,
    "get_group_members": members,
    "add_across_group_member": invite,
    "del_across_group_member": expel,
    "exit_group": leave,
}
