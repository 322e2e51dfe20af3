"""
gunicorn, made to drain before it stops, to lose no signal, to wait for no slow client and to spread the others.

Its settings are in `deploy/gunicorn.conf.py`, which a plain `gunicorn -c` may use too and then has `Worker`, but not
the drain. The only module that imports `gunicorn`. Imports `balance`, `bind`, `capacity` and `drain`.
"""

import logging
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gunicorn.app.base import Application
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from authsvc.balance import PAUSE_S, Balance, shared_counts
from authsvc.bind import Bind
from authsvc.capacity import READ_S, connections
from authsvc.drain import STOPPING, Drain, blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Build = Callable[[], "WSGIApplication"]

STAY_MS = 10  # with a connection whose answer has been sent

_log = logging.getLogger(__name__)


class _Input:
    """A request's body, whose malformed chunks are an OSError as a lost connection is, and no error of gunicorn's."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        try:
            return self._body.read(size)
        except ParseException as exc:
            raise OSError("malformed") from exc


class _Whole:
    """
    An answer that leaves with one system call; gunicorn would send its head and its body by one each.

    Stands for the response's socket, and for what the app returned, which is closed when all has been written.
    """

    def __init__(self, response: Any, pieces: "Iterable[bytes]") -> None:
        self._sock = response.sock
        self._pieces = pieces
        self._written: list[bytes] = []
        response.sock = self

    def __iter__(self) -> "Iterator[bytes]":
        return iter(self._pieces)

    def sendall(self, data: bytes) -> None:
        self._written.append(data)

    def close(self) -> None:
        try:
            self._sock.sendall(b"".join(self._written))
        finally:
            if hasattr(self._pieces, "close"):
                self._pieces.close()


class _Logger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Leaves what gunicorn logs to the handler that everything else goes to."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """
    A worker with threads that closes slow clients' connections, and its listener as soon as it is to end.

    It takes no more connections than others do. A thread that has answered stays with its connection for a moment: to
    hand it to the main thread and back for its next request costs more than that request.
    """

    _counts = shared_counts()  # one for all workers, which are made in the parent

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begun_s: dict[TConn, float] = {}
        self._queued: set[TConn] = set()  # those that wait for a thread
        self.balance = Balance(self._counts, self.age)

    def load_wsgi(self) -> None:
        # A worker's settings do not change any more. gunicorn asks for 28 of them in each request, by two calls each.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        app: WSGIApplication = self.app.wsgi()

        def translating(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
            environ["wsgi.input"] = _Input(environ["wsgi.input"])
            return _Whole(start_response.__self__, app(environ, start_response))  # type: ignore[attr-defined] # a method

        self.wsgi = translating

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(timeout)
        if self._accepting:
            self.balance.tell(self.nr_conns)
        else:
            self.balance.end()

    def accept(self, listener: socket.socket) -> None:
        if self.balance.leaves_next():
            time.sleep(PAUSE_S)
            return
        try:
            super().accept(listener)
        except OSError:  # no file left, or a fault of the network that accept(2) tells of
            time.sleep(0.01)  # until another connection is closed; to raise would end the worker with all it has

    def enqueue_req(self, conn: TConn) -> None:
        self._queued.add(conn)
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        self._queued.discard(conn)
        if not conn.initialized and not conn.wait_for_data(0):
            return _DEFER  # one that says nothing waits without a thread
        while True:
            self._begun_s[conn] = time.monotonic()
            try:
                is_kept = super().handle(conn)
            finally:
                del self._begun_s[conn]
            if not is_kept or not self._asks_again(conn):
                return is_kept

    def _asks_again(self, conn: TConn) -> bool:
        """Wait a moment for the connection's next request, unless others wait for a thread."""
        if self._queued or not self.alive or conn.parser.unreader.buf.getvalue():
            return False
        coming = select.poll()
        coming.register(conn.sock, select.POLLIN)
        return bool(coming.poll(STAY_MS))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        super().finish_request(conn, fs)
        if self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = time.monotonic() + READ_S

    def murder_pending(self) -> None:
        super().murder_pending()
        for conn, begun_s in list(self._begun_s.items()):
            if time.monotonic() - begun_s > READ_S:
                with suppress(OSError):  # it has just been closed
                    conn.sock.shutdown(socket.SHUT_RD)  # an answer that is under way still goes out

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's signature
        super().set_accept_enabled(enabled)
        if not self.alive:
            # What connects from now on is refused at once; an open socket would keep it waiting for the end.
            for listener in self.sockets:
                listener.close()


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
        "workers": workers,
        "worker_connections": connections(),
        "loglevel": log_level.lower(),
        "logger_class": _Logger,
    }
    _Gunicorn(options, drain, build).run()


def _settings() -> Path:
    """Return gunicorn's settings: they lie in the package once installed, and under deploy/ in a checkout."""
    packaged = Path(__file__).with_name("gunicorn.conf.py")
    return packaged if packaged.is_file() else Path(__file__).parents[1] / "deploy" / "gunicorn.conf.py"
