"""
What one worker has: threads, connections, and the time that it gives a client. Both servers are set up by it.

Imports nothing of the project.
"""

import resource

THREADS = 32
BACKLOG = 2048  # connections that wait to be accepted
READ_S = 5  # for all of a request; meanwhile it holds one of the threads
OPEN_FILES = 16_384  # where the system lets it have so many
OWN_FILES = 128  # of them, what is no connection of a client: the store's, the vendor's, the threads' own


def connections() -> int:
    """Let this process and its workers have open files enough, and return how many clients each may keep connected."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(THREADS + 1, files - OWN_FILES)
