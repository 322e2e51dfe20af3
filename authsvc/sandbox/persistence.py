"""
The folder of `--state`: the state as one JSON file, replaced whole, and beside it the content of the files.
"""

import fcntl
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from authsvc.errors import SettingsError
from authsvc.sandbox.state import State

_STATE = TypeAdapter(State)


class Folder:
    """A folder that one sandbox at a time keeps its state in. Only its owner may read it: signing keys are in it."""

    def __init__(self, path: Path) -> None:
        """Take the folder, make it if there is none. Raises SettingsError if that fails, or another sandbox has it."""
        self._file = path / "state.json"
        self._saved = b""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.contents = Contents(path / "files")
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise SettingsError([f"--state: cannot be used: {exc}"]) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise SettingsError([f"--state: another sandbox uses {path}"]) from None

    def load(self) -> State:
        """Return what was saved, or an empty state. Raises SettingsError if the file is none of ours."""
        try:
            self._saved = self._file.read_bytes()
            return _STATE.validate_json(self._saved)
        except FileNotFoundError:
            return State()
        except (OSError, ValidationError) as exc:
            reason = "is no state of this version" if isinstance(exc, ValidationError) else str(exc)
            raise SettingsError([f"--state: {self._file}: {reason}; remove it to begin anew"]) from exc

    def save(self, state: State) -> None:
        """Write the state if it differs from what was written last."""
        text = _STATE.dump_json(state)
        if text != self._saved:
            fresh = self._file.with_suffix(".new")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text)
            fresh.replace(self._file)
            self._saved = text

    def close(self) -> None:
        """Let another sandbox have it."""
        os.close(self._lock)


class Contents(MutableMapping[str, bytes]):
    """The contents of files by media_id, each in a file of its own, named by the last part of its media_id."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder

    def _path(self, media_id: str) -> Path:
        return self._folder / media_id.rpartition("/")[2]

    def __getitem__(self, media_id: str) -> bytes:
        try:
            return self._path(media_id).read_bytes()
        except FileNotFoundError:
            raise KeyError(media_id) from None

    def __setitem__(self, media_id: str, content: bytes) -> None:
        self._path(media_id).write_bytes(content)

    def __delitem__(self, media_id: str) -> None:
        self._path(media_id).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)
