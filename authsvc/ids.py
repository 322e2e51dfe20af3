"""
Identifiers that are unique and cannot be guessed: for random_str, requests and claims.

128 bits each from the operating system's random source, which is read for many at a time: each read is a system call,
for which a thread also releases Python's lock. Imports nothing of the project.
"""

import os
from collections import deque

DRAWN = 64  # at a time
_BYTES = 16

_drawn: deque[str] = deque()
os.register_at_fork(after_in_child=_drawn.clear)  # or both processes would return the same ones


def fresh_id() -> str:
    """Return 32 lower-case hexadecimal characters."""
    try:
        return _drawn.popleft()
    except IndexError:
        first, *others = os.urandom(_BYTES * DRAWN).hex(" ", _BYTES).split()
        _drawn.extend(others)
        return first
