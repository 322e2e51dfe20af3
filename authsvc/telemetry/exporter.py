"""
The exporter of `/metrics`, on an address of its own, in each worker: any worker returns the metrics of all.

Imports nothing of the project.
"""

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # of Prometheus's text form
TIMEOUT_S = 3  # for a request and its answer; requests are answered one at a time
BACKLOG = 16


def listen(host: str, port: int) -> socket.socket:
    """
    Return a listening socket, which forked processes may share. Raises OSError.

    `::` is every address of this host, IPv4 included, as for the servers.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_both = host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=is_both)
    listener.settimeout(0)  # several workers wait, one gets the connection
    return listener


def start(listener: socket.socket, text: Callable[[], bytes]) -> None:
    """Serve the result of `text`, in a thread that ends with the process."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"only /metrics is here\n"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Type", "text/plain")])
            return [b""]
        body = text()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")])
        return [body]

    server = _Server(listener.getsockname()[:2], _Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = "authsvc", listener.getsockname()[1]
    server.setup_environ()
    server.set_app(app)
    threading.Thread(target=server.serve_forever, name="authsvc-metrics", daemon=True).start()


class _Server(WSGIServer):
    def handle_error(self, *_about: Any) -> None:
        """Do not log a client that has disconnected."""


class _Quiet(WSGIRequestHandler):
    def setup(self) -> None:
        super().setup()
        # A time-out of the socket would start again with each byte.
        self._limit = threading.Timer(TIMEOUT_S, self._give_up)
        self._limit.daemon = True
        self._limit.start()

    def finish(self) -> None:
        self._limit.cancel()
        super().finish()

    def _give_up(self) -> None:
        with suppress(OSError):  # the client has disconnected
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
        """Do not log a scrape."""
