"""
granian, made to drain before it stops, and to lose no signal.

For that it relies on two things that granian's documentation does not have, its handlers of signals and how it makes
workers and replaces them; tests/project/test_private_parts.py fails by the name of what has changed.

Imports `bind`, `limits` and `drain`.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from authsvc.bind import Bind
from authsvc.server.drain import Drain, blocked
from authsvc.server.limits import BACKLOG, KEPT_S, THREADS, connections

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Build = Callable[[], "WSGIApplication"]

_log = logging.getLogger(__name__)


def serve(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    """Serve until stopped; `build` makes the app, in each worker."""
    multiprocessing.set_start_method("fork", force=True)  # the memory that the workers share is not for a new process
    parent = os.getpid()

    class Granian(Server):  # type: ignore[misc, valid-type] # a class chosen by the build of Python
        def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
            if os.getpid() != parent:
                os._exit(0)  # a worker that is still starting; SystemExit would be lost on a callback of Python's own
            if drain.is_over():
                super().signal_handler_interrupt(*args, **kwargs)

        def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 -- granian's signature
            _log.info("SIGHUP: nothing to restart, changed secret files are seen by themselves")

        def _spawn_workers(self, *args: Any, **kwargs: Any) -> None:
            with blocked():
                super()._spawn_workers(*args, **kwargs)

        def _respawn_workers(self, *args: Any, **kwargs: Any) -> None:
            with blocked():
                super()._respawn_workers(*args, **kwargs)

    server = Granian(
        "authsvc",
        address=bind.host,
        port=bind.port,
        uds=bind.socket,
        uds_permissions=bind.mode,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        # It is for both: a head that is sent slowly, which holds no thread, and a connection that is kept without one.
        http1_settings=HTTP1Settings(header_read_timeout=KEPT_S * 1000),
        backpressure=connections(),
        websockets=False,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
        log_level=LogLevels(log_level.lower()),
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},  # to our own handler
    )
    _log.warning("granian waits for a slow body for ever: let nobody reach it but a gateway that buffers requests")
    server.serve(target_loader=build, wrap_loader=False)
