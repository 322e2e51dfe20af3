"""
A thread beside the requests: it runs a few short jobs, again and again.

Imports nothing of the project.
"""

import itertools
import threading
from collections.abc import Callable, Sequence

PATIENCE_S = 5.0


def every(times: int, job: Callable[[], None]) -> Callable[[], None]:
    """Return what runs the job the first time that it is called, and then once in so many."""
    calls = itertools.count()

    def sometimes() -> None:
        if next(calls) % times == 0:
            job()

    return sometimes


class PeriodicThread:
    """
    Runs the jobs every `interval_s` seconds until stopped, and then those of `at_end`.

    A job handles the failures that it expects; one that it does not expect ends the thread with a traceback, and
    `is_alive` says so for `/readyz`.
    """

    def __init__(
        self,
        name: str,
        jobs: Sequence[Callable[[], None]],
        *,
        interval_s: float,
        at_end: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._jobs = jobs
        self._interval_s = interval_s
        self._at_end = at_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; once only, and after the fork."""
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread, wait for the job that it is in, and do what is left to do; a second time it does nothing.

        A job that hangs is waited for PATIENCE_S seconds; then it is left to the end of the process.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._thread.join(PATIENCE_S)
        for job in self._at_end if not self._thread.is_alive() else ():
            job()

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            for job in self._jobs:
                job()
