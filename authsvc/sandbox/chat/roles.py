"""
What owner and keepers of a group may do: silence, name keepers, hand the group over, end it, and decide who joins.
"""

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat import groups
from authsvc.sandbox.core import short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import Group, Member, User

REFUSED, REFUSED_BY, SILENCE, KEEPERS, NEW_OWNER = 57, 58, 65, 80, 82  # events
ON, OFF = 1, 2  # what the events of silence and keepers say in `extra`
YES = 0


def silence(call: Call) -> dict[str, object]:
    group, user = call.own_group(), call.target("target_username", "target_appkey")
    if not groups.manages(group, call.user) or user.uid == group.owner:
        raise Refused(881701)
    is_silenced = call.data.get("keep_silence") is True
    _member(group, user).is_silenced = is_silenced
    _tell(call, group, SILENCE, [user], extra=ON if is_silenced else OFF)
    return {}


def add_keepers(call: Call) -> dict[str, object]:
    return _set_keepers(call, is_keeper=True)


def remove_keepers(call: Call) -> dict[str, object]:
    return _set_keepers(call, is_keeper=False)


def hand_over(call: Call) -> dict[str, object]:
    group, user = _owned(call), call.target("target_username", "target_appkey")
    _member(group, user).is_keeper = False
    group.owner = user.uid
    _tell(call, group, NEW_OWNER, [user])
    return {}


def dissolve(call: Call) -> dict[str, object]:
    groups.dissolve(call.core, _owned(call))
    return {}


def apply(call: Call) -> dict[str, object]:
    """Ask to join a public group."""
    group = call.group()
    if call.user.uid in group.members:
        raise Refused(880610)
    if not group.is_public:
        raise Refused(880604)
    groups.ask(call.core, group, call.user, [call.user], call.text("reason", ""))
    return {}


def decide(call: Call) -> dict[str, object]:
    """Answer a request to join: all whom it names are let in, or nobody."""
    group, event_id, reason = call.own_group(), call.number("event_id"), call.text("reason", "")
    is_let_in = call.number("result") == YES
    for name in ("from", "target"):
        call.target(f"{name}_username", f"{name}_appkey")
    if not groups.manages(group, call.user):
        raise Refused(880614)
    request = group.requests.pop(event_id, None)
    if request is None:
        raise Refused(880612)
    users = [user for user in call.core.users(request.targets) if user.uid not in group.members]
    if is_let_in:
        groups.add(call.core, call.user, group, users)
        return {}
    named = [short(user) for user in users]
    event = call.core.event(REFUSED, call.user, group, to_usernames=named, description=reason)
    call.core.notify(call.core.users([request.by]), event)
    event = call.core.event(REFUSED_BY, call.user, group, to_usernames=named, description=reason, from_eventid=event_id)
    call.core.notify(groups.managers(call.core, group), event)
    return {}


def _set_keepers(call: Call, *, is_keeper: bool) -> dict[str, object]:
    group, users = _owned(call), call.targets()
    for member in [_member(group, user) for user in users if user.uid != group.owner]:
        member.is_keeper = is_keeper
    _tell(call, group, KEEPERS, users, extra=ON if is_keeper else OFF)
    return {}


def _owned(call: Call) -> Group:
    group = call.own_group()
    if group.owner != call.user.uid:
        raise Refused(881701)
    return group


def _member(group: Group, user: User) -> Member:
    if user.uid not in group.members:
        raise Refused(880205)
    return group.members[user.uid]


def _tell(call: Call, group: Group, event_type: int, users: list[User], extra: int = 0) -> None:
    event = call.core.event(event_type, call.user, group, extra=extra, to_usernames=[short(user) for user in users])
    call.core.notify(call.core.users(group.members), event)


CALLS = {
    "group_mem_silence": silence,
    "add_group_keeper": add_keepers,
    "del_group_keeper": remove_keepers,
    "change_group_admin": hand_over,
    "dissolve_group": dissolve,
    "apply_join_group": apply,
    "admin_add_group_member": decide,
}
