"""
gunicorn, made to drain before it stops, and to lose no signal.

Its settings are in `deploy/gunicorn.conf.py`, which a plain `gunicorn -c` may use too and then has the worker, but not
the drain. Imports `bind`, `limits` and `drain`.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from authsvc.bind import Bind
from authsvc.server.drain import Drain, blocked
from authsvc.server.limits import connections

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Build = Callable[[], "WSGIApplication"]

_log = logging.getLogger(__name__)


class _Logger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Leaves what gunicorn logs to the handler that everything else goes to."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Arbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    def spawn_worker(self) -> Any:
        with blocked():
            return super().spawn_worker()

    def handle_term(self) -> None:
        if self.app.drain.is_over():
            raise StopIteration

    handle_int = handle_term

    def handle_hup(self) -> None:
        _log.info("SIGHUP: nothing to restart, changed secret files are seen by themselves")


class _Gunicorn(Application):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, options: dict[str, Any], drain: Drain, build: Build) -> None:
        self.drain = drain
        self._build = build
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        self.load_config_from_file(str(_settings()))
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> "WSGIApplication":
        return self._build()

    def run(self) -> None:
        _Arbiter(self).run()


def serve(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    """Serve on gunicorn until stopped; `build` makes the app, in each worker."""
    options = {
        "bind": str(bind),
        "umask": 0o777 & ~bind.mode,  # of a unix socket alone: nothing else is made with it
        "workers": workers,
        "worker_connections": connections(),
        "loglevel": log_level.lower(),
        "logger_class": _Logger,
    }
    _Gunicorn(options, drain, build).run()


def _settings() -> Path:
    """Return gunicorn's settings: they lie in the package once installed, and under deploy/ in a checkout."""
    packaged = Path(__file__).parents[1] / "gunicorn.conf.py"
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "deploy" / "gunicorn.conf.py"
