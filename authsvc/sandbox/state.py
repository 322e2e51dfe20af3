"""
All that the sandbox knows, as plain data: what `--state` keeps over a restart is exactly this.

Imports nothing of the project. Users, groups and rooms are referred to by number; every list has a bound.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

MAX_USERS = 20_000
MAX_GROUPS = 2_000
MAX_MEMBERS = 500  # of a group; the vendor's
MAX_ROOMS = 200
MAX_LISTED = 500  # on each list of a user: friends, invitations, black list, no-disturb, shield
KEPT_MESSAGES = 20_000
KEPT_OF_CONVERSATION = 500
KEPT_CONVERSATIONS = 500  # of a user
KEPT_EVENTS = 200  # that a user has missed, and receipts
KEPT_REQUESTS = 200  # to join a group
KEPT_ROOM_MESSAGES = 20


@dataclass(slots=True)
class Friend:
    """What a user has noted of a friend; `mtime` in seconds."""

    memo_name: str = ""
    memo_others: str = ""
    mtime: int = 0


@dataclass(slots=True)
class User:
    """An IM account. `password` is the form in which the SDK sends it: the MD5, 32 lower-case hex."""

    uid: int
    appkey: str
    username: str
    password: str = field(repr=False)
    ctime_ms: int = 0
    mtime_ms: int = 0
    nickname: str = ""
    avatar: str = ""
    birthday: str = ""
    gender: int = 0
    signature: str = ""
    region: str = ""
    address: str = ""
    extras: dict[str, Any] = field(default_factory=dict)
    is_admin: bool = False
    is_disabled: bool = False
    devices: dict[str, int] = field(default_factory=dict)  # the last login by platform, Unix seconds
    conversations: dict[str, int] = field(default_factory=dict)  # by "3:uid" and "4:gid", the last message's time in ms
    waiting: set[int] = field(default_factory=set)  # messages that no device of the user has acknowledged
    events: list[dict[str, Any]] = field(default_factory=list)  # that nobody was there to hear
    receipts: list[dict[str, Any]] = field(default_factory=list)  # the same
    friends: dict[int, Friend] = field(default_factory=dict)
    invitations: dict[int, str] = field(default_factory=dict)  # by who invites, why
    blacks: set[int] = field(default_factory=set)
    silent_users: set[int] = field(default_factory=set)
    silent_groups: set[int] = field(default_factory=set)
    is_silent: bool = False
    shielded: set[int] = field(default_factory=set)  # groups


@dataclass(slots=True)
class Member:
    """One user's place in a group."""

    is_keeper: bool = False
    is_silenced: bool = False


@dataclass(slots=True)
class Request:
    """Who is to join a group, asked for by himself or by a member."""

    by: int
    targets: list[int]


@dataclass(slots=True)
class Group:
    """A group, with its members in the order in which they came."""

    gid: int
    appkey: str
    name: str
    owner: int
    desc: str = ""
    avatar: str = ""
    is_public: bool = False
    ctime_ms: int = 0
    mtime_ms: int = 0
    members: dict[int, Member] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)  # by the id of the event that asked


@dataclass(slots=True)
class Room:
    """A chatroom, with its latest messages."""

    id: int
    appkey: str
    name: str
    description: str = ""
    owner: int = 0
    max_member_count: int = 500
    ctime_ms: int = 0
    members: set[int] = field(default_factory=set)
    silenced: set[int] = field(default_factory=set)
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Message:
    """
    A message of a single conversation or of a group: `to` is a uid or a gid, `content` JSON as pages get it.

    There are thousands: what it has is of the kinds that the garbage collector does not visit.
    """

    msg_id: int
    is_group: bool
    sender: int
    to: int
    ctime_ms: int
    content: str
    is_across_apps: bool = False
    need_receipt: bool = False
    custom_notification: dict[str, Any] = field(default_factory=dict)
    receivers: dict[int, bool] = field(default_factory=dict)  # by uid, whether he has reported to have read it
    is_retracted: bool = False
    read_ms: int = 0  # when it was last reported to have been read

    def unread(self) -> list[int]:
        return [uid for uid, is_read in self.receivers.items() if not is_read]


@dataclass(slots=True)
class SensitiveWords:
    """What pages of an app may not write while this is on, by word the time since when, Unix milliseconds."""

    words: dict[str, int] = field(default_factory=dict)
    is_on: bool = True


@dataclass(slots=True)
class Upload:
    """One file with what the vendor returns of it; its content is kept apart."""

    name: str
    format: str


@dataclass(slots=True)
class Storage:
    """The keys that sign the URLs of files, the files by media_id, and the users of upload tokens by token."""

    access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(30), repr=False)
    files: dict[str, Upload] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class State:
    """Everything. `last_id` is the last number that was given to a user, group, room, message or event."""

    last_id: int = 0
    is_register_open: bool = True
    storage: Storage = field(default_factory=Storage)
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    rooms: dict[int, Room] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)  # oldest first
    sensitive: dict[str, SensitiveWords] = field(default_factory=dict)  # by appkey
