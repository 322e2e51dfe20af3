"""
The auth payload: its four fields, their rules, and the checks of a presented one.

Pure: time is an argument, nothing here does I/O. Imports only `signature` and `errors`.
The order of the checks is parse, check_signature, check_time. Only then the claim is made, so that a forgery never uses
up a nonce.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from authsvc.errors import BadSignature, Expired, InvalidRandomStr, InvalidRequest, NotYetValid
from authsvc.payloads import signature

MAX_AGE_MS = 600_000  # 10 minutes; vendor's guide
MAX_SKEW_MS = 30_000  # between two hosts' clocks; our own value, the vendor has none
FIELDS = ("appkey", "random_str", "signature", "timestamp")

RANDOM_STR = re.compile(r"[A-Za-z0-9_-]{20,36}")
TIMESTAMP = re.compile(r"[1-9][0-9]{12}")
_SECONDS = re.compile(r"[1-9][0-9]{9}")


class AuthPayload(NamedTuple):
    """One payload, parsed. `timestamp_ms` is Unix milliseconds, UTC."""

    appkey: str
    random_str: str
    timestamp_ms: int
    signature: str

    def __repr__(self) -> str:
        """Return it without the signature, which no log may have."""
        return f"AuthPayload({self.appkey!r}, {self.random_str!r}, {self.timestamp_ms})"

    @property
    def expires_at_ms(self) -> int:
        """The first millisecond at which the payload is expired, Unix milliseconds, UTC."""
        return self.timestamp_ms + MAX_AGE_MS

    def to_dict(self) -> dict[str, str]:
        """Return exactly the four fields that `JIM.init` takes, all of them strings."""
        return {
            "appkey": self.appkey,
            "random_str": self.random_str,
            "signature": self.signature,
            "timestamp": str(self.timestamp_ms),
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON, fast: no character of a payload that we issue needs an escape."""
        return (
            f'{{"appkey":"{self.appkey}","random_str":"{self.random_str}",'
            f'"signature":"{self.signature}","timestamp":"{self.timestamp_ms}"}}'
        )


def issue(*, appkey: str, master_secret: str, random_str: str, now_ms: int) -> AuthPayload:
    """Return a payload of this moment (Unix milliseconds). The caller has checked the random_str."""
    signed = signature.sign(appkey=appkey, timestamp_ms=now_ms, random_str=random_str, master_secret=master_secret)
    return AuthPayload(appkey, random_str, now_ms, signed)


def parse(fields: Mapping[str, object]) -> AuthPayload:
    """
    Return the payload that a client sent. Only its shape is checked.

    Args:
        fields: the four fields; the timestamp as a string or as a whole number.

    Raises:
        InvalidRequest: with the field and the rule, if a field is missing, unknown or of the wrong type or form.
        InvalidRandomStr: the random_str breaks its rule.
    """
    for name in fields:
        if name not in FIELDS:
            raise InvalidRequest(name, "is not a field of an auth payload")
    text = _text(fields, "signature")
    if not signature.is_digest(text):
        raise InvalidRequest("signature", "must be 32 hexadecimal characters")
    random_str = _text(fields, "random_str")
    check_random_str(random_str)
    return AuthPayload(
        appkey=_text(fields, "appkey"),
        random_str=random_str,
        timestamp_ms=parse_timestamp_ms(fields),
        signature=text,
    )


def parse_timestamp_ms(fields: Mapping[str, object]) -> int:
    """Return the field `timestamp`, a string or a whole number of 13 digits, Unix ms. Raises InvalidRequest."""
    value = fields.get("timestamp")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidRequest(
            "timestamp", "must be a string or a whole number" if "timestamp" in fields else "is missing"
        )
    text = str(value) if isinstance(value, str) or abs(value) < 10**20 else ""
    if _SECONDS.fullmatch(text):
        raise InvalidRequest("timestamp", "is in seconds (10 digits); it must be in milliseconds (13 digits)")
    if not TIMESTAMP.fullmatch(text):
        raise InvalidRequest("timestamp", "must be Unix milliseconds, 13 digits")
    return int(text)


def check_random_str(random_str: str, *, name: str = "random_str") -> None:
    """Raise InvalidRandomStr unless it is 20 to 36 characters of A-Z a-z 0-9 _ - (no `&`, no `=`)."""
    if not 20 <= len(random_str) <= 36:
        raise InvalidRandomStr(
            "{name}: must be 20 to 36 characters long, this one has {length}", name=name, length=len(random_str)
        )
    if not RANDOM_STR.fullmatch(random_str):
        raise InvalidRandomStr("{name}: may contain only A-Z a-z 0-9 _ -", name=name)


def check_signature(payload: AuthPayload, master_secrets: Iterable[str]) -> None:
    """Raise BadSignature unless one of the secrets, newest first, produces the payload's signature."""
    for master_secret in master_secrets:
        if signature.is_valid(
            payload.signature,
            appkey=payload.appkey,
            timestamp_ms=payload.timestamp_ms,
            random_str=payload.random_str,
            master_secret=master_secret,
        ):
            return
    raise BadSignature


def check_time(payload: AuthPayload, now_ms: int) -> None:
    """
    Raise unless `-30 000 <= now - timestamp < 600 000` ms.

    Raises:
        Expired: the payload is 600 000 ms old or older.
        NotYetValid: the timestamp is more than 30 000 ms in the future.
    """
    age_ms = now_ms - payload.timestamp_ms
    if age_ms >= MAX_AGE_MS:
        raise Expired(
            "timestamp: the payload is {age_ms} ms old and expires after {max_age_ms} ms",
            age_ms=age_ms,
            max_age_ms=MAX_AGE_MS,
        )
    if age_ms < -MAX_SKEW_MS:
        raise NotYetValid(
            "timestamp: is {ahead_ms} ms in the future; at most {most_ms} ms are allowed",
            ahead_ms=-age_ms,
            most_ms=MAX_SKEW_MS,
        )


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(name, "must be a string" if name in fields else "is missing")
    return value
