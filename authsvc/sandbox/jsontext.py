"""
JSON from outside, read so that whatever is accepted can be written again: to a page, and to the file of `--state`.

Imports nothing of the project.
"""

import json
import math
from typing import Any, Never

MAX_DEPTH = 50
_LONGEST_NUMBER = 19


def parse(text: str) -> Any:
    """Return what a JSON text says. Raises ValueError: no JSON, too deep, no finite number, half a surrogate pair."""
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer))
        level = [one for one in inner if isinstance(one, dict | list)]
    if level:
        raise ValueError("is nested too deeply")


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("has a number that is too long")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("has a number that is too large")
    return value


def _none(text: str) -> Never:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=_none)
