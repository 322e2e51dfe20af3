"""
All that the sandbox knows, as plain data: what `--state` keeps over a restart is exactly this.

Imports nothing of the project.
"""

import secrets
from dataclasses import dataclass, field


@dataclass(slots=True)
class User:
    """An IM account. `password` is the form in which the SDK sends it: the MD5, 32 lower-case hex."""

    appkey: str
    username: str
    password: str = field(repr=False)


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
    """Everything."""

    storage: Storage = field(default_factory=Storage)
    users: list[User] = field(default_factory=list)
