"""
Forks after `create_app`, as under `gunicorn --preload`.

A fork does not copy threads: without the periodic threads nothing is logged and no new secret is noticed. And a lock
that a thread held stays locked. So a child process builds its own app at its first request. Imports nothing of the
project.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class PerProcess:
    """
    A WSGI app that each process builds for itself.

    Args:
        app: that of this process.
        build: builds another; called at the first request after a fork, and at the next one if it raises.
    """

    def __init__(self, app: "WSGIApplication", build: "Callable[[], WSGIApplication]") -> None:
        self.app = app
        self._build = build
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._of_parent: WSGIApplication | None = None
        self._is_forking = False
        known = weakref.ref(self)  # the hooks cannot be removed

        def note(*, is_forking: bool) -> None:
            app = known()
            if app is not None:
                app._is_forking = is_forking

        os.register_at_fork(before=partial(note, is_forking=True), after_in_parent=partial(note, is_forking=False))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer by the app of this process."""
        if self._pid != os.getpid():
            self._build_own()
        return self.app(environ, start_response)

    def _build_own(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return  # another thread has built it
            if not self._is_forking:
                # Then the store could not close its file before the fork, and may lose writes of this process.
                raise RuntimeError(
                    "forked without Python's hooks: load the app in each worker, in uWSGI by lazy-apps = true"
                )
            app = self._build()
            self._of_parent = self.app  # to drop it here would close what the parent has open
            self.app, self._pid, self._is_forking = app, os.getpid(), False
