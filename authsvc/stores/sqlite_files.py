"""
The files of the SQLite store: their names, their rights, and the locks around opening and closing them.

Nothing here reads or writes the content of the store. Imports nothing of the project.
"""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

File = tuple[int, int]  # device and inode
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Files:
    """
    The store's file at `path`, or at the target of symbolic links there, and the files beside it.

    All have mode 0600: a user who can open one for reading can lock it, and so block the store.
    """

    def __init__(self, path: str) -> None:
        # SQLite follows links too, and has its log beside the target.
        self.store = Path(os.path.realpath(path))
        self.log = self._beside("wal")
        self.index = self._beside("shm")
        # Present while no process has the file open, and SQLite has copied all of the log into it.
        self._closed = self._beside("closed")
        self._lock = self.store.with_name(f".{self.store.name}-lock")  # `rm store.db*` does not match it
        # A file of its own: to open and close SQLite's files here would release SQLite's locks.
        self._shares = self.store.with_name(f".{self.store.name}-open")

    def found(self) -> list[File] | None:
        """Return the file, the log and the index of the log; None unless all three exist."""
        files = [file for path in (self.store, self.log, self.index) if (file := file_at(path)) is not None]
        return files if len(files) == 3 else None

    def log_bytes(self) -> int:
        """Return the size of the log, 0 if there is none."""
        status = _stat(self.log)
        return 0 if status is None else status.st_size

    def lock(self) -> int:
        """
        Lock out other processes that open or close the files, until the returned descriptor is closed.

        Raises:
            BlockingIOError: another process has the lock.
        """
        lock = self._open(self._lock, os.O_RDONLY | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        return lock

    def share(self) -> tuple[int, bool]:
        """
        Take a share in the file. Return its descriptor, and whether no other process has one. Call it under `lock`.

        It lasts until its descriptor is closed, or until the process and those forked from it end.
        """
        share = self._open(self._shares, os.O_RDONLY | os.O_CREAT)
        try:
            fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_first = True
        except BlockingIOError:
            is_first = False
        fcntl.flock(share, fcntl.LOCK_SH)
        return share, is_first

    def make_folder(self) -> None:
        """
        Create the folder with mode 0700 if there is none.

        Raises:
            PermissionError: every user may write to it, and could replace the store's file.
        """
        folder = self.store.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & stat.S_IWOTH:
            raise PermissionError(
                f"every user may write to the folder {folder} (mode {mode:04o}), and could put a file in the place of"
                " the store's: give the store a folder of its own, of mode 0700"
            )

    def make_store(self) -> None:
        """Create an empty file."""
        os.close(self._open(self.store, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    def make_private(self) -> None:
        """
        Remove the rights of all users but the owner: a file may be a copy, or an administrator may have created it.

        Raises:
            PermissionError: others have rights in a file, and this user may not change that.
        """
        for path in (self.store, self.log, self.index, self._closed, self._lock, self._shares):
            with suppress(FileNotFoundError):
                mode = stat.S_IMODE(path.stat().st_mode)
                if not mode & OTHERS:
                    continue
                try:
                    path.chmod(mode & ~OTHERS)
                except PermissionError:
                    raise PermissionError(
                        f"other users may open {path} (mode {mode:04o}), and could keep the store locked: it is not"
                        " ours, so give it to the user that authsvc runs as"
                    ) from None

    def mark_closed(self) -> None:
        """Note that all of the log is in the file in its present state."""
        with os.fdopen(self._open(self._closed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as closed:
            closed.write(self._content())

    def was_closed(self) -> bool:
        """Whether the file is unchanged since `mark_closed`, by its time and size."""
        try:
            return self._closed.read_text() == self._content()
        except FileNotFoundError:
            return False

    def mark_open(self) -> None:
        """Remove the mark of `mark_closed`."""
        self._closed.unlink(missing_ok=True)

    def _content(self) -> str:
        """Return what distinguishes the file's content from that of an earlier copy written over it."""
        status = self.store.stat()
        return f"{status.st_mtime_ns} {status.st_size}\n"

    def _beside(self, suffix: str) -> Path:
        return self.store.with_name(f"{self.store.name}-{suffix}")

    def _open(self, path: Path, flags: int) -> int:
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # A file that root creates, by `authsvc check`, belongs to the folder's owner, as SQLite does with its own
        # files.
        folder = path.parent.stat()
        if os.geteuid() == 0 and folder.st_uid != 0:
            with suppress(PermissionError):
                os.fchown(file, folder.st_uid, folder.st_gid)
        return file


def file_at(path: Path) -> File | None:
    """Return the identity of the file at the path; None if there is none."""
    status = _stat(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- several times in each transaction, and half the price of Path.stat
    except FileNotFoundError:
        return None
