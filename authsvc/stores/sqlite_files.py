"""
The files of the SQLite store: who may open them, which ones they are, and who may open them now.

Nothing here reads or writes what is in the store. Imports nothing of the project.
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
    The store's file at `path`, or where the symbolic links there lead, and the files beside it.

    Every one is of mode 0600: whoever may open one for reading can lock it, and so keep the store from its owner.
    """

    def __init__(self, path: str) -> None:
        # SQLite follows links too, and puts its log beside the file that they lead to.
        self.store = Path(os.path.realpath(path))
        self.log = self._beside("wal")
        self.index = self._beside("shm")
        # There while nobody has the file open whose log is gone because SQLite put all of it into the file.
        self._closed = self._beside("closed")
        self._lock = self.store.with_name(f".{self.store.name}-lock")  # which `rm store.db*` leaves
        # SQLite's own locks on its files would be lost if these were opened and closed here.
        self._shares = self.store.with_name(f".{self.store.name}-open")

    def found(self) -> list[File] | None:
        """Return which file, log and index of the log are there, or None unless all three are."""
        files = [file for path in (self.store, self.log, self.index) if (file := file_at(path)) is not None]
        return files if len(files) == 3 else None

    def log_bytes(self) -> int:
        """Return the size of the log, 0 if there is none."""
        status = _stat(self.log)
        return 0 if status is None else status.st_size

    def lock(self) -> int:
        """
        Keep other processes out that open or close the files, until the descriptor that is returned is closed.

        Raises:
            BlockingIOError: one of them keeps us out.
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
        Take a share in the file, to be called under `lock`; return it, and whether no other process has one.

        It lasts until its descriptor is closed, also by the end of the process and of those forked from it.
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
        Make the folder with mode 0700 if there is none.

        Raises:
            PermissionError: every user may write to it, and so put a file of his own in the place of the store's.
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
        """Make an empty file."""
        os.close(self._open(self.store, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    def make_private(self) -> None:
        """
        Take from everybody but the owner what rights they have in a file: it may be a copy, or an administrator's.

        Raises:
            PermissionError: others have rights in a file that is not ours to change.
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
        """Note that all of the log is in the file, as it is now."""
        with os.fdopen(self._open(self._closed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as closed:
            closed.write(self._content())

    def was_closed(self) -> bool:
        """Whether the file is, as far as can be seen, the one that `mark_closed` was called for, unchanged."""
        try:
            return self._closed.read_text() == self._content()
        except FileNotFoundError:
            return False

    def mark_open(self) -> None:
        """Take the mark of `mark_closed` away."""
        self._closed.unlink(missing_ok=True)

    def _content(self) -> str:
        """Return what tells the file's content from that of a copy which is written over it, made earlier."""
        status = self.store.stat()
        return f"{status.st_mtime_ns} {status.st_size}\n"

    def _beside(self, suffix: str) -> Path:
        return self.store.with_name(f"{self.store.name}-{suffix}")

    def _open(self, path: Path, flags: int) -> int:
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # What root makes, such as `authsvc check`, is for the folder's owner to use; SQLite does so with its files.
        folder = path.parent.stat()
        if os.geteuid() == 0 and folder.st_uid != 0:
            with suppress(PermissionError):
                os.fchown(file, folder.st_uid, folder.st_gid)
        return file


def file_at(path: Path) -> File | None:
    """Return which file is at the path, or None."""
    status = _stat(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- several times in each transaction, and half the price of Path.stat
    except FileNotFoundError:
        return None
