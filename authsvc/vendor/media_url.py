"""
The rules of a media_id, and of the URL that the vendor returns for it; seen in its REST API guide and its answers.

Pure; imports only `errors`.
"""

import re
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from authsvc.errors import InvalidMediaId

_MEDIA_ID = re.compile(r"/?[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,254}")
_URL = re.compile(r"https?://[!-~]+")
_LABEL = re.compile(r"[a-z0-9_-]+")
_EXPIRY_NAMES = ("e", "Expires", "expires")


def check_media_id(media_id: str) -> None:
    """
    Raise InvalidMediaId unless it is 1 to 255 of A-Z a-z 0-9 _ . / - without `..` and without a leading `//`.

    One leading slash is let be: the vendor's own examples have it.
    """
    if not _MEDIA_ID.fullmatch(media_id) or ".." in media_id or len(media_id) > 255:
        raise InvalidMediaId


def is_allowed(url: str, hosts: Collection[str]) -> bool:
    """
    Return whether the URL is a plain http(s) URL of one of the hosts.

    Args:
        hosts: lower-case names compared label by label; `*` stands for exactly one label, of letters, digits, _ and -.
    """
    if not _URL.fullmatch(url) or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    labels = host.split(".")
    return any(_matches(labels, allowed.split(".")) for allowed in hosts)


def expires_at_ms(url: str) -> int | None:
    """Return the time that the URL's query names, Unix milliseconds; None if it names none that makes sense."""
    query = parse_qs(urlsplit(url).query)
    for name in _EXPIRY_NAMES:
        text = query.get(name, [""])[-1]
        if re.fullmatch(r"[1-9][0-9]{8,10}", text):
            return int(text) * 1000
    return None


def _matches(labels: list[str], allowed: list[str]) -> bool:
    return len(labels) == len(allowed) and all(
        _LABEL.fullmatch(theirs) and ours in ("*", theirs) for theirs, ours in zip(labels, allowed, strict=True)
    )
