"""
What every subject stands on: who there is and who is online, what is pushed to whom, numbers and the time.
"""

import asyncio
import hmac
import itertools
import json
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from authsvc.sandbox.behaviour import Behaviour
from authsvc.sandbox.connection import Socket, encoded_event
from authsvc.sandbox.files import Files
from authsvc.sandbox.record import Recorded
from authsvc.sandbox.state import KEPT_EVENTS, MAX_USERS, Group, Message, Room, State, User

KEPT_ANSWERS = 64  # of a user, and of a connection that nobody has logged in on
KEPT_RECORD = 1_000
PROFILE = ("nickname", "avatar", "birthday", "gender", "signature", "region", "address", "extras")
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}")


class Answers(OrderedDict[int, bytes]):
    """Answers by what they answer: a packet that comes again is a retransmission, and gets the same one."""

    def keep(self, packet: int, answer: bytes) -> None:
        self[packet] = answer
        if len(self) > KEPT_ANSWERS:
            self.popitem(last=False)


@dataclass(slots=True, eq=False)
class Line:
    """A connection, and how far it has come: `user` is who has logged in on it."""

    socket: Socket
    appkey: str | None = None
    user: User | None = None
    platform: str = "web"
    pushed: set[int] = field(default_factory=set)  # messages that went out on it and are not acknowledged
    answers: Answers = field(default_factory=Answers)
    work: set[asyncio.Task[None]] = field(default_factory=set)


class Clock:
    """The sandbox's time, which a test may stop or move: what a real clock says and `offset_ms`, or `frozen_ms`."""

    def __init__(self, real_ms: Callable[[], int]) -> None:
        self.real_ms = real_ms
        self.offset_ms = 0
        self.frozen_ms: int | None = None

    def __call__(self) -> int:
        return self.real_ms() + self.offset_ms if self.frozen_ms is None else self.frozen_ms


