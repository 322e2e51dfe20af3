"""
gunicorn's worker, made to wait for no slow client, and to take no more connections than others.

What it relies on beyond gunicorn's documentation, with `gunicorn_http` and `gunicorn_arbiter`, and what for:
- how `ThreadWorker` hands a connection to a thread and takes it back, with `_DEFER`, its deques and its poller, so that
  no thread waits for a client that is slow to send, to read or to close; `accept` and `nr_conns`, for an even share
- what `parser`, `unreader` and the readers of bodies keep of what has come, and `_expected_100_continue`, for the same
- `Arbiter.spawn_worker` and `handle_*`, for the drain
- `handle`, which stays with a connection: a quarter of a request's CPU where few clients ask; its settings as plain
  attributes, 14 %; its class of answers, 12 %
tests/project/test_private_parts.py fails by the name of what has changed.

Imports `gunicorn_balance`, `limits`, `drain` and `gunicorn_http`.
"""

import selectors
import signal
import socket
import time
from bisect import insort
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from authsvc.server.drain import STOPPING
from authsvc.server.gunicorn_balance import PAUSE_S, Balance, shared_counts
from authsvc.server.gunicorn_http import Input, RequestIncomplete, Response, Socket, receive_body
from authsvc.server.limits import ANSWERED_S, BUSY_SENT_S, LINGER_S, READ_S, SENT_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAIN_BYTES = 65_536  # at once


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
        self.tmp.notify()  # or one that hangs before its first heartbeat would never be missed
        self._begun_s: dict[TConn, float] = {}
        self._held: set[TConn] = set()  # those that have a thread, or wait for one
        self.balance = Balance(self._counts, self.age)

    def load_wsgi(self) -> None:
        # A worker's settings do not change any more. gunicorn asks for 28 of them in each request, by two calls each.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        wsgi.Response = Response  # for which there is no setting
        app: WSGIApplication = self.app.wsgi()

        def translating(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
            environ["wsgi.input"] = Input(environ["wsgi.input"])
            return app(environ, start_response)

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
        self._held.add(conn)
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        try:
            if conn.initialized or conn.wait_for_data(0):
                return self._handle_several(conn)
            return _DEFER  # one that says nothing waits without a thread
        finally:
            self._held.discard(conn)

    def _handle_several(self, conn: TConn) -> Any:
        if not conn.initialized:
            conn.sock = Socket(conn.sock)
        while True:
            self._begin(conn)
            try:
                is_kept = super().handle(conn)
            except RequestIncomplete:
                self._put_back(conn)
                return _DEFER  # the rest of the request is waited for without a thread
            finally:
                conn.sock.missing = None  # which an encrypted socket has no use for, and takes
                del self._begun_s[conn]
            if not is_kept or not self._asks_again(conn):
                return is_kept

    def _begin(self, conn: TConn) -> None:
        now_s = time.monotonic()
        # What is encrypted, or may be HTTP/2, is gunicorn's own affair; when it stops, it defers no more.
        if self.alive and isinstance(conn.sock, Socket) and self.cfg.http2_cleartext == "off":
            now_s = conn.sock.begin(conn.parser.unreader.buf.getvalue() if conn.initialized else b"", now_s)
        self._begun_s[conn] = now_s

    def _put_back(self, conn: TConn) -> None:
        """Leave what has come of a request to be parsed anew when more of it comes."""
        conn.parser.unreader.take_buffered()
        conn.parser.unreader.unread(conn.sock.received)
        conn.parser.mesg = None
        conn.parser.req_count -= 1

    def handle_request(self, req: Any, conn: TConn) -> Any:
        if getattr(conn.sock, "missing", None) is not None:
            receive_body(req, conn.sock, conn.parser.unreader)
        return super().handle_request(req, conn)

    def _asks_again(self, conn: TConn) -> bool:
        """Wait a moment for the connection's next request, unless others wait for a thread."""
        if len(self._held) > self.cfg.threads or not self.alive or conn.parser.unreader.buf.getvalue():
            return False
        if not isinstance(conn.sock, Socket):
            return False  # it is encrypted, and gunicorn's own way will do
        try:
            came = conn.sock.recv_soon()
        except OSError:  # nothing came, or the connection has broken: gunicorn sees to both
            return False
        conn.parser.unreader.unread(came)
        return True

    def finish_request(self, conn: TConn, fs: Any) -> None:
        is_over = not (fs.cancelled() or fs.exception() or fs.result())
        if is_over and isinstance(conn.sock, Socket) and conn.sock.fileno() >= 0:
            self._linger(conn)
            return
        super().finish_request(conn, fs)
        if self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = (getattr(conn.sock, "received_since_s", None) or time.monotonic()) + READ_S
            insort(self.pending_conns, self.pending_conns.pop(), key=attrgetter("timeout"))

    def _linger(self, conn: TConn) -> None:
        """Close a connection when its client has, or soon. gunicorn would have everybody wait for that."""
        with suppress(OSError):  # it has broken, which the poller sees
            conn.sock.shutdown(socket.SHUT_WR)
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + LINGER_S
        insort(self.pending_conns, conn, key=attrgetter("timeout"))
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: TConn, sock: Socket) -> None:
        """Throw away what a client still sends: if it were left there, closing would take back the answer."""
        with suppress(OSError):
            if sock.recv(DRAIN_BYTES):
                return
        self.poller.unregister(sock)
        self.pending_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        super().murder_pending()
        # A client that reads takes an answer at once, or in a moment; nobody has to wait long for one that does not.
        patience_s = SENT_S if len(self._held) <= self.cfg.threads else BUSY_SENT_S
        for conn in list(self._begun_s):
            since_s = getattr(conn.sock, "sends_since_s", None)
            if since_s is not None and time.monotonic() - since_s > patience_s:
                with suppress(OSError):  # it has just been closed
                    conn.sock.shutdown(socket.SHUT_RDWR)
        for conn, begun_s in list(self._begun_s.items()):
            age_s = time.monotonic() - begun_s
            if age_s > READ_S:
                with suppress(OSError):  # it has just been closed
                    # An answer that is under way still goes out, unless nobody reads it.
                    conn.sock.shutdown(socket.SHUT_RDWR if age_s > ANSWERED_S else socket.SHUT_RD)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 -- gunicorn's signature
        super().set_accept_enabled(enabled)
        if not self.alive:
            # What connects from now on is refused at once; an open socket would keep it waiting for the end.
            for listener in self.sockets:
                listener.close()
