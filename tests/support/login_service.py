"""A login service that publishes keys: a real HTTP server on a loopback port that can be made to misbehave."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self

from tests.support.http_server import OneByOneServer


class LoginService:
    """
    Answers every GET with what it has been given to answer.

    Attributes:
        requests: the path and the headers of every request so far.
        answering: while clear, requests are taken and not answered.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.answering = threading.Event()
        self.answering.set()
        self.status = 200
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.between_chunks_s = 0.0
        self.publish()
        self._stopping = threading.Event()
        self._server = OneByOneServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def publish(self, *keys: object) -> None:
        """Answer with a key set of these keys."""
        self.answer(json.dumps({"keys": keys}).encode())

    def answer(self, *chunks: bytes, status: int = 200, between_chunks_s: float = 0.0, **headers: str) -> None:
        """Answer with these bytes, with a pause between the chunks."""
        self.chunks = list(chunks)
        self.status = status
        self.between_chunks_s = between_chunks_s
        self.headers = {"Content-Length": str(sum(map(len, chunks)))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def stop(self) -> None:
        """Stop listening, so that connections are refused."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.answering.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.requests.append((self.path, dict(self.headers)))
                assert service.answering.wait(60)
                try:
                    self.send_response(service.status)
                    for name, value in service.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for chunk in service.chunks:
                        self.wfile.write(chunk)
                        self.wfile.flush()
                        service._stopping.wait(service.between_chunks_s)
                except OSError:  # the asker has gone
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name it has there
                pass

        return Handler
