"""
Run the WSGI app on gunicorn or granian, and drain before stopping.

On SIGTERM or SIGINT `/readyz` says no while requests are still served; after the drain delay, or on a second signal,
the server stops accepting and finishes what it has. SIGHUP restarts nothing: every worker looks at the secret files
by itself, twice a second. Imports `app`.
"""

import errno
import importlib.util
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from authsvc.app import THREADS, create_app
from authsvc.errors import SettingsError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BACKLOG = 2048
_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bind:
    """Where to listen: a TCP address, or a unix socket if `socket` is set."""

    host: str
    port: int
    socket: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Read `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; raises ValueError."""
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls("", 0, Path(text.removeprefix("unix:")))
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):([0-9]{1,5})", text, re.ASCII)
        if match is None or int(match[2]) > 65_535:
            raise ValueError("must be HOST:PORT, [IPV6]:PORT or unix:PATH")
        return cls(match[1].strip("[]"), int(match[2]))

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Drain:
    """
    Tells every worker that the service is about to stop, by a file that both servers' workers can see.

    Args:
        delay_s: how long to go on serving after the first signal.
    """

    def __init__(self, folder: Path, *, delay_s: int) -> None:
        self._mark = folder / "draining"
        self._delay_s = delay_s

    def is_on(self) -> bool:
        """Return whether the service is draining."""
        return self._mark.exists()

    def is_over(self) -> bool:
        """Take one signal: the first begins the drain and sends the second when the delay is over."""
        if self.is_on() or not self._delay_s:
            return True
        self._mark.touch()
        _log.warning("draining for %d s; /readyz says no; a second signal stops at once", self._delay_s)
        timer = threading.Timer(self._delay_s, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
        return False


Load = Callable[[Drain], "WSGIApplication"]
Build = Callable[[], "WSGIApplication"]


def serve(
    server: str, bind: Bind, *, workers: int, drain_delay_s: int, log_level: str, load: Load | None = None
) -> None:
    """
    Serve until stopped.

    Args:
        server: "gunicorn" or "granian".
        drain_delay_s: how long to go on serving after the first signal.
        load: builds the app, in each worker; None builds the service from the environment.

    Raises:
        SettingsError: nothing can listen there, or the server is not installed.
    """
    run = {"gunicorn": _serve_gunicorn, "granian": _serve_granian}[server]
    if server == "granian" and importlib.util.find_spec("granian") is None:
        raise SettingsError(["--server granian: is not installed; pip install 'authsvc[granian]'"])
    free(bind)
    load = load or partial(_load_service, twins_pass=server == "granian")
    with tempfile.TemporaryDirectory(prefix="authsvc-") as folder:
        drain = Drain(Path(folder), delay_s=drain_delay_s)
        run(bind, workers, drain, log_level, partial(_load_apart, load, drain))


def free(bind: Bind) -> Bind:
    """Return where to listen, its port known. Raises SettingsError if nothing can, with the reason."""
    try:
        if bind.socket is not None:
            _clear(bind.socket)
            return bind
        with socket.socket(socket.AF_INET6 if ":" in bind.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will, right after a restart
            probe.bind((bind.host, bind.port))
            return Bind(bind.host, probe.getsockname()[1])
    except (OSError, UnicodeError) as exc:
        raise SettingsError([f"--bind: cannot listen on {bind}: {exc}"]) from exc


def _clear(path: Path) -> None:
    """Remove the socket of a server that has died. Raises OSError where none can be made."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "somebody listens there")


def _load_service(drain: Drain, *, twins_pass: bool) -> "WSGIApplication":
    return create_app(is_draining=drain.is_on, twins_pass=twins_pass)


def _load_apart(load: Load, drain: Drain) -> "WSGIApplication":
    """Build the app out of reach of the terminal's Ctrl-C, which is for the parent to act on."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(os.getppid(),), name="authsvc-parent", daemon=True).start()
    return load(drain)


def _end_with(parent: int) -> None:
    """End this worker when its parent has gone without a word, or it would go on serving for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's signature
        super().set_accept_enabled(enabled)
        if not self.alive:
            # What connects from now on is refused at once; an open socket would keep it waiting for the end.
            for listener in self.sockets:
                listener.close()


class _Arbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    def spawn_worker(self) -> Any:
        # Between the fork and the worker's own handlers a signal would be lost, and the worker outlive its time.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def handle_term(self) -> None:
        if self.app.drain.is_over():
            raise StopIteration

    handle_int = handle_term

    def handle_hup(self) -> None:
        _log.info("SIGHUP: nothing to restart, changed secret files are seen by themselves")


class _Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, options: dict[str, Any], drain: Drain, build: Build) -> None:
        self.drain = drain
        self._build = build
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> "WSGIApplication":
        return self._build()

    def run(self) -> Never:
        _Arbiter(self).run()
        raise AssertionError("the arbiter leaves by SystemExit")


def _serve_gunicorn(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    options = {
        "bind": str(bind),
        "workers": workers,
        "worker_class": _Worker,
        "threads": THREADS,
        "backlog": BACKLOG,
        "keepalive": 75,  # longer than nginx's 60 s, or it would reuse a connection that we close
        "graceful_timeout": 30,
        "timeout": 60,
        "header_map": "refuse",  # an underscore twin of an identity header is no header
        "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 -- memory, for the heartbeat
        "control_socket_disable": True,
        "proc_name": "authsvc",
        "loglevel": log_level.lower(),
    }
    _Gunicorn(options, drain, build).run()


def _serve_granian(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    parent = os.getpid()

    class Granian(Server):  # type: ignore[misc, valid-type] # a class chosen by the build of Python
        def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
            if os.getpid() != parent:
                sys.exit()  # a worker that is still starting has no handlers of its own yet
            if drain.is_over():
                super().signal_handler_interrupt(*args, **kwargs)

        def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 -- granian's signature
            _log.info("SIGHUP: nothing to restart, changed secret files are seen by themselves")

    server = Granian(
        "authsvc",
        address=bind.host,
        port=bind.port,
        uds=bind.socket,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
        log_level=LogLevels(log_level.lower()),
    )
    server.serve(target_loader=build, wrap_loader=False)
