"""
The rules for a media_id, and for the URL that the vendor returns for it; from its REST API guide and its answers.

Pure; imports only `errors`.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from authsvc.errors import InvalidMediaId

_MEDIA_ID = re.compile(r"/?[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,254}")
_URL = re.compile(r"https?://[!-~]+")
_LABEL = re.compile(r"[a-z0-9_-]+")
_EXPIRY_NAMES = ("e", "Expires", "expires")


@dataclass(frozen=True, slots=True)
class Resource:
    """A URL, unmodified; when it expires, if it names a time; and until when the cache returns it. Both Unix ms."""

    url: str
    expires_at_ms: int | None
    fresh_until_ms: int

    def to_dict(self) -> dict[str, object]:
        """Return it in the form of the vendor's SDK."""
        return {"code": 0, "message": "success", "url": self.url, "expires_at_ms": self.expires_at_ms}

    def to_json(self) -> str:
        """Return what the store keeps of it."""
        return json.dumps({"url": self.url, "fresh_until_ms": self.fresh_until_ms})

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """Return what `to_json` made, without `expires_at_ms`; None for anything else."""
        try:
            stored = json.loads(text or "")
        except (ValueError, RecursionError):
            return None
        match stored:
            case {"url": str(url), "fresh_until_ms": int(fresh_until_ms)}:
                return cls(url, None, fresh_until_ms)
            case _:
                return None


def check_media_id(media_id: str) -> None:
    """
    Raise InvalidMediaId unless it is 1 to 255 of A-Z a-z 0-9 _ . / - without `..` and without a leading `//`.

    One leading slash is allowed: the vendor's own examples have it.
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
    """Return the expiry in the URL's query, Unix milliseconds; None if there is none in a known form."""
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
