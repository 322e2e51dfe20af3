"""
A user's friends, black list, no-disturb and shield, as a back end sets them.
"""

from collections.abc import Callable, Iterable

from authsvc.sandbox.chat import friends
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, Wrong, invalid, profile_of
from authsvc.sandbox.state import MAX_LISTED, User

FRIENDS_CHANGED, NO_DISTURB_CHANGED, BLACKS_CHANGED, SHIELD_CHANGED = 7, 37, 38, 39  # events


def friend_list(asked: Asked) -> Answer:
    user = asked.user()
    return 200, [
        profile_of(other)
        | {
            "note_name": user.friends[other.uid].memo_name,
            "others": user.friends[other.uid].memo_others,
            "appkey": other.appkey,
        }
        for other in asked.core.users(user.friends)
    ]


def add_friends(asked: Asked) -> Answer:
    befriend(asked, asked.users(asked.body))
    return 201, None


def befriend(asked: Asked, others: list[User]) -> None:
    user = asked.user()
    if any(other.uid in user.friends for other in others):
        raise Wrong(403, 899070, "already friends")
    for other in others:
        asked.chat(lambda other=other: friends.befriend(asked.core, user, other))  # type: ignore[misc] # bound at once
    _tell(asked, [user, *others], FRIENDS_CHANGED)


def remove_friends(asked: Asked) -> Answer:
    unfriend(asked, asked.users(asked.body))
    return DONE


def unfriend(asked: Asked, others: list[User]) -> None:
    user = asked.user()
    for other in others:
        user.friends.pop(other.uid, None)
        other.friends.pop(user.uid, None)
    _tell(asked, [user, *others], FRIENDS_CHANGED)


def note_friends(asked: Asked) -> Answer:
    for part in asked.parts():
        annotate(asked, part.user(part.text("username")), part)
    return DONE


def annotate(asked: Asked, other: User, part: Asked) -> None:
    """Note what a part of the body says of a friend."""
    names = {"note_name": "memo_name", "others": "memo_others"}
    given = {names[name]: part.text(name) for name in names if name in part.fields()}
    asked.chat(lambda: friends.note(asked.core, asked.user(), other, given))
    _tell(asked, [asked.user()], FRIENDS_CHANGED)


def blacks(asked: Asked) -> Answer:
    return 200, [profile_of(user) for user in asked.core.users(sorted(asked.user().blacks))]


def add_blacks(asked: Asked) -> Answer:
    change_blacks(asked, added=asked.users(asked.body))
    return DONE


def remove_blacks(asked: Asked) -> Answer:
    change_blacks(asked, removed=asked.users(asked.body))
    return DONE


def change_blacks(asked: Asked, *, added: Iterable[User] = (), removed: Iterable[User] = ()) -> None:
    user = asked.user()
    user.blacks |= {other.uid for other in added}
    user.blacks -= {other.uid for other in removed}
    _bound(user.blacks)
    _tell(asked, [user], BLACKS_CHANGED)


def set_no_disturb(asked: Asked) -> Answer:
    change_no_disturb(asked, asked)
    if "global" in asked.fields():
        asked.user().is_silent = asked.fields()["global"] == 1
    return DONE


def change_no_disturb(asked: Asked, part: Asked) -> None:
    """Change whom the user does not want to be disturbed by, to what a part of the body says."""
    user, fields = asked.user(), part.fields()
    _change(fields.get("single", {}), user.silent_users, lambda name: part.user(name or "").uid)
    _change(fields.get("group", {}), user.silent_groups, lambda gid: part.group(gid or 0).gid)
    _tell(asked, [user], NO_DISTURB_CHANGED)


def set_shield(asked: Asked) -> Answer:
    user = asked.user()
    _change(asked.fields(), user.shielded, lambda gid: asked.group(gid or 0).gid)
    _tell(asked, [user], SHIELD_CHANGED)
    return DONE


def _change(given: object, numbers: set[int], number: Callable[[object], int]) -> None:
    """Add and remove what a member `add` and a member `remove` list."""
    added, removed = (given.get(name, []) if isinstance(given, dict) else None for name in ("add", "remove"))
    if not isinstance(added, list) or not isinstance(removed, list):
        raise invalid("add and remove must be lists")
    plus, minus = {number(one) for one in added}, {number(one) for one in removed}
    numbers |= plus
    numbers -= minus
    _bound(numbers)


def _bound(numbers: set[int]) -> None:
    while len(numbers) > MAX_LISTED:
        numbers.pop()


def _tell(asked: Asked, users: list[User], event_type: int) -> None:
    for user in users:
        asked.core.notify([user], asked.core.event(event_type, user))


CALLS = {
    ("GET", "/v1/users/{username}/friends"): friend_list,
    ("POST", "/v1/users/{username}/friends"): add_friends,
    ("DELETE", "/v1/users/{username}/friends"): remove_friends,
    ("PUT", "/v1/users/{username}/friends"): note_friends,
    ("GET", "/v1/users/{username}/blacklist"): blacks,
    ("PUT", "/v1/users/{username}/blacklist"): add_blacks,
    ("DELETE", "/v1/users/{username}/blacklist"): remove_blacks,
    ("POST", "/v1/users/{username}/nodisturb"): set_no_disturb,
    ("POST", "/v1/users/{username}/groupsShield"): set_shield,
}
