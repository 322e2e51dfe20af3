"""
One call of the REST API, read: its methods return what it brings, and raise `Wrong` if that is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from authsvc.sandbox.core import Core
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import Group, Room, User

MAX_PAGE = 500
_BEIJING = timezone(timedelta(hours=8))

Answer = tuple[int, object]
DONE: Answer = (204, None)


class Wrong(Exception):
    """A call that is refused, with the vendor's code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


def invalid(rule: str) -> Wrong:
    return Wrong(400, 899003, f"parameter invalid: {rule}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A call by an app that is known, `body` parsed from JSON, None if it is none."""

    core: Core
    appkey: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    def user(self, username: object = None) -> User:
        """Return the app's user of this name, or whom the path names."""
        named = self.path.get("username") if username is None else username
        found = self.core.find(self.appkey, named) if isinstance(named, str) else None
        if found is None:
            raise Wrong(404, 899002, "No such user")
        return found

    def users(self, names: object, *, most: int = MAX_PAGE) -> list[User]:
        if not isinstance(names, list) or len(names) > most:
            raise invalid(f"a list of at most {most} usernames")
        return [self.user(name if isinstance(name, str) else "") for name in names]

    def group(self, gid: object = None) -> Group:
        number = self._number(self.path.get("gid") if gid is None else gid)
        if number not in self.core.state.groups:
            raise Wrong(404, 899006, "Group id invalid")
        return self.core.state.groups[number]

    def room(self, number: object = None) -> Room:
        found = self.core.state.rooms.get(self._number(self.path.get("room") if number is None else number))
        if found is None or found.appkey != self.appkey:
            raise invalid("there is no such chatroom")
        return found

    def fields(self) -> dict[str, Any]:
        if not isinstance(self.body, dict):
            raise invalid("the body must be a JSON object")
        return self.body

    def parts(self) -> "list[Asked]":
        """Return the objects of a body that is a list of them."""
        if not isinstance(self.body, list) or len(self.body) > MAX_PAGE:
            raise invalid(f"a list of at most {MAX_PAGE} objects")
        return [replace(self, body=part) for part in self.body]

    def of_app(self) -> "Asked":
        """Return it as one of the app that a member of the body names: its users are meant."""
        return replace(self, appkey=self.text("appkey"))

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields().get(name, default)
        if not isinstance(value, str):
            raise invalid(f"{name} must be a string")
        return value

    def choice(self, name: str, words: Mapping[str, bool]) -> bool:
        """Return what a word of the query means."""
        word = self.query.get(name, "")
        if word not in words:
            raise invalid(f"{name} must be one of {', '.join(words)}")
        return words[word]

    def page(self, name: str, found: list[Any], shown: Callable[[Any], object], most: int = MAX_PAGE) -> Answer:
        """Return the part of a list that `start` and `count` ask for."""
        start, count = (self.query.get(part, default) for part, default in (("start", "0"), ("count", str(most))))
        if not (start.isdecimal() and count.isdecimal() and len(start) < 10 and len(count) < 10 and int(count) <= most):
            raise invalid(f"start and count must be whole numbers, count at most {most}")
        part = found[int(start) : int(start) + int(count)]
        return 200, {"total": len(found), "start": int(start), "count": len(part), name: [shown(one) for one in part]}

    def chat(self, do: Callable[[], object], code: int = 899003) -> None:
        """Do what a page could do too, and refuse it in the words of the REST API."""
        try:
            do()
        except Refused as refused:
            raise Wrong(400, code, f"parameter invalid: {refused.message}") from None

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
            return 0
        return int(str(value)[:19])


def time_of(ms: int) -> str:
    """Return a time as the REST API writes one, which is Beijing's."""
    return f"{datetime.fromtimestamp(ms / 1000, _BEIJING):%Y-%m-%d %H:%M:%S}"


def profile_of(user: User) -> dict[str, object]:
    """Return a user as the REST API shows one: what was never set is not there."""
    names = ("nickname", "avatar", "birthday", "gender", "signature", "region", "address", "extras")
    given = {name: getattr(user, name) for name in names if getattr(user, name)}
    return {"username": user.username, "mtime": time_of(user.mtime_ms), "ctime": time_of(user.ctime_ms)} | given
