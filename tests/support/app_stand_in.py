"""
An app that is asked who is logged in: a real HTTP server on loopback that a test has answer as it likes.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.http_server import OneByOneServer


@dataclass(frozen=True, slots=True)
class Question:
    """One request as the app got it; headers by lower-case names, in their order."""

    path: str
    headers: Mapping[str, str]

    @property
    def login(self) -> str:
        return self.headers.get("cookie", "") + self.headers.get("authorization", "")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `ends` breaks the connection off in its place, `piece_s` makes it trickle."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    ends: bool = False
    piece_s: float = 0.0


def user(user_id: str) -> Reply:
    """Return the answer that names a user as the README shows it."""
    return Reply(headers={"X-User": user_id})


class AppStandIn:
    """
    Answers as `reply` says, once `answering` is set; keeps connections.

    Attributes:
        questions: all so far.
        most_at_once: how many it had at a time.
    """

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.most_at_once = 0
        self.reply: Callable[[Question], Reply] = lambda _: Reply(401)
        self.answering = threading.Event()
        self.answering.set()
        self._at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = OneByOneServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/auth/check"

    def close(self) -> None:
        self._closing.set()
        self.answering.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def waiting(self) -> int:
        """Return how many questions it has and has not answered."""
        return self._at_once

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.questions.append(
                Question(handler.path, {name.lower(): value for name, value in handler.headers.items()})
            )
            question = self.questions[-1]
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.answering.wait()
        reply = self.reply(question)
        with self._lock:
            self._at_once -= 1
        if reply.ends or self._closing.is_set():
            handler.close_connection = True
            return
        with suppress(OSError):  # the asker has gone
            handler.send_response_only(reply.status)
            for name, value in ({"Content-Length": str(len(reply.content))} | dict(reply.headers)).items():
                handler.send_header(name, value)
            handler.end_headers()
            for piece in (
                [reply.content[i : i + 1] for i in range(len(reply.content))] if reply.piece_s else [reply.content]
            ):
                handler.wfile.write(piece)
                handler.wfile.flush()
                if self._closing.wait(reply.piece_s):
                    break

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                app._serve(self)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def app_stand_in() -> Iterator[AppStandIn]:
    """Run one, and close it at the end."""
    app = AppStandIn()
    try:
        yield app
    finally:
        app.close()
