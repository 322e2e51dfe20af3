"""
A thread that runs a few short jobs periodically.

Imports nothing of the project.
"""

import itertools
import threading
from collections.abc import Callable, Sequence

PATIENCE_S = 5.0


def every(times: int, job: Callable[[], None]) -> Callable[[], None]:
    """Return a function that runs the job at the first call, and then at each `times`-th call."""
    calls = itertools.count()

    def sometimes() -> None:
        if next(calls) % times == 0:
            job()

    return sometimes


class PeriodicThread:
    """
    Runs the jobs every `interval_s` seconds until stopped, and then those of `at_end`.

    A job handles the failures that it expects. An unexpected one ends the thread with a traceback, which `/readyz`
    shows by `is_alive`.
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
        """Start the thread, once and after the fork."""
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread after its present job, and run the jobs of `at_end`. A second call does nothing.

        If a job hangs for PATIENCE_S seconds, it ends with the process.
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
