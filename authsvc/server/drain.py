"""
The time between the first signal to stop and the stop.

Imports nothing of the project.
"""

import logging
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

_log = logging.getLogger(__name__)


@contextmanager
def blocked() -> Iterator[None]:
    """
    Hold back the signals to stop while a worker is forked; the worker lets them in when it has handlers.

    Between the fork and then Python drops a signal without a word, and the worker would outlive its time.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


class Drain:
    """
    Tells every worker that the service is about to stop, by memory that they share: make it before the fork.

    Args:
        delay_s: how long to go on serving after the first signal.
    """

    def __init__(self, *, delay_s: int) -> None:
        self._mark = mmap.mmap(-1, 1)
        self._delay_s = delay_s
        self._has_begun = False

    def is_on(self) -> bool:
        """Return whether the service is draining."""
        return self._mark[0] == 1

    def is_over(self) -> bool:
        """Take one signal: the first begins the drain and sends the second when the delay is over."""
        if self._has_begun or not self._delay_s:
            return True
        self._has_begun = True
        self._mark[0] = 1
        _log.warning("draining for %d s; /readyz says no; a second signal stops at once", self._delay_s)
        timer = threading.Timer(self._delay_s, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
        return False
