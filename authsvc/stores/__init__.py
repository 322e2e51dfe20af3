"""
The two stores behind the `Store` protocol, chosen by URL.

A store's module is imported when one is opened: redis alone takes 0.14 s, and most installations do without it.
Imports `clock`, `errors` and `store`.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from authsvc import clock
from authsvc.errors import SettingsError
from authsvc.store import Store

# Others, such as socket_timeout, would undo what the store promises.
_PARAMETERS = {
    "redis": {"db"},
    "rediss": {"db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"},
    "unix": {"db", "password", "username"},
}


def check_url(url: str) -> None:
    """Raise ValueError unless a store can be opened from this URL; the URL is not repeated, it may hold a password."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        if not re.fullmatch(r"/+[^/?#][^?#]*", rest):
            raise ValueError("must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db")
    elif scheme in _PARAMETERS:
        _check_redis_url(url, _PARAMETERS[scheme])
    else:
        raise ValueError("must begin with sqlite:///, redis://, rediss:// or unix://")


def open_store(url: str, *, now_ms: Callable[[], int] = clock.now_ms) -> Store:
    """
    Return the store at this URL. Connects to nothing yet.

    Args:
        url: `sqlite:///absolute/path`, `redis://` or `rediss://` with host and database, or `unix:///socket/path`.

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


def _check_redis_url(url: str, parameters: set[str]) -> None:
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        is_well_formed = parts.port != 0 and not parts.fragment
    except ValueError:  # its text repeats what stands in the port's place, which may be the password
        is_well_formed = False
    if not is_well_formed:
        raise ValueError("is not a URL of Redis; in its password, / ? # @ : [ ] % are to be percent-encoded")
    query = parse_qs(parts.query, keep_blank_values=True)
    if query.keys() - parameters:
        raise ValueError(f"may have only the parameters {', '.join(sorted(parameters))}")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("must name the socket's path, like unix:///run/redis/redis.sock")
    databases = query.get("db", []) + ([] if parts.scheme == "unix" else [parts.path.removeprefix("/")])
    if not all(re.fullmatch(r"[0-9]{0,4}", database, re.ASCII) for database in databases):
        raise ValueError("names a database that is not a number")
