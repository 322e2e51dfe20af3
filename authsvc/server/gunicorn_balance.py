"""
Which of several workers accepts the next connection, so that not one of them gets all.

They wait at one socket, the kernel wakes them all, and who is awake already comes first. Connections that are kept
alive then stay where they are. So a worker that has many more than another leaves the next one to it. Imports nothing
of the project.
"""

import mmap
import time
from collections.abc import Callable

SLOTS = 256
FEW = 0.8  # of a worker's own connections, and one less; in a storm the others' counts are never quite the same
PAUSES = 10  # how often in a row a worker leaves a connection to others
PAUSE_S = 0.001  # for one of them to take it
ALONE_S = 0.1  # for which it leaves them nothing when they did not: they may hang

_NOBODY = -1


def shared_counts() -> memoryview:
    """Return the memory in which workers tell each other how many connections they have. Make it before the fork."""
    counts = memoryview(mmap.mmap(-1, 8 * SLOTS)).cast("q")
    for slot in range(SLOTS):
        counts[slot] = _NOBODY
    return counts


class Balance:
    """
    One worker's view of how many connections each has. To be used by one thread of one process.

    Args:
        number: of the worker; no two of a few hundred in a row share a slot.
    """

    def __init__(self, counts: memoryview, number: int, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._slot = number % SLOTS
        self._now_s = now_s
        self._left = 0
        self._alone_until_s = 0.0

    def tell(self, connections: int) -> None:
        """Say how many connections this worker has."""
        self._counts[self._slot] = connections

    def end(self) -> None:
        """Say that this worker accepts no more, be it because it has died."""
        self._counts[self._slot] = _NOBODY

    def leaves_next(self) -> bool:
        """Return whether the next connection is better left to others, for PAUSE_S."""
        if not self._is_ahead() or self._now_s() < self._alone_until_s:
            self._left = 0
            return False
        if self._left == PAUSES:
            self._left, self._alone_until_s = 0, self._now_s() + ALONE_S
            return False
        self._left += 1
        return True

    def _is_ahead(self) -> bool:
        few = self._counts[self._slot] * FEW - 1
        return any([_NOBODY < count < few for count in self._counts])  # noqa: C419 -- half the time of a generator
