"""
Whom authsvc asks or informs, in a thread of the benchmark: an app that knows its logins, and a collector of spans.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from bench.processes import LOAD_CORES, bound_to

APP_COOKIE = "sid"


class Upstream:
    """
    Both on one loopback port, bound to the cores of the load. A context manager.

    A GET is answered with the user whose name is the cookie `sid`. A POST is counted as the spans that it holds.
    """

    def __init__(self) -> None:
        self.spans = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        with bound_to(LOAD_CORES):
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                cookies = dict(one.split("=", 1) for one in self.headers.get("Cookie", "").split("; ") if "=" in one)
                user = cookies.get(APP_COOKIE)
                self.send_response(200 if user else 401)
                if user:
                    self.send_header("X-User", user)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                upstream.spans += _spans(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler


def _spans(body: bytes) -> int:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for of_resource in request.resource_spans for scope in of_resource.scope_spans)
