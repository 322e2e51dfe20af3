"""
An answer of the vendor's REST API: its error code, its URL, its clock, and the time at which its rate limit is reset.

Pure; imports nothing of the project.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

LIMIT_RESET_S = 60  # if the vendor names none


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: object

    @property
    def code(self) -> int | None:
        """The vendor's error code, in either of its shapes: `{"error": {…}}`, also in a list, or bare."""
        code = self._error.get("code")
        return code if isinstance(code, int) else None

    @property
    def is_error(self) -> bool:
        """Whether it is an error as the vendor tells one: a status of 4xx, a code and a message."""
        return 400 <= self.status < 500 and self.code is not None and isinstance(self._error.get("message"), str)

    @property
    def _error(self) -> Mapping[str, object]:
        found = self.body[0] if isinstance(self.body, list) and self.body else self.body
        if isinstance(found, dict):
            found = found.get("error", found)
        return found if isinstance(found, dict) else {}


def resource_url(answer: Answer) -> str | None:
    url = answer.body.get("url") if isinstance(answer.body, dict) else None
    return url if answer.status == 200 and isinstance(url, str) else None


def parse(content: bytes) -> object:
    """Return the parsed JSON, or None for anything else: an empty body, HTML, garbage."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def date_ms(headers: Mapping[str, str]) -> int | None:
    """Return the time of an answer, Unix ms. Date has whole seconds, rounded down: half of one is lost on average."""
    try:
        return round(parsedate_to_datetime(headers.get("Date", "")).timestamp() * 1000) + 500
    except ValueError:
        return None


def seconds(text: str | None) -> int:
    return min(int(text), 3600) if text is not None and re.fullmatch(r"[1-9][0-9]{0,6}", text) else LIMIT_RESET_S
