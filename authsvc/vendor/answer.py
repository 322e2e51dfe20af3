"""
An answer of the vendor's REST API: its error code, its URL, its clock, and the time at which its rate limit is reset.

Pure; imports only `message` and `errors`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Self

from authsvc.errors import VendorRefused
from authsvc.message import Message

LIMIT_RESET_S = 60  # if the vendor names no time
USER_EXISTS = 899001
_INVALID = 899003
_BUSY_CODES = frozenset({899000, 899030})
_CREDENTIAL_CODES = frozenset({899007, 899008, 899009, 899020})
_LIMIT_CODE = 2002


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `body` is its parsed JSON, or None for anything else: an empty body, HTML, garbage."""

    status: int
    headers: Mapping[str, str]
    body: object

    @classmethod
    def parse(cls, status: int, headers: Mapping[str, str], content: bytes) -> Self:
        """Read an answer."""
        try:
            return cls(status, headers, json.loads(content))
        except (ValueError, RecursionError):
            return cls(status, headers, None)

    @property
    def message(self) -> Message:
        """What a refusal has of it."""
        return Message("status {status}, code {code}", status=self.status, code=self.code)

    def refusal(self, appkey: str) -> VendorRefused:
        """Return the refusal that it is if it refuses this app's credentials."""
        return VendorRefused(
            "the vendor refuses this service's credentials for appkey {appkey} ({answer})",
            appkey=appkey,
            answer=self.message,
        )

    @property
    def code(self) -> int | None:
        """The vendor's error code, in either of its shapes: `{"error": {…}}`, also in a list, or bare."""
        code = self._error.get("code")
        return code if isinstance(code, int) else None

    @property
    def is_error(self) -> bool:
        """Whether it has the form of the vendor's errors: a status of 4xx, a code and a message."""
        return 400 <= self.status < 500 and self.code is not None and isinstance(self._error.get("message"), str)

    @property
    def is_fault(self) -> bool:
        """Whether the vendor failed, and may answer a second try."""
        return self.status >= 500 or self.code in _BUSY_CODES

    @property
    def is_limit(self) -> bool:
        """Whether the vendor's rate limit is exhausted."""
        return self.status == 429 or self.code == _LIMIT_CODE

    @property
    def is_of_credentials(self) -> bool:
        """Whether the vendor rejects the appkey or its masterSecret."""
        return self.code in _CREDENTIAL_CODES or (self.status in (401, 403) and self.code is None)

    @property
    def is_unknown_media(self) -> bool:
        """Whether the vendor does not know the media_id."""
        return self.status == 404 or self.code == _INVALID

    @property
    def resource_url(self) -> str | None:
        """The URL of a media; None if there is none."""
        url = self.body.get("url") if isinstance(self.body, dict) else None
        return url if self.status == 200 and isinstance(url, str) else None

    @property
    def date_ms(self) -> int | None:
        """The time of the answer, Unix ms. Date has whole seconds, rounded down: half of one is lost on average."""
        try:
            return round(parsedate_to_datetime(self.headers.get("Date", "")).timestamp() * 1000) + 500
        except ValueError:
            return None

    @property
    def limit_left(self) -> str | None:
        """How many calls the vendor's rate limit leaves."""
        return self.headers.get("X-Rate-Limit-Remaining")

    @property
    def limit_reset_s(self) -> int:
        """Seconds until the vendor's rate limit is reset, an hour at most."""
        text = self.headers.get("X-Rate-Limit-Reset") or ""
        return min(int(text), 3600) if re.fullmatch(r"[1-9][0-9]{0,6}", text) else LIMIT_RESET_S

    @property
    def _error(self) -> Mapping[str, object]:
        found = self.body[0] if isinstance(self.body, list) and self.body else self.body
        if isinstance(found, dict):
            found = found.get("error", found)
        return found if isinstance(found, dict) else {}
