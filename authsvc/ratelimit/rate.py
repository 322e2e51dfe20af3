"""
A rate: a number of requests in a second, a minute or an hour.

Imports nothing.
"""

import re
from dataclasses import dataclass
from typing import Self

_WINDOWS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000}


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` requests in a window of `window_ms` milliseconds."""

    limit: int
    window_ms: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rate such as `60/minute`. Raises ValueError."""
        match = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
        if match is None:
            raise ValueError("must be a number and a unit, like 60/minute (second, minute, hour)")
        return cls(limit=int(match[1]), window_ms=_WINDOWS_MS[match[2]])

    def __str__(self) -> str:
        return f"{self.limit}/{next(unit for unit, ms in _WINDOWS_MS.items() if ms == self.window_ms)}"
