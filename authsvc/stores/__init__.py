"""
The two stores behind the `Store` protocol, chosen by URL.

A store's module is imported when one is opened: redis alone takes 0.14 s, and most installations do without it.
Imports `clock`, `errors`, `store` and `redisurl`.
"""

import re
from collections.abc import Callable

from authsvc import clock
from authsvc.errors import SettingsError
from authsvc.store import Store
from authsvc.stores import redisurl


def check_url(url: str) -> None:
    """Raise ValueError unless a store can be opened from this URL; the URL is not repeated, it may hold a password."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        if not re.fullmatch(r"/+[^/?#][^?#]*", rest):
            raise ValueError("must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db")
    elif scheme in redisurl.SCHEMES:
        redisurl.parse(url)
    else:
        raise ValueError(
            "must begin with sqlite:///, unix://, redis[s]://, redis[s]+sentinel:// or redis[s]+cluster://"
        )


def open_store(url: str, *, now_ms: Callable[[], int] = clock.now_ms) -> Store:
    """
    Return the store at this URL. Connects to nothing yet.

    Args:
        url: `sqlite:///absolute/path`, or a Redis as `redisurl` has it.

    Raises:
        SettingsError: the URL is none of these.
    """
    try:
        check_url(url)
    except ValueError as exc:
        raise SettingsError([f"AUTHSVC_STORE_URL: {exc}"]) from None
    if url.startswith("sqlite:"):
        from authsvc.stores.sqlite import SqliteStore

        return SqliteStore(url.removeprefix("sqlite://"), now_ms=now_ms)
    from authsvc.stores.redis import RedisStore

    return RedisStore(url, now_ms=now_ms)
