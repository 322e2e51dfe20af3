"""
An app that is built before its process forks, as under `gunicorn --preload`.

A fork takes no thread along: without what runs beside the requests nothing is logged and no new secret is seen. And a
lock that a thread held stays held. So a child builds an app of its own, with its first request. Imports nothing of the
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
    A WSGI app that is built anew in each process which serves it.

    Args:
        app: the one of this process.
        build: makes another; called by the first request after a fork, and by the next one if it raises.
    """

    def __init__(self, app: "WSGIApplication", build: "Callable[[], WSGIApplication]") -> None:
        self.app = app
        self._build = build
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._of_parent: WSGIApplication | None = None
        self._is_forking = False
        known = weakref.ref(self)  # what is registered stays so

        def tell(*, is_forking: bool) -> None:
            app = known()
            if app is not None:
                app._is_forking = is_forking

        os.register_at_fork(before=partial(tell, is_forking=True), after_in_parent=partial(tell, is_forking=False))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer by this process's own app."""
        if self._pid != os.getpid():
            self._build_own()
        return self.app(environ, start_response)

    def _build_own(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return  # another thread has built it meanwhile
            if not self._is_forking:
                # Then the store had no chance to close its file, and could lose in this process what it writes.
                raise RuntimeError(
                    "forked past Python's hooks: let each worker load the app, in uWSGI by lazy-apps = true"
                )
            app = self._build()
            self._of_parent = self.app  # to let go of it here would close what the parent has open
            self.app, self._pid, self._is_forking = app, os.getpid(), False
