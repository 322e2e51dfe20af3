"""
One event that a connection asks for, read: its methods return what it brings, and raise `Refused` if that is none.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from authsvc.sandbox.core import Core, Line
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import Group, User


class Call:
    """What is asked for, on which connection."""

    def __init__(self, core: Core, line: Line, data: dict[str, Any]) -> None:
        self.core = core
        self.line = line
        self.data = data
        self.afterwards: list[Callable[[], None]] = []  # done once the answer has gone out

    @property
    def appkey(self) -> str:
        if self.line.appkey is None:
            raise Refused(882004)
        return self.line.appkey

    @property
    def user(self) -> User:
        """Who is logged in: the gateway lets no call through without."""
        return cast("User", self.line.user)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.data.get(name, default)
        if not isinstance(value, str):
            raise Refused(880002, f"{name}: must be a string")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Return a whole number, which may also come as its digits."""
        return whole(self.data.get(name, default), name)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.data.get(name)
        if not isinstance(value, dict):
            raise Refused(880002, f"{name}: must be an object")
        return value

    def target(self, name: str, appkey: str = "appkey") -> User:
        """Return the user whom two members name; without an appkey, one of the caller's own app."""
        return self._known(self.text(name), self.text(appkey, "") or self.appkey)

    def targets(self) -> list[User]:
        """Return the users of `member_usernames`, each once."""
        given = self.data.get("member_usernames")
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise Refused(880002, "member_usernames: must be a list of objects")
        if not given:
            raise Refused(880602)
        calls = [Call(self.core, self.line, one) for one in given]
        return list({user.uid: user for user in (call.target("username") for call in calls)}.values())

    def group(self, gid: object = None) -> Group:
        """Return the group of this number, or of the event's `gid`."""
        found = self.core.state.groups.get(whole(self.data.get("gid") if gid is None else gid, "gid"))
        if found is None:
            raise Refused(880204)
        return found

    def own_group(self, gid: object = None) -> Group:
        """Return the group, of which the caller is a member."""
        group = self.group(gid)
        if self.user.uid not in group.members:
            raise Refused(880205)
        return group

    def own_devices(self, event_type: int, **facts: Any) -> None:
        """Let the other devices of the user know of what was done here."""
        self.core.notify_devices(self.line, self.core.event(event_type, self.user, **facts))

    def _known(self, username: str, appkey: str) -> User:
        user = self.core.find(appkey, username)
        if user is None:
            raise Refused(880203)
        return user


def whole(value: object, name: str) -> int:
    """Return a whole number that comes as one or as its digits. Raises Refused for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(880002, f"{name}: must be a whole number")
    return value
