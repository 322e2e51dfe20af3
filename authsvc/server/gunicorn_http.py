"""
What gunicorn's worker receives by and answers with: a connection's socket, a request's body, an answer.

`gunicorn_worker` says what of gunicorn's they rely on. Imports `clock` and `limits`.
"""

import re
import select
import socket
import time
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from gunicorn.http import wsgi
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from gunicorn.http.message import TOKEN_RE
from gunicorn.util import http_date, is_hoppish

from authsvc import clock
from authsvc.server.limits import BODY_BYTES, CHUNKS_BYTES, HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import ReadableBuffer

STAY_MS = 10  # with a connection whose answer has been sent
READ_BYTES = 8192  # at once, as gunicorn does


class RequestIncomplete(BaseException):  # no Exception, which gunicorn would answer
    """The rest of a request has not come yet."""


def _head_too_large() -> LimitRequestHeaders:
    return LimitRequestHeaders("head too large")


class Input:
    """A request's body, whose malformed chunks are an OSError as a lost connection is, and no error of gunicorn's."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        try:
            return self._body.read(size)
        except ParseException as exc:
            raise OSError("malformed") from exc


class Response(wsgi.Response):  # type: ignore[misc] # gunicorn has no types
    """
    An answer that leaves with one system call; gunicorn would send its head and its body by one each.

    Until it is whole it stands for its own socket. Of its head it makes anew what is new: gunicorn looks at each
    header's name in each answer, and works out the date.
    """

    sock: Any

    def __init__(self, req: Any, sock: socket.socket, cfg: Any) -> None:
        super().__init__(req, self, cfg)
        self._socket = sock
        self._written: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._written.append(data)

    def can_sendfile(self) -> bool:
        return False

    def close(self) -> None:
        super().close()
        self.sock = self._socket  # no cycle is left, which would stay until the garbage collector comes by
        self.sock.sendall(b"".join(self._written))

    def default_headers(self) -> list[str]:
        headers = [
            f"HTTP/{self.req.version[0]}.{self.req.version[1]} {self.status}\r\n",
            f"Server: {self.version}\r\n",
            f"Date: {_http_date(clock.now_ms() // 1000)}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\n",
        ]
        if self.chunked:
            headers.append("Transfer-Encoding: chunked\r\n")
        return headers

    def process_headers(self, headers: "Iterable[tuple[str, str]]") -> None:
        for name, value in headers:
            if _is_plain(name) and wsgi.HEADER_VALUE_RE.fullmatch(value):
                self.headers.append((name, value.strip(" \t")))
            else:
                super().process_headers([(name, value)])


_http_date = lru_cache(maxsize=1)(http_date)


@lru_cache
def _is_plain(name: str) -> bool:
    """Return whether a header of this name is well-formed, and means nothing to gunicorn."""
    return bool(TOKEN_RE.fullmatch(name)) and name.lower() != "content-length" and not is_hoppish(name)


class Socket(socket.socket):
    """A connection's socket, on which no thread waits for a request, and which knows since when it sends."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        super().settimeout(None)
        self.sends_since_s: float | None = None  # by the monotonic clock; None while nothing is sent
        self.received_since_s: float | None = None  # the same; None while no request is received
        self.received = b""  # what has come of it, and of what follows it
        self.chunks_end = 0  # up to where its body is in whole chunks
        self.missing: Callable[[], BaseException] | None = None  # to raise where more has not come; None to wait for it

    def begin(self, received: bytes, now_s: float) -> float:
        """Receive a request, of which so much has come, without waiting for the rest; return since when it comes."""
        if self.received_since_s is None:
            self.received_since_s, self.chunks_end = now_s, 0
        self.received = received
        self.missing = _head_too_large if len(received) > HEAD_BYTES else RequestIncomplete
        return self.received_since_s

    def settimeout(self, timeout: float | None) -> None:
        if self.missing is None:  # else Python would wait so long before it receives
            super().settimeout(timeout)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.missing is None:
            return super().recv(size, flags)
        try:
            came = super().recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise self.missing() from None
        self.received += came
        return came

    def recv_soon(self) -> bytes:
        """Return what comes within STAY_MS, or raise BlockingIOError."""
        readable = select.poll()
        readable.register(self, select.POLLIN)
        readable.poll(STAY_MS)
        return super().recv(READ_BYTES, socket.MSG_DONTWAIT)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.sends_since_s = time.monotonic()
        super().sendall(data, flags)
        self.sends_since_s = None


def receive_body(req: Any, sock: Socket, unreader: Any) -> None:
    """
    Have all of a request's body in memory, or raise RequestIncomplete: no thread waits for it.

    One that is too large, is malformed, or ends early is left as it is, for the app to refuse.
    """
    sock.missing = RequestIncomplete
    reader = req.body.reader
    is_chunked = isinstance(reader, ChunkedReader)
    is_awaited = is_chunked or 0 < reader.length <= BODY_BYTES
    try:
        if is_chunked:
            _receive_chunks(sock, unreader)
        elif is_awaited:
            unreader.unread(unreader.read(reader.length))
    except RequestIncomplete:
        if req._expected_100_continue and not unreader.buf.getvalue():
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        raise
    req._expected_100_continue = False  # or gunicorn would send one now, which is too late
    sock.received_since_s, sock.missing = None, TimeoutError


def _receive_chunks(sock: Socket, unreader: Any) -> None:
    while True:
        body = unreader.buf.getvalue()
        sock.chunks_end, is_whole = end_of_chunks(body, sock.chunks_end)
        if is_whole or len(body) > CHUNKS_BYTES or not (came := sock.recv(READ_BYTES)):
            return
        unreader.unread(unreader.take_buffered() + came)


_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?", re.DOTALL)


def end_of_chunks(body: bytes, start: int) -> tuple[int, bool]:
    """
    Return where the first chunk begins that has not come whole, from the one on at `start`, and whether all have come.

    What is malformed counts as all: it is for gunicorn to parse and refuse. Each chunk is looked at once, however often
    more of the body comes.
    """
    while (line_end := body.find(b"\r\n", start)) >= 0:
        size = _CHUNK_SIZE.fullmatch(body, start, line_end)
        length = 0 if size is None else int(size[1], 16)
        if not length:
            return start, size is None or body.find(b"\r\n\r\n", line_end) >= 0
        if len(body) < (end := line_end + length + 4):
            break
        start = end
    return start, False
