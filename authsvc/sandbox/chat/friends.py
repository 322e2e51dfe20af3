"""
Friends: invited, accepted or declined, noted, removed.
"""

import json
from typing import Any

from authsvc.sandbox.call import Call
from authsvc.sandbox.core import Core, profile, short
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import MAX_LISTED, Friend, User

INVITED, UNFRIENDED, OWN_DEVICES = 5, 6, 100  # events
INVITE, ANSWER = 1, 2  # from_type, and what the event says in `extra`
YES = "yes"
DECLINED = 1  # a return_code that is not 0
ADDED, REMOVED, NOTED = 5, 6, 7  # what the event for one's own devices says in `extra`
MAX_MEMO, MAX_OTHERS = 64, 250  # bytes


def add(call: Call) -> dict[str, object]:
    """Invite, or answer an invitation: one event does both."""
    user, target, why = call.user, call.target("target_name"), call.text("why")
    if len(why.encode()) > MAX_OTHERS:
        raise Refused(880003)
    if call.data.get("from_type") == ANSWER:
        return _answer(call, user, target, why)
    if target.uid in user.friends:
        raise Refused(881302)
    if user.uid in target.blacks:
        raise Refused(880207)
    if target is user or len(target.invitations) >= MAX_LISTED:
        raise Refused(880903)
    target.invitations[user.uid] = why
    call.core.notify([target], call.core.event(INVITED, user, extra=INVITE, description=why))
    return {}


def _answer(call: Call, user: User, target: User, why: str) -> dict[str, object]:
    if user.invitations.pop(target.uid, None) is None:
        raise Refused(881305)
    if why == YES:
        befriend(call.core, user, target)
        _tell_devices(call, target, ADDED)
    facts: dict[str, Any] = {"extra": ANSWER, "description": why, "return_code": 0 if why == YES else DECLINED}
    call.core.notify([target], call.core.event(INVITED, user, **facts))
    return {}


def befriend(core: Core, one: User, other: User) -> None:
    """Make two users friends of each other. Raises Refused."""
    if max(len(one.friends), len(other.friends)) >= MAX_LISTED:
        raise Refused(880903)
    mtime = core.clock() // 1000
    one.friends[other.uid] = Friend(mtime=mtime)
    other.friends[one.uid] = Friend(mtime=mtime)


def remove(call: Call) -> dict[str, object]:
    target = call.target("target_name")
    if call.user.friends.pop(target.uid, None) is None:
        raise Refused(881303)
    target.friends.pop(call.user.uid, None)
    call.core.notify([target], call.core.event(UNFRIENDED, call.user, to_usernames=[short(target)]))
    _tell_devices(call, target, REMOVED)
    return {}


def annotate(call: Call) -> dict[str, object]:
    target = call.target("target_name")
    given = {"memo_name": call.text("memo_name")}
    if "memo_others" in call.data:
        given["memo_others"] = call.text("memo_others")
    text = json.dumps(note(call.core, call.user, target, given), ensure_ascii=False)
    _tell_devices(call, target, NOTED, description=text)  # the SDK parses it
    return {}


def note(core: Core, user: User, target: User, given: dict[str, str]) -> dict[str, str]:
    """Change what a user has noted of a friend, and return all of it. Raises Refused."""
    friend = user.friends.get(target.uid)
    if friend is None:
        raise Refused(881303)
    noted = {"memo_name": friend.memo_name, "memo_others": friend.memo_others} | given
    if len(noted["memo_name"].encode()) > MAX_MEMO or len(noted["memo_others"].encode()) > MAX_OTHERS:
        raise Refused(881304)
    friend.memo_name, friend.memo_others, friend.mtime = noted["memo_name"], noted["memo_others"], core.clock() // 1000
    return noted


def listed(call: Call) -> dict[str, object]:
    return {"friend_list": [shown(user, call.user.friends[user.uid]) for user in call.core.users(call.user.friends)]}


def shown(user: User, friend: Friend) -> dict[str, object]:
    return profile(user) | {"memo_name": friend.memo_name, "memo_others": friend.memo_others}


def _tell_devices(call: Call, target: User, extra: int, description: str = "") -> None:
    facts = {"to_usernames": [short(target)], "media_id": target.avatar, "description": description}
    call.own_devices(OWN_DEVICES, extra=extra, **facts)


CALLS = {
    "add_friend": add,
    "del_friend": remove,
    "update_friend_memo": annotate,
    "get_friend_list": listed,
}
