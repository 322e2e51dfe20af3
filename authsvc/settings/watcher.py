"""
The watcher of the files of settings: it loads all settings again after one has changed.

Imports `loader`, `model`, `apps_file` and `errors`.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from authsvc.errors import SettingsError
from authsvc.settings import apps_file
from authsvc.settings.loader import can_be_watched, load, watched_files
from authsvc.settings.model import Settings

LOOKED_AT_BYTES = apps_file.MAX_BYTES + 1  # of a watched file
SETTLED_S = 0.2  # a file that is unchanged for this long is complete

_log = logging.getLogger(__name__)


class Watcher:
    """
    Compares the files' content, so that it notices a rename, a symlink swap and a write in place.

    While a file cannot be used, or is still being written, the settings stay unchanged. Each look reads it again,
    because a read may fail for a moment. The log has the reason once for each content and cause.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._files = watched_files(environ)
        self._seen = self._content()
        self._is_used = True
        self._logged: set[str] = set()  # the faults of this content
        self._broken: tuple[str, ...] = ()

    def broken(self) -> tuple[str, ...]:
        """Return the names of the settings that could not be used at the last look."""
        return self._broken

    def look(self, apply: Callable[[Settings], None]) -> None:
        """If a file's content is not in use yet, load all settings and apply them."""
        content = self._content()
        if content == self._seen and self._is_used:
            return
        if content != self._seen:
            time.sleep(SETTLED_S)  # half a secret looks like a complete one
            if self._content() != content:
                _log.warning("changed settings are not used: a file is still being written")
                return
            self._seen, self._is_used = content, False
            self._logged.clear()
        try:
            settings = load(self._environ, Settings)
        except SettingsError as exc:
            for fault in exc.faults:
                if fault not in self._logged:
                    _log.error("changed settings are not used: %s", fault)
            self._logged.update(exc.faults)
            self._broken = tuple(dict.fromkeys(fault.partition(":")[0] for fault in exc.faults))
            return
        apply(settings)
        self._is_used, self._broken = True, ()
        _log.warning("changed settings are in use")

    def _content(self) -> list[bytes | None]:
        return [_digest(path) for path in self._files]


def _digest(path: Path) -> bytes | None:
    """Return the digest of a file's content; None for one that cannot be read."""
    with suppress(OSError):
        if can_be_watched(path):
            with path.open("rb") as file:
                return hashlib.sha256(file.read(LOOKED_AT_BYTES)).digest()
    return None
