"""
JSON from outside, read so that whatever is accepted can be written again: to a page, and to the file of `--state`.

Imports nothing of the project.
"""

from typing import Any

import orjson

MAX_DEPTH = 50


def parse(text: str) -> Any:
    """Return what a JSON text says. Raises ValueError: no JSON, too deep, no finite number, half a surrogate pair."""
    value = orjson.loads(text)
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def written(value: object) -> bytes:
    """Return a value as JSON in UTF-8."""
    return orjson.dumps(value)


def embedded(text: str) -> object:
    """Return JSON as it may stand in what is written."""
    return orjson.Fragment(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer))
        level = [one for one in inner if isinstance(one, dict | list)]
    if level:
        raise ValueError("is nested too deeply")
