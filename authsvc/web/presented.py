"""
The presented payload and its holder, read from a request's body.

Imports `json_body`, `payload`, `signature`.
"""

import re
from collections.abc import Mapping

from authsvc.payloads import payload, signature
from authsvc.payloads.payload import AuthPayload
from authsvc.web import json_body

FIELDS = frozenset({*payload.FIELDS, "holder"})

# A payload as it was issued, its fields in that order, without escapes: that saves half of the time to read it.
_AS_ISSUED = re.compile(
    r'\{"appkey": ?"([^"\\\x00-\x1f\x7f-\xff]*)", ?'
    rf'"random_str": ?"({payload.RANDOM_STR.pattern})", ?'
    rf'"signature": ?"({signature.DIGEST.pattern})", ?'
    rf'"timestamp": ?"({payload.TIMESTAMP.pattern})"'
    r'(?:, ?"holder": ?"([!#-\[\]-~]{1,128})")?\}',
)


def read(fields: Mapping[str, object]) -> tuple[AuthPayload, str | None]:
    """
    Return the payload and the holder of a request. Only their shape is checked.

    Raises:
        InvalidRequest, InvalidRandomStr: as `payload.parse`; or the holder is not a string.
    """
    rest = dict(fields)
    holder = json_body.text(rest, "holder")
    rest.pop("holder", None)
    return payload.parse(rest), holder


def read_json(text: bytes, *, content_type: str) -> tuple[AuthPayload, str | None]:
    """
    Return the payload and the holder in a request's body.

    Args:
        content_type: as of `json_body.read`.

    Raises:
        InvalidRequest, InvalidRandomStr: as `json_body.read` and `read`.
    """
    found = _AS_ISSUED.fullmatch(text.decode("latin-1")) if content_type == "application/json" else None
    if found is None:
        return read(json_body.read(text, content_type=content_type, fields=FIELDS, may_be_empty=False))
    appkey, random_str, signed, timestamp, holder = found.groups()
    return AuthPayload(appkey, random_str, int(timestamp), signed), holder
