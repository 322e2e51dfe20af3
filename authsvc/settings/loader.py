"""
Load the settings from the environment and from the files that it names.

Each secret `NAME` may be set as `NAME_FILE` instead. All faults are reported together, in sentences with the name of
the variable and without its value. Imports `model`, `types`, `escaping` and `errors`.
"""

import difflib
import stat
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from authsvc.errors import SettingsError
from authsvc.escaping import escaped
from authsvc.settings.model import AppSettings, Settings
from authsvc.settings.types import PREFIX, sentences

MAX_FILE_BYTES = 65_536
SECRETS = frozenset(
    {
        "account_key",
        "gateway_secret",
        "jwt_key",
        "master_secret",
        "previous_master_secret",
        "session_key",
        "store_url",  # it may contain a password
        "verifier_keys",
    }
)
_NAMES = {PREFIX + field.upper(): field for field in Settings.model_fields if field != "apps"}
_TWINS = {f"{PREFIX}{field.upper()}_FILE": field for field in SECRETS}
_APPS_FILE = f"{PREFIX}APPS_FILE"
_Model = TypeVar("_Model", bound=AppSettings)


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """
    Return a copy of the environment, and remove authsvc's own variables, secrets among them, from the environment.

    A server or a library may copy the environment into each request, or show it; a child process inherits it.
    """
    variables = dict(environ)
    for name in variables:
        if name.startswith(PREFIX):
            del environ[name]
    return variables


def load(environ: Mapping[str, str], model: type[_Model]) -> _Model:
    """
    Return the settings of the environment.

    Args:
        model: `Settings` for the service, `AppSettings` for commands that need no more; other known names are ignored.

    Raises:
        SettingsError: with every fault.
    """
    values: dict[str, object] = {}
    unknown = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        field, path = _field_and_path(name, environ[name])
        file = Path(environ[name]) if name == _APPS_FILE else path
        if field is None:
            unknown.append(f"{escaped(name)}: is not a setting of authsvc{_suggestion(name)}")
        elif field in values:
            values[field] = ValueError(f"{PREFIX}{field.upper()}: is set together with its _FILE twin; set one of them")
        elif file is not None and issubclass(model, Settings) and not can_be_watched(file):
            values[field] = ValueError(f"{name}: is a pipe or a device, but the service must read it repeatedly")
        elif path is not None:
            values[field] = _read(name, path)
        else:
            values[field] = environ[name] if _is_text(environ[name]) else ValueError(f"{name}: is not UTF-8 text")
    try:
        settings = model.model_validate(
            {field: value for field, value in values.items() if field in model.model_fields}
        )
    except ValidationError as exc:
        raise SettingsError(unknown + [_named(fault) for fault in sentences(exc)]) from None
    if unknown:
        raise SettingsError(unknown)
    return settings


def watched_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files of settings: those of secrets, and the apps file."""
    pairs = (_field_and_path(name, value) for name, value in environ.items() if name.startswith(PREFIX))
    return tuple(path for field, path in pairs if path is not None) + tuple(
        Path(environ[name]) for name in (_APPS_FILE,) if name in environ
    )


def can_be_watched(path: Path) -> bool:
    """Return whether the file can be read repeatedly: a pipe has its content once, and may block its reader."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return True  # the reader reports the reason
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _field_and_path(name: str, value: str) -> tuple[str | None, Path | None]:
    """Return the field of a variable, and the file that it names if it is a `_FILE` twin."""
    field, twin = _NAMES.get(name), _TWINS.get(name)
    return (field, None) if twin is None else (twin, Path(value))


def _read(name: str, path: Path) -> str | ValueError:
    """Return the file's text without one trailing newline, or its fault."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        return ValueError(f"{name}: cannot be read: {exc.strerror}")
    if len(content) > MAX_FILE_BYTES:
        return ValueError(f"{name}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ValueError(f"{name}: is not UTF-8 text")
    if text.startswith("\ufeff"):
        return ValueError(f"{name}: starts with a byte order mark; save it as UTF-8 without one")
    text = text.removesuffix("\n").removesuffix("\r")
    return text or ValueError(f"{name}: is empty")


def _is_text(value: str) -> bool:
    """Return whether an environment variable is UTF-8; Python decodes other bytes as lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _named(fault: str) -> str:
    field, _, reason = fault.partition(": ")
    return reason if reason.startswith(PREFIX) else f"{PREFIX}{field.upper()}: {reason}"


def _suggestion(name: str) -> str:
    names = {known.removeprefix(PREFIX): known for known in (*_NAMES, *_TWINS)}
    near = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), names)
    return f"; did you mean {names[near[0]]}?" if near else ""
