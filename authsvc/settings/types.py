"""
The types of settings: how a text becomes a value, and the sentences of its faults.

Imports `secret`, `same_site`, `bind` and `rate` for the values, and `escaping`.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from authsvc.auth import same_site
from authsvc.bind import Bind
from authsvc.escaping import escaped
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret, key_bytes

PREFIX = "AUTHSVC_"
_EMPTY = "is empty; give it a value or unset it"
_JSON_OBJECT = 'must be a JSON object, such as {"debug": true}'
_APPKEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MASTER_SECRET = re.compile(r"[\x21-\x7e]{1,128}")


def _given(value: object) -> object:
    if isinstance(value, ValueError):  # the fault of reading it, see `loader`
        raise value
    if value == "":
        raise ValueError(_EMPTY)
    return value


def _words(value: object) -> object:
    return _some(re.split(r"[,\s]+", value)) if isinstance(value, str) else value


def _lines(value: object) -> object:
    # Python's splitlines() also splits at ten other characters, which may be in a key.
    return _some(re.split(r"\r?\n", value)) if isinstance(value, str) else value


def _some(parts: list[str]) -> tuple[str, ...]:
    found = tuple(filter(None, parts))
    if not found:
        raise ValueError(_EMPTY)
    return found


def _rate(value: object) -> object:
    return Rate.parse(value) if isinstance(value, str) else value


def _origin_set(value: object) -> object:
    words = _words(value)
    return frozenset(map(same_site.parse_allowed, words)) if isinstance(words, tuple) else words


def default_store() -> Secret:
    """
    Return the URL of a SQLite file in the user's state folder, or in that of the systemd service.

    It is empty if there is no such folder: for a user without a home directory, as in some containers.
    """
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd's StateDirectory=
    if not folder:
        state = Path(os.environ.get("XDG_STATE_HOME", ""))
        try:
            # A relative path must be ignored (XDG Base Directory Specification).
            folder = str((state if state.is_absolute() else Path.home() / ".local" / "state") / "authsvc")
        except RuntimeError:
            return Secret("")
    return Secret(f"sqlite:///{folder}/store.db")


def _json_object(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
        # Python reads NaN, 1e999 and unpaired surrogates, but writes them in a form that no browser reads.
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError(_JSON_OBJECT) from None
    if not isinstance(parsed, dict):
        raise ValueError(_JSON_OBJECT)  # noqa: TRY004 -- a fault of the setting
    return parsed


def _vendor_url(value: str) -> str:
    try:
        same_site.parse_origin(value.removesuffix("/"))
    except ValueError:
        raise ValueError("must be http:// or https:// and a host, without user name or path") from None
    return value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for host in value:
        if not re.fullmatch(r"(\*|[a-z0-9-]+)(\.[a-z0-9-]+)*", host):
            raise ValueError("must be lower-case host names without port; * may replace the first label")
    return value


def _keys(value: tuple[Secret, ...]) -> tuple[Secret, ...]:
    for key in value:
        key_bytes(key.reveal())
    return value


def _host_port(value: str) -> Bind:
    bind = Bind.parse(value)
    if bind.socket is not None:
        raise ValueError("must be HOST:PORT or [IPV6]:PORT")
    return bind


Text = Annotated[str, BeforeValidator(_given)]
FilePath = Annotated[Path, BeforeValidator(_given)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words), BeforeValidator(_given)]
SecretText = Annotated[Secret, BeforeValidator(_given)]
SecretWords = Annotated[tuple[Secret, ...], BeforeValidator(_words), BeforeValidator(_given)]
SecretLines = Annotated[tuple[Secret, ...], BeforeValidator(_lines), BeforeValidator(_given)]
KeyLines = Annotated[SecretLines, AfterValidator(_keys)]
CookieName = Annotated[Text, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderName = Annotated[Text, Field(pattern=r"^[A-Za-z0-9-]+$")]
MemberPath = Annotated[Text, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
HeaderNames = Annotated[tuple[HeaderName, ...], BeforeValidator(_words), BeforeValidator(_given)]
Origins = Annotated[frozenset[str], BeforeValidator(_origin_set), BeforeValidator(_given)]
Hosts = Annotated[tuple[str, ...], AfterValidator(_hosts), BeforeValidator(_words), BeforeValidator(_given)]
VendorUrl = Annotated[str, AfterValidator(_vendor_url), BeforeValidator(_given)]
Integrity = Annotated[Text, Field(pattern=r"^sha(256|384|512)-[A-Za-z0-9+/]+={0,2}$")]
HostPort = Annotated[Bind, BeforeValidator(_host_port), BeforeValidator(_given)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object), BeforeValidator(_given)]
RateText = Annotated[Rate, BeforeValidator(_rate), BeforeValidator(_given)]


def check_appkey(appkey: str) -> None:
    """Raise ValueError unless it is unambiguous in a sign string and in a store's key."""
    if not _APPKEY.fullmatch(appkey):
        raise ValueError("an appkey is 1 to 64 characters of A-Z a-z 0-9 _ - (the vendor's have 24)")


def check_master_secret(secret: Secret) -> None:
    """Raise ValueError for the contents of a wrongly saved file: spaces, line breaks, a byte order mark."""
    if not _MASTER_SECRET.fullmatch(secret.reveal()):
        raise ValueError("a masterSecret is 1 to 128 visible ASCII characters: no space, line break or BOM")


def sentences(exc: ValidationError) -> list[str]:
    """Return each fault as `field: rule`, without the value."""
    faults = []
    for error in exc.errors(include_input=False):
        reason = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
        faults += [f"{escaped(str(error['loc'][0]))}: {line}" for line in reason.splitlines()]
    return faults
