"""
Memory that the workers of one service share: a slot for each, with its heartbeat and its published bytes.

All of it is allocated before the fork: no full disk and no cleaner of temporary files can remove it, and no later write
can fail. Imports nothing of the project.
"""

import fcntl
import mmap
import os
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

SPARE = 2  # a worker may start before the end of the one that it replaces
ROOM = 256 * 1024  # bytes that a worker can publish

_PREFIX = struct.Struct("=II")  # length of the published bytes, and their checksum
_HALF = _PREFIX.size + ROOM
_SIZE = (24 + 2 * _HALF + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
_PID, _BEATS, _PUBLISHED = range(3)  # at the start of a slot, 8 bytes each
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Living:
    """A slot whose worker is alive."""

    number: int
    pid: int
    beats: int


class Slots:
    """
    The slots of one service. Create it before the fork.

    A worker owns its slot by a lock that the kernel releases at the end of the process. The next worker takes the slot
    over, with the bytes published last.

    Attributes:
        number: of slots.
        own: the number of this process's slot; None if it has none.
    """

    def __init__(self, workers: int) -> None:
        self.number = workers + SPARE
        self.own: int | None = None
        self._memory = mmap.mmap(-1, self.number * _SIZE)
        for page in range(0, len(self._memory), mmap.PAGESIZE):
            self._memory[page] = 0  # the kernel allocates a page at the first write
        self._words = memoryview(self._memory).cast("q")
        # An empty file, only for its locks: they belong to a process, and a child does not inherit them.
        self._locks = os.memfd_create("authsvc") if hasattr(os, "memfd_create") else _unlinked()

    def take(self) -> int | None:
        """Take the first slot without an owner, and return its number; None if there is none."""
        for number in range(self.number):
            with suppress(OSError):
                fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                self.own = number
                self._words[self._word(number, _PID)] = os.getpid()
                break
        return self.own

    def beat(self) -> None:
        """Count a heartbeat of this process."""
        if self.own is not None:
            self._words[self._word(self.own, _BEATS)] += 1

    def living(self) -> list[Living]:
        """Return the slots that have an owner."""
        return [
            Living(number, self._words[self._word(number, _PID)], self._words[self._word(number, _BEATS)])
            for number in range(self.number)
            if number == self.own or not self._is_free(number)
        ]

    def publish(self, content: bytes) -> bool:
        """Publish bytes for other processes. Return False if they are too many, or this process has no slot."""
        if self.own is None or len(content) > ROOM:
            return False
        published = self._words[self._word(self.own, _PUBLISHED)] + 1
        start = self._half(self.own, published)
        self._memory[start : start + _PREFIX.size] = _PREFIX.pack(len(content), crc32(content))
        self._memory[start + _PREFIX.size : start + _PREFIX.size + len(content)] = content
        # From here on this half is read. The other one stays unchanged for processes that still read it.
        self._words[self._word(self.own, _PUBLISHED)] = published
        return True

    def published(self, number: int) -> bytes:
        """Return the bytes published last in a slot; none if they change too fast to be read."""
        for _ in range(_ATTEMPTS):
            start = self._half(number, self._words[self._word(number, _PUBLISHED)])
            length, checksum = _PREFIX.unpack_from(self._memory, start)
            content = self._memory[start + _PREFIX.size : start + _PREFIX.size + min(length, ROOM)]
            if crc32(content) == checksum:  # else it was replaced twice in between
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
    """Return a file without a name, for systems without memfd_create, such as macOS."""
    file, name = tempfile.mkstemp()
    os.unlink(name)  # noqa: PTH108 -- a path as text
    return file
