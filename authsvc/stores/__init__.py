"""
The two stores behind the `Store` protocol, chosen by URL. May import `outbound` and the floor.

The module of a store is imported when a store is opened: redis alone takes 0.14 s, and most installations do not use
it. Imports `clock`, `errors`, `store` and `redis_url`.
"""

import re
from collections.abc import Callable
from pathlib import Path

from authsvc import clock
from authsvc.errors import SettingsError
from authsvc.stores import redis_url
from authsvc.stores.store import Store


def check_url(url: str) -> None:
    """Raise ValueError, without the URL and its password, unless a store can be opened from this URL."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        if not re.fullmatch(r"/+[^/?#][^?#]*", rest):
            raise ValueError("must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db")
        if not rest.startswith("//"):
            _check_meant(Path(rest))
    elif scheme in redis_url.SCHEMES:
        redis_url.parse(url)
    else:
        raise ValueError(
            "must begin with sqlite:///, unix://, redis[s]://, redis[s]+sentinel:// or redis[s]+cluster://"
        )


def _check_meant(path: Path) -> None:
    """
    Raise ValueError for a path after three slashes that may be meant as a relative one.

    SQLAlchemy reads it as relative, and a path after four slashes as absolute, as this service does.
    """
    _, top, *more = path.parts
    if more and Path("/", top).is_dir():
        return
    there = "directly under /" if not more else f"under /{top}, which is no folder"
    relative = path.relative_to("/")
    raise ValueError(
        f"sqlite:///{relative} is {path} here, {there}; SQLAlchemy reads it as {relative} in the working directory."
        f" Write sqlite:////{relative} for the one, and the whole path, sqlite:////…/{relative}, for the other"
    )


def place(url: str) -> str:
    """Return the kind and the address of a store, without user and password, of a URL that `check_url` accepts."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return f"SQLite file {_path(rest)}"
    return redis_url.place(url)


def _path(rest: str) -> str:
    return "/" + rest.lstrip("/")


def open_store(url: str, *, now_ms: Callable[[], int] = clock.now_ms) -> Store:
    """
    Return the store at this URL. It connects later.

    Args:
        url: `sqlite:///absolute/path`, with three slashes or four, or that of a Redis, see `redis_url`.

    Raises:
        SettingsError: the URL is not one of these.
    """
    try:
        check_url(url)
    except ValueError as exc:
        raise SettingsError([f"AUTHSVC_STORE_URL: {exc}"]) from None
    if url.startswith("sqlite:"):
        from authsvc.stores.sqlite import SqliteStore

        return SqliteStore(_path(url.removeprefix("sqlite://")), now_ms=now_ms)
    from authsvc.stores.redis import RedisStore

    return RedisStore(url, now_ms=now_ms)
