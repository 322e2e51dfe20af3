"""
What one worker has: threads, connections, a CPU, and the time that it gives a client. Both servers are set up by it.

Imports nothing of the project.
"""

import os
import resource
from contextlib import suppress
from pathlib import Path

THREADS = 32
BACKLOG = 2048  # connections that wait to be accepted
READ_S = 5  # for all of a request
HEAD_BYTES = 65_536  # of a request's head on gunicorn, which keeps what has come of it; nginx passes on 32 KiB at most
BODY_BYTES = 65_536  # of its body, the same; a larger one is refused
CHUNKS_BYTES = 2 * BODY_BYTES  # of a body in chunks, with what stands between them
ANSWERED_S = 10  # for all of a request and its answer, of which the slowest takes 4 s; a client may not read it
SENT_S = 5  # for the client to take an answer; what does not fit into its socket's buffer holds a thread
BUSY_SENT_S = 0.5  # the same, while others wait for a thread
LINGER_S = 2  # for the client to close a connection after its last answer, as gunicorn has it
KEPT_S = 75  # a connection without a request; longer than nginx's 60 s, or nginx would send one just as we close it
OPEN_FILES = 16_384  # where the system lets it have so many
OWN_FILES = 128  # of them, what is no connection of a client: the store's, the vendor's, the threads' own


def connections() -> int:
    """Let this process and its workers have open files enough, and return how many clients each may keep connected."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        except (OSError, ValueError):  # where the limit is said to be none, and is lower, as on macOS
            files = soft
    return max(THREADS + 1, files - OWN_FILES)


def keep_to_a_cpu(place: int | None, workers: int) -> None:
    """
    Keep this worker's threads to one CPU, where each CPU has as many workers as any other. Elsewhere do nothing.

    Its threads take turns, by Python's lock, and to wake each other across CPUs costs more than it gains: up to half of
    what a request takes. With other numbers of workers than that, a CPU could be left idle, or be one that is busy with
    somebody else's work.

    Args:
        place: this worker's number, which the next one has when this one has ended; None if it has none.
        workers: how many there are.
    """
    cpus = sorted(getattr(os, "sched_getaffinity", lambda _: {0})(0))
    if place is None or len(cpus) == 1 or workers % len(cpus):
        return
    with suppress(OSError):  # it is no more than quicker
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpus[place % len(cpus)]})
