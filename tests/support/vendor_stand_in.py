"""
A stand-in for the vendor's REST API: a real HTTP server on loopback that a test tells how to behave.
"""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from tests.support.certificates import Certificates
from tests.support.http_server import OneByOneServer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the vendor got it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    credentials: str
    body: object


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `piece_s` makes it trickle, a byte each so many seconds; `cut` breaks it off in the middle."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    piece_s: float = 0
    cut: bool = False

    @classmethod
    def json(cls, body: object, *, status: int = 200, **headers: str) -> "Reply":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | named)


# What the vendor says of credentials that it takes and a media_id that it does not know.
UNKNOWN = Reply.json({"error": {"code": 899003, "message": "parameter invalid"}}, status=400)


class VendorStandIn:
    """Answers as `reply` says, after waiting for `thaw` if it is frozen; remembers what it was asked."""

    def __init__(self, tls: Certificates | None = None) -> None:
        self.asked: list[Asked] = []
        self.reply: Callable[[Asked], Reply] = lambda asked: Reply.json({"url": url_of(asked)})
        self._thawed = threading.Event()
        self._thawed.set()
        self._closing = threading.Event()
        self._server = OneByOneServer(("127.0.0.1", 0), self._handler())
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Accept, and never answer until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def close(self) -> None:
        self._closing.set()
        self._thawed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                stand_in._serve(self)

            do_GET = do_POST = do_PUT = _answer  # noqa: N815 -- the names that http.server calls

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        scheme, _, basic = (handler.headers.get("Authorization") or "").partition(" ")
        asked = Asked(
            method=handler.command,
            path=parts.path,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            credentials=base64.b64decode(basic).decode() if scheme == "Basic" else "",
            body=json.loads(content) if content else None,
        )
        self.asked.append(asked)
        self._thawed.wait()
        if self._closing.is_set():
            handler.close_connection = True
            return
        try:
            self._send(handler, self.reply(asked))
        except OSError:  # the client has given up
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.send_response_only(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        if reply.piece_s:
            for index in range(len(body)):
                handler.wfile.write(body[index : index + 1])
                handler.wfile.flush()
                if self._closing.wait(reply.piece_s):
                    break
        else:
            handler.wfile.write(body)
        if reply.cut:
            handler.close_connection = True


def url_of(asked: Asked, *, lives_s: int = 3600, now_s: float | None = None) -> str:
    """Return a URL as the vendor's private downloads have it, made-up token and all."""
    media_id = dict(asked.query).get("mediaId", "")
    expires_s = int((time.time() if now_s is None else now_s) + lives_s)
    return f"http://dl.im.jiguang.cn/{media_id.lstrip('/')}?e={expires_s}&token=made-up:token="


@contextmanager
def vendor_stand_in(tls: Certificates | None = None) -> Iterator[VendorStandIn]:
    """Run one, by TLS if there are certificates for it, and close it at the end."""
    stand_in = VendorStandIn(tls)
    try:
        yield stand_in
    finally:
        stand_in.close()
