"""
The JSON body of a request: an object of known fields, or nothing.

Pure; imports only `errors`.
"""

import json
from collections.abc import Collection, Mapping
from typing import Never

from authsvc.errors import InvalidRequest

MAX_BYTES = 65_536


def read(body: bytes, *, content_type: str, fields: Collection[str], may_be_empty: bool) -> Mapping[str, object]:
    """
    Return the fields of a JSON object; none for an empty body or `null`, where that is allowed.

    Args:
        content_type: the media type without parameters, lower case.
        fields: the allowed names.

    Raises:
        InvalidRequest: not JSON by its type or its text, not an object, a repeated name, an unknown name, or an
            unpaired surrogate.
    """
    if not body and may_be_empty:
        return {}
    if content_type != "application/json":
        if may_be_empty:  # jQuery makes a form of the fields that a page need not send
            raise InvalidRequest("body", "must be empty, or JSON with Content-Type: application/json")
        raise InvalidRequest("body", "must be JSON, with Content-Type: application/json")
    parsed = _parsed(body)
    if parsed is None and may_be_empty:
        return {}  # axios.post(url, null) sends it where the page's settings say JSON
    if not isinstance(parsed, dict):
        raise InvalidRequest("body", "must be a JSON object")
    for name in parsed:
        if name not in fields:
            raise InvalidRequest(
                name[:64], "is not a known field; known fields: {known}", known=", ".join(sorted(fields))
            )
    return parsed


def text(fields: Mapping[str, object], name: str) -> str | None:
    """Return a string, None if it is absent. Raises InvalidRequest for any other type, null included."""
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, str):
        raise InvalidRequest(name, "must be a string")
    return value


def required(fields: Mapping[str, object], name: str) -> str:
    """Return a required string. Raises InvalidRequest."""
    found = text(fields, name)
    if found is None:
        raise InvalidRequest(name, "is missing")
    return found


def flag(fields: Mapping[str, object], name: str) -> bool:
    """Return a boolean, false if it is absent. Raises InvalidRequest for any other type."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(name, "must be true or false")
    return value


def texts(fields: Mapping[str, object], name: str, *, most: int) -> list[str]:
    """Return a required list of 1 to `most` strings. Raises InvalidRequest."""
    values = fields.get(name)
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        raise InvalidRequest(name, "must be a list of 1 to {most} strings", most=most)
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise InvalidRequest(f"{name}[{place}]", "must be a string")
    return values


def _parsed(body: bytes) -> object:
    try:
        parsed = _DECODER.decode(body.decode())
        if b"\\u" in body:
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can encode it, but UTF-8 cannot
        raise InvalidRequest("body", "contains an unpaired surrogate, which is not valid text") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("body", "is not JSON") from None
    return parsed


def _no_name_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("body", "has the same name twice in one object")
    return found


def _no_constant(name: str) -> Never:
    raise ValueError(name)  # NaN and Infinity are not JSON


_DECODER = json.JSONDecoder(object_pairs_hook=_no_name_twice, parse_constant=_no_constant)  # slow to create
