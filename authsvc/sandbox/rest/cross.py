"""
Users of other apps in an app's groups and on its users' lists.

Source: the vendor's REST API, "cross-application"; what it returns for an app that is not there is unknown.
"""

from collections.abc import Iterator

from authsvc.sandbox.chat.groups import of
from authsvc.sandbox.core import short
from authsvc.sandbox.rest import groups, lists
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, profile_of
from authsvc.sandbox.state import MAX_MEMBERS, User


def update_members(asked: Asked) -> Answer:
    for part in asked.parts():
        groups.update_members(part.of_app())
    return DONE


def groups_of(asked: Asked) -> Answer:
    found = of(asked.core, asked.user())
    return 200, [groups.shown(group) | {"max_member_count": MAX_MEMBERS} for group in found]


def blacks(asked: Asked) -> Answer:
    return 200, [short(user) | profile_of(user) for user in asked.core.users(sorted(asked.user().blacks))]


def add_blacks(asked: Asked) -> Answer:
    lists.change_blacks(asked, added=list(_named(asked)))
    return DONE


def remove_blacks(asked: Asked) -> Answer:
    lists.change_blacks(asked, removed=list(_named(asked)))
    return DONE


def set_no_disturb(asked: Asked) -> Answer:
    for part in asked.parts():
        lists.change_no_disturb(asked, part.of_app())
    return DONE


def add_friends(asked: Asked) -> Answer:
    lists.befriend(asked, asked.of_app().users(asked.fields().get("users")))
    return 201, None


def remove_friends(asked: Asked) -> Answer:
    lists.unfriend(asked, asked.of_app().users(asked.fields().get("users")))
    return DONE


def note_friends(asked: Asked) -> Answer:
    for part in asked.parts():
        lists.annotate(asked, part.of_app().user(part.text("username")), part)
    return DONE


def _named(asked: Asked) -> Iterator[User]:
    for part in asked.parts():
        yield from part.of_app().users(part.fields().get("usernames"))


CALLS = {
    ("POST", "/v1/cross/groups/{gid}/members"): update_members,
    ("GET", "/v1/cross/groups/{gid}/members"): groups.members,
    ("GET", "/v1/cross/users/{username}/groups"): groups_of,
    ("GET", "/v1/cross/users/{username}/blacklist"): blacks,
    ("PUT", "/v1/cross/users/{username}/blacklist"): add_blacks,
    ("DELETE", "/v1/cross/users/{username}/blacklist"): remove_blacks,
    ("POST", "/v1/cross/users/{username}/nodisturb"): set_no_disturb,
    ("POST", "/v1/cross/users/{username}/friends"): add_friends,
    ("DELETE", "/v1/cross/users/{username}/friends"): remove_friends,
    ("PUT", "/v1/cross/users/{username}/friends"): note_friends,
}
