"""
Memory that the workers of one service share: a slot for each, with its heartbeat and what it publishes.

All of it is there before the fork: no full disk and no cleaner of temporary files takes it away, and no write to it
can fail later. Imports nothing of the project.
"""

import fcntl
import mmap
import os
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

SPARE = 2  # a worker may start before the one that it replaces has ended
ROOM = 256 * 1024  # bytes that a worker can publish

_PREFIX = struct.Struct("=II")  # length of what is published, and its checksum
_HALF = _PREFIX.size + ROOM
_SIZE = (24 + 2 * _HALF + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
_PID, _BEATS, _PUBLISHED = range(3)  # at the begin of a slot, in 8 bytes each
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Living:
    """A slot whose worker lives."""

    number: int
    pid: int
    beats: int


class Slots:
    """
    The slots of one service. Make it before the fork.

    A worker owns its slot by a lock that the kernel releases when the process ends, however it ends. The next worker
    takes the slot over and finds what was published last.

    Attributes:
        number: how many there are.
        own: which one this process has; None if it has none.
    """

    def __init__(self, workers: int) -> None:
        self.number = workers + SPARE
        self.own: int | None = None
        self._memory = mmap.mmap(-1, self.number * _SIZE)
        for page in range(0, len(self._memory), mmap.PAGESIZE):
            self._memory[page] = 0  # a page that was never written to does not exist yet
        self._words = memoryview(self._memory).cast("q")
        # An empty file, for its locks: they belong to a process, and a child does not inherit them.
        self._locks = os.memfd_create("authsvc") if hasattr(os, "memfd_create") else _unlinked()

    def take(self) -> int | None:
        """Take the first slot that no process owns, and return its number; None if there is none."""
        for number in range(self.number):
            with suppress(OSError):
                fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                self.own = number
                self._words[self._word(number, _PID)] = os.getpid()
                break
        return self.own

    def beat(self) -> None:
        """Show that this process runs."""
        if self.own is not None:
            self._words[self._word(self.own, _BEATS)] += 1

    def living(self) -> list[Living]:
        """Return the slots that a process owns."""
        return [
            Living(number, self._words[self._word(number, _PID)], self._words[self._word(number, _BEATS)])
            for number in range(self.number)
            if number == self.own or not self._is_free(number)
        ]

    def publish(self, content: bytes) -> bool:
        """Let other processes read this; return False if there is no room for it, or this process has no slot."""
        if self.own is None or len(content) > ROOM:
            return False
        published = self._words[self._word(self.own, _PUBLISHED)] + 1
        start = self._half(self.own, published)
        self._memory[start : start + _PREFIX.size] = _PREFIX.pack(len(content), crc32(content))
        self._memory[start + _PREFIX.size : start + _PREFIX.size + len(content)] = content
        # From here on this half is read. The other one stays as it is, for who reads it right now.
        self._words[self._word(self.own, _PUBLISHED)] = published
        return True

    def published(self, number: int) -> bytes:
        """Return what was last published in a slot; nothing if it changes too fast to be read."""
        for _ in range(_ATTEMPTS):
            start = self._half(number, self._words[self._word(number, _PUBLISHED)])
            length, checksum = _PREFIX.unpack_from(self._memory, start)
            content = self._memory[start + _PREFIX.size : start + _PREFIX.size + min(length, ROOM)]
            if crc32(content) == checksum:  # else it was replaced twice meanwhile
                return content
        return b""

    def _is_free(self, number: int) -> bool:
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, number)
        return True

    @staticmethod
    def _word(number: int, which: int) -> int:
        return number * _SIZE // 8 + which

    @staticmethod
    def _half(number: int, published: int) -> int:
        return number * _SIZE + 24 + published % 2 * _HALF


def _unlinked() -> int:
    """Return a file that has no name any more, where the system has none in memory, as macOS."""
    file, name = tempfile.mkstemp()
    os.unlink(name)  # noqa: PTH108 -- a path as text
    return file
