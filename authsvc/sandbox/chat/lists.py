"""
What a user does not want to hear of: the black list, no-disturb, and groups that are shielded.

No-disturb is for an app's notifications; here it changes nothing but the list.
"""

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat import groups
from authsvc.sandbox.core import profile, short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import MAX_LISTED, Group

BLACK, NO_DISTURB, SHIELD = 101, 102, 103  # events
ADDED, REMOVED = 1, 2  # what those of black list and shield say in `extra`


def blacks(call: Call) -> dict[str, object]:
    return {"black_list": [profile(user) for user in call.core.users(sorted(call.user.blacks))]}


def add_blacks(call: Call) -> dict[str, object]:
    users = call.targets()
    if call.user in users or len(call.user.blacks) + len(users) > MAX_LISTED:
        raise Refused(880903)
    if any(user.uid in call.user.blacks for user in users):
        raise Refused(880904)
    call.user.blacks |= {user.uid for user in users}
    call.own_devices(BLACK, extra=ADDED, to_usernames=[short(user) for user in users])
    return {}


def remove_blacks(call: Call) -> dict[str, object]:
    users = call.targets()
    call.user.blacks -= {user.uid for user in users}
    call.own_devices(BLACK, extra=REMOVED, to_usernames=[short(user) for user in users])
    return {}


def no_disturb(call: Call) -> dict[str, object]:
    user = call.user
    found = [call.core.state.groups[gid] for gid in sorted(user.silent_groups) if gid in call.core.state.groups]
    users = [short(silent) for silent in call.core.users(sorted(user.silent_users))]
    shown = [groups.shown(group) for group in found]
    return {"no_disturb": {"global": int(user.is_silent), "users": users, "groups": shown}}


def add_silent_user(call: Call) -> dict[str, object]:
    user = call.target("target_name")
    _add(call.user.silent_users, user.uid, 881101)
    call.own_devices(NO_DISTURB, extra=31, to_usernames=[short(user)])
    return {}


def remove_silent_user(call: Call) -> dict[str, object]:
    user = call.target("target_name")
    _remove(call.user.silent_users, user.uid, 881102)
    call.own_devices(NO_DISTURB, extra=32, to_usernames=[short(user)])
    return {}


def add_silent_group(call: Call) -> dict[str, object]:
    group = call.own_group()
    _add(call.user.silent_groups, group.gid, 881105)
    call.own_devices(NO_DISTURB, extra=33, to_groups=_named(group))
    return {}


def remove_silent_group(call: Call) -> dict[str, object]:
    group = call.group()
    _remove(call.user.silent_groups, group.gid, 881106)
    call.own_devices(NO_DISTURB, extra=34, to_groups=_named(group))
    return {}


def set_silent(call: Call) -> dict[str, object]:
    if call.user.is_silent:
        raise Refused(881107)
    call.user.is_silent = True
    call.own_devices(NO_DISTURB, extra=35)
    return {}


def unset_silent(call: Call) -> dict[str, object]:
    if not call.user.is_silent:
        raise Refused(881108)
    call.user.is_silent = False
    call.own_devices(NO_DISTURB, extra=36)
    return {}


def shielded(call: Call) -> dict[str, object]:
    found = [call.core.state.groups[gid] for gid in sorted(call.user.shielded) if gid in call.core.state.groups]
    return {"groups": [groups.shown(group) for group in found]}


def add_shield(call: Call) -> dict[str, object]:
    group = call.own_group()
    _add(call.user.shielded, group.gid, 881203)
    call.own_devices(SHIELD, extra=ADDED, to_groups=_named(group))
    return {}


def remove_shield(call: Call) -> dict[str, object]:
    group = call.group()
    _remove(call.user.shielded, group.gid, 881204)
    call.own_devices(SHIELD, extra=REMOVED, to_groups=_named(group))
    return {}


def _add(numbers: set[int], number: int, already: int) -> None:
    if number in numbers:
        raise Refused(already)
    if len(numbers) >= MAX_LISTED:
        raise Refused(882005)
    numbers.add(number)


def _remove(numbers: set[int], number: int, never: int) -> None:
    if number not in numbers:
        raise Refused(never)
    numbers.discard(number)


def _named(group: Group) -> list[dict[str, object]]:
    return [{"gid": group.gid, "name": group.name}]


CALLS = {
    "get_black_list": blacks,
    "add_black_list": add_blacks,
    "del_black_list": remove_blacks,
    "no_disturb": no_disturb,
    "add_msg_no_disturb_single": add_silent_user,
    "delete_msg_no_disturb_single": remove_silent_user,
    "add_msg_no_disturb_group": add_silent_group,
    "delete_msg_no_disturb_group": remove_silent_group,
    "add_msg_no_disturb_global": set_silent,
    "delete_msg_no_disturb_global": unset_silent,
    "list_shield_group": shielded,
    "add_msg_shield_group": add_shield,
    "del_msg_shield_group": remove_shield,
}