class Core:
    """The state, and the connections of those who are online."""

    def __init__(self, state: State, files: Files, clock: Clock, base: str) -> None:
        """Take what it works with; `base` is where the URLs of files begin."""
        self.files = files
        self.base = base
        self.clock = clock
        self.behaviour = Behaviour()
        self.refusals: dict[str, list[int]] = {}  # by the name of an event, codes for the next ones
        self.record: deque[Recorded] = deque(maxlen=KEPT_RECORD)
        self.recorded = itertools.count(1)
        self.online: dict[int, list[Line]] = {}
        self.answers: dict[int, Answers] = {}
        self.state = state
        self.begin(state)

    def begin(self, state: State) -> None:
        """Take a state over; nobody is online in it."""
        self.state = state
        self.online.clear()
        self.answers.clear()
        self.names = {(user.appkey, user.username): user for user in state.users.values()}
        self.threads: dict[tuple[int, ...], deque[int]] = {}
        for message in state.messages.values():
            self.threads.setdefault(thread_of(message), deque()).append(message.msg_id)
        state.last_id = state.last_id or self.clock() // 1000  # as long as the vendor's, and no number comes twice

    def new_id(self) -> int:
        """Return a number that nothing else has."""
        self.state.last_id += 1
        return self.state.last_id

    def url_of(self, media_id: str) -> str:
        """Return where a file is from now on, for as long as such a URL lives."""
        return self.files.url(self.base, media_id, self.clock() // 1000 + self.behaviour.url_lives_s)

    def find(self, appkey: str, username: str) -> User | None:
        return self.names.get((appkey, username))

    def add_user(self, appkey: str, username: str, password_md5: str, **profile: Any) -> User:
        """Make an account. Raises KeyError if there is one, ValueError for a name or a profile that is none."""
        if not _USERNAME.fullmatch(username):
            raise ValueError("username: must be 4 to 128 of A-Z a-z 0-9 _ . - @, and begin with a letter or digit")
        if (appkey, username) in self.names:
            raise KeyError(username)
        if len(self.state.users) >= MAX_USERS:
            raise ValueError(f"username: the sandbox keeps {MAX_USERS} users")
        check_profile(profile)
        now_ms = self.clock()
        user = User(self.new_id(), appkey, username, password_md5.lower(), now_ms, now_ms, **profile)
        self.names[appkey, username] = self.state.users[user.uid] = user
        return user

    def delete_user(self, user: User) -> None:
        """Remove an account from wherever it is named, but for what it has sent."""
        del self.names[user.appkey, user.username], self.state.users[user.uid]
        self.answers.pop(user.uid, None)
        for other in self.state.users.values():
            other.friends.pop(user.uid, None)
            other.invitations.pop(user.uid, None)
            other.conversations.pop(f"3:{user.uid}", None)
            other.blacks.discard(user.uid)
            other.silent_users.discard(user.uid)
        for room in self.state.rooms.values():
            room.members.discard(user.uid)

    def lines(self, user: User, *, but: Line | None = None) -> list[Line]:
        """Return the connections on which this user is logged in."""
        return [line for line in self.online.get(user.uid, ()) if line is not but]

    def join(self, line: Line, user: User) -> None:
        """Log a user in on a connection."""
        line.user = user
        self.online.setdefault(user.uid, []).append(line)

    def leave(self, line: Line) -> None:
        """Log out whoever is logged in on it."""
        if line.user is not None:
            lines = self.online[line.user.uid]
            lines.remove(line)
            if not lines:
                del self.online[line.user.uid]
            line.user = None
            line.pushed.clear()

    def push(self, users: Iterable[User], event: str, data: object, *, but: Line | None = None) -> list[User]:
        """Send an event to all connections of these users, but for one; return those who have none."""
        packet, missed = encoded_event(event, data), []
        for user in users:
            lines = self.lines(user, but=but)
            for line in lines:
                line.socket.send(packet)
            if not lines:
                missed.append(user)
        return missed

    def event(
        self, event_type: int, by: User | None = None, group: Group | Room | None = None, **facts: Any
    ) -> dict[str, Any]:
        """Return an event notification with all members that a page may look at, and these facts in it."""
        now_ms = self.clock()
        named = group if isinstance(group, Group) else None
        return {
            "event_id": self.new_id(),
            "event_type": event_type,
            "from_uid": by.uid if by else 0,
            "from_username": by.username if by else "",
            "from_appkey": by.appkey if by else "",
            "from_nickname": by.nickname if by else "",
            "media_id": named.avatar if named else (by.avatar if by else ""),
            "gid": named.gid if named else 0,
            "from_gid": named.gid if named else 0,
            "group_name": named.name if named else "",
            "to_usernames": [],
            "to_groups": [],
            "ctime": now_ms // 1000,
            "ctime_ms": now_ms,
            "extra": 0,
            "return_code": 0,
            "description": "",
            "msg_ids": [],
            "msgid_list": [],
            "new_owner": {},
            "from_eventid": 0,
        } | facts

    def notify(self, to: Iterable[User], event: dict[str, Any]) -> None:
        """Push an event notification to each of them; who is not online gets it after the next login."""
        for user in self.push({user.uid: user for user in to}.values(), "event_notification", event):
            user.events.append(event)
            del user.events[:-KEPT_EVENTS]

    def notify_devices(self, line: Line, event: dict[str, Any]) -> None:
        """Push an event to the other devices of whoever is logged in here."""
        if line.user is not None:
            self.push([line.user], "event_notification", event, but=line)

    def kick(self, line: Line, event: dict[str, Any]) -> None:
        """Log a connection out, and let it know why."""
        line.socket.emit("event_notification", event)
        self.leave(line)

    def users(self, uids: Iterable[int]) -> list[User]:
        """Return the users of these numbers, without those that were deleted."""
        return [self.state.users[uid] for uid in uids if uid in self.state.users]


def thread_of(message: Message) -> tuple[int, ...]:
    """Return what names the conversation that a message belongs to."""
    return (message.to,) if message.is_group else tuple(sorted((message.sender, message.to)))


def short(user: User) -> dict[str, Any]:
    """Return a user as events and lists name one."""
    return {
        "username": user.username,
        "appkey": user.appkey,
        "nickname": user.nickname,
        "avatar": user.avatar,
    }


def profile(user: User) -> dict[str, Any]:
    """Return all that the SDK shows of a user."""
    shown = {name: getattr(user, name) for name in PROFILE}
    return {"uid": user.uid, "username": user.username, "appkey": user.appkey, "mtime": user.mtime_ms // 1000} | shown


def is_password(user: User, password_md5: str) -> bool:
    return hmac.compare_digest(user.password.encode(), password_md5.lower().encode())


_LONGEST = {"nickname": 64, "avatar": 255, "birthday": 32, "signature": 250, "region": 250, "address": 250}


def check_profile(given: dict[str, Any]) -> None:
    """Raise ValueError, which names the member and the rule, unless these can be members of a profile."""
    for name, value in given.items():
        if name == "gender":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2:
                raise ValueError("gender: must be 0, 1 or 2")
        elif name == "extras":
            if not isinstance(value, dict) or len(json.dumps(value, ensure_ascii=False).encode()) > 512:
                raise ValueError("extras: must be an object of at most 512 bytes")
        elif not isinstance(value, str) or len(value.encode()) > _LONGEST[name]:
            raise ValueError(f"{name}: must be text of at most {_LONGEST[name]} bytes")
