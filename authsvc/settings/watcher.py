"""
Watch the files that hold settings, and read all settings anew when one has changed.

Imports `loader`, `model`, `apps_file` and `errors`.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping

from authsvc.errors import SettingsError
from authsvc.settings import apps_file
from authsvc.settings.loader import can_be_watched, load, watched_files
from authsvc.settings.model import Settings

LOOKED_AT_BYTES = apps_file.MAX_BYTES + 1  # of a file that is watched
SETTLED_S = 0.2  # a file that stays the same for so long is no longer being written

_log = logging.getLogger(__name__)


class Watcher:
    """
    Looks at the files' content, so that a rename, a symlink swap and a write in place are all seen.

    A file that cannot be used, or is still being written, keeps the settings as they are. Each look reads it again,
    because a read may fail for a moment, and the log says why it cannot be used, once for each content and cause.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._files = watched_files(environ)
        self._seen = self._content()
        self._is_used = True
        self._logged: set[str] = set()  # the faults of this content
        self._broken: tuple[str, ...] = ()

    def broken(self) -> tuple[str, ...]:
        """Return the names of the settings that could not be used at the last look; none, if all could."""
        return self._broken

    def look(self, apply: Callable[[Settings], None]) -> None:
        """If a file's content is not in use yet, read all settings anew and apply them."""
        content = self._content()
        if content == self._seen and self._is_used:
            return
        if content != self._seen:
            time.sleep(SETTLED_S)  # half a secret looks like a whole one
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

    def _content(self) -> str:
        digest = hashlib.sha256()
        for path in self._files:
            try:
                if can_be_watched(path):
                    with path.open("rb") as file:
                        digest.update(hashlib.sha256(file.read(LOOKED_AT_BYTES)).digest())
            except OSError as exc:
                digest.update(str(exc.errno).encode())
            digest.update(b"\0")
        return digest.hexdigest()
