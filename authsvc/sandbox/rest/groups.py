"""
Groups as a back end makes and changes them; their members are told as by a page.
"""

from authsvc.sandbox.chat import groups
from authsvc.sandbox.core import short
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, Wrong, invalid, profile_of, time_of
from authsvc.sandbox.state import MAX_MEMBERS, Group


def create(asked: Asked) -> Answer:
    owner = asked.user(asked.text("owner_username"))
    users = [user for user in asked.users(asked.fields().get("members_username") or []) if user is not owner]
    made: list[Group] = []
    asked.chat(
        lambda: made.append(
            groups.make(
                asked.core,
                owner,
                asked.text("name"),
                desc=asked.text("desc", ""),
                avatar=asked.text("avatar", ""),
                is_public=asked.fields().get("flag") == 2,
            )
        )
    )
    (group,) = made
    if users:
        asked.chat(lambda: groups.add(asked.core, owner, group, list({user.uid: user for user in users}.values())))
    return 201, {
        "gid": group.gid,
        "owner_username": owner.username,
        "name": group.name,
        "members_username": [user.username for user in users],
        "desc": group.desc,
        "MaxMemberCount": MAX_MEMBERS,
    }


def listed(asked: Asked) -> Answer:
    found = [group for group in asked.core.state.groups.values() if group.appkey == asked.appkey]
    return asked.page("groups", found, shown)


def of_user(asked: Asked) -> Answer:
    return 200, [shown(group) for group in groups.of(asked.core, asked.user())]


def get(asked: Asked) -> Answer:
    return 200, shown(asked.group())


def update(asked: Asked) -> Answer:
    group = asked.group()
    name, desc, avatar = (
        asked.text(key, old) for key, old in (("name", group.name), ("desc", group.desc), ("avatar", group.avatar))
    )
    asked.chat(lambda: groups.change(asked.core, None, group, name=name, desc=desc, avatar=avatar))
    return DONE


def remove(asked: Asked) -> Answer:
    groups.dissolve(asked.core, asked.group())
    return DONE


def members(asked: Asked) -> Answer:
    group = asked.group()
    return 200, [
        short(user)
        | profile_of(user)
        | {"flag": 1 if user.uid == group.owner else 2 * group.members[user.uid].is_keeper}
        for user in asked.core.users(group.members)
    ]


def update_members(asked: Asked) -> Answer:
    group, fields = asked.group(), asked.fields()
    if not fields.keys() & {"add", "remove"}:
        raise invalid("add or remove must be there")
    added, removed = asked.users(fields.get("add", [])), asked.users(fields.get("remove", []))
    if any(user.uid in group.members for user in added):
        raise Wrong(403, 899011, "user already in the group")
    if any(user.uid not in group.members for user in removed):
        raise Wrong(403, 899014, "user not in the group")
    if added:
        asked.chat(lambda: groups.add(asked.core, None, group, added), 899012)
    if removed:
        groups.remove(asked.core, None, group, removed)
    return DONE


def shown(group: Group) -> dict[str, object]:
    return {
        "gid": group.gid,
        "name": group.name,
        "desc": group.desc,
        "appkey": group.appkey,
        "avatar": group.avatar,
        "flag": 2 if group.is_public else 1,
        "MaxMemberCount": MAX_MEMBERS,
        "mtime": time_of(group.mtime_ms),
        "ctime": time_of(group.ctime_ms),
    }


CALLS = {
    ("POST", "/v1/groups"): create,
    ("GET", "/v1/groups"): listed,
    ("GET", "/v1/users/{username}/groups"): of_user,
    ("GET", "/v1/groups/{gid}"): get,
    ("PUT", "/v1/groups/{gid}"): update,
    ("DELETE", "/v1/groups/{gid}"): remove,
    ("GET", "/v1/groups/{gid}/members"): members,
    ("POST", "/v1/groups/{gid}/members"): update_members,
}
