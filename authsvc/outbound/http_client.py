"""
An HTTP request to another service within one deadline: the look-up of its name, the connection, TLS, a proxy's CONNECT,
and head and body of the answer. A time-out of a socket bounds only the wait for the next byte.

The only module that imports `urllib3`. For the deadline, and the bound on what is received, it relies on more than is
documented: `_new_conn` of its connections, `pool_classes_by_scheme` and `ConnectionCls`, and of `http.client` on
`response_class` and the `fp` of a response. tests/project/test_private_parts.py names what has changed. Of the project
it imports `deadline`, `host_names`, `proxies`, `message` and `errors`.
"""

import http.client
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from authsvc.errors import AuthsvcError
from authsvc.message import Message
from authsvc.outbound import proxies
from authsvc.outbound.deadline import Deadline, current
from authsvc.outbound.host_names import HostNames

CONNECT_S = 1.0  # for each address of a host
PIECE = 16_384
OVERHEAD_BYTES = 65_536  # of an answer, beside its content: interim answers, head, trailers

_names = HostNames()


class NoAnswer(AuthsvcError):
    """The service cannot be reached, or closed the connection early. The message follows its name."""

    def __init__(self, template: str, /, **facts: object) -> None:
        super().__init__(template)
        self.message = Message(template, **facts)

    def __str__(self) -> str:
        return str(self.message)


class TooSlow(NoAnswer):
    """There is no complete answer by the deadline."""


class BadAnswer(NoAnswer):
    """The answer has an unexpected form and is not read. The text follows "the answer"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. A redirect is one."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpClient:
    """The client of one service. Keeps connections, uses a proxy of the environment. Safe to use from many threads."""

    def __init__(self, url: str, *, connections: int) -> None:
        """Take a URL of the service, and how many requests it gets at once; others wait."""
        proxy = proxies.proxy_for(url)
        if proxy is None:
            self._pools = urllib3.PoolManager(maxsize=connections, block=True)
        else:
            headers = None if proxy.credentials is None else urllib3.make_headers(proxy_basic_auth=proxy.credentials)
            self._pools = urllib3.ProxyManager(proxy.url, maxsize=connections, proxy_headers=headers, block=True)
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def close(self) -> None:
        """Close connections."""
        self._pools.clear()

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        within_s: float,
        max_bytes: int,
    ) -> Answer:
        """
        Return the answer to one request, which is sent once.

        Raises:
            TooSlow: it is not complete within `within_s` seconds.
            BadAnswer: it is larger than `max_bytes`, has much more beside its content, is compressed, or is an
                interim response (1xx).
            NoAnswer: there is none.
        """
        with Deadline(within_s, 2 * max_bytes + OVERHEAD_BYTES) as deadline:
            try:
                response = self._pools.request(
                    method,
                    url,
                    body=body,
                    headers=headers,
                    timeout=within_s,
                    pool_timeout=within_s,
                    preload_content=False,
                    redirect=False,
                    retries=False,
                )
                try:
                    content = _read(response, max_bytes)
                finally:
                    response.close()
                    response.release_conn()  # or the pool loses a connection
            except urllib3.exceptions.HTTPError as exc:
                if deadline.is_over():
                    raise TooSlow("timed out: no complete answer within {within_s:.1f} s", within_s=within_s) from None
                if isinstance(exc, _UNREACHED):
                    raise NoAnswer("cannot be reached") from exc
                if isinstance(exc, urllib3.exceptions.TimeoutError):
                    raise TooSlow("did not answer in time") from exc
                raise NoAnswer("closed the connection early") from exc
            if deadline.is_over():  # an answer without a length ends where the connection was shut down
                raise TooSlow("timed out: no complete answer within {within_s:.1f} s", within_s=within_s)
        return Answer(response.status, response.headers, content)


_UNREACHED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.SSLError, urllib3.exceptions.ProxyError)


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    if response.status < 200:
        # The final response would be taken for the next answer.
        raise BadAnswer("is an interim response (status {status})", status=response.status)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadAnswer("is compressed, which was not requested")
    content = b""
    while piece := response.read1(PIECE, decode_content=False):
        content += piece
        if len(content) > max_bytes:
            raise BadAnswer("is larger than {max_bytes} bytes", max_bytes=max_bytes)
    return content


class _Counted(io.RawIOBase):
    """What a server sends: http.client reads interim answers, and urllib3 trailers, for as long as they come."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        received = self._raw.readinto(buffer)
        if current.get().is_too_much(received or 0):
            raise BadAnswer("has more than {max_bytes} bytes beside its content", max_bytes=OVERHEAD_BYTES)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_Counted(self.fp.detach()))


class _Http(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        connected = _connect(self)
        current.get().watch(connected)
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # it is kept from an earlier request
            current.get().watch(self.sock)
        super().request(*args, **kwargs)


class _Https(_Http, HTTPSConnection): ...


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


def _connect(connection: HTTPConnection) -> socket.socket:
    """Connect to the first address that accepts a connection, as urllib3 does; here the look-up is bounded too."""
    deadline = current.get()
    failure: OSError = TimeoutError("the deadline has passed")
    try:
        addresses = _names.find(connection.host, deadline.left_s())
    except OSError as exc:
        addresses, failure = [], exc
    for address in addresses:
        try:
            connected = socket.create_connection((address, connection.port), min(CONNECT_S, deadline.left_s()))
        except OSError as exc:
            failure = exc
        else:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
    if isinstance(failure, TimeoutError):
        raise urllib3.exceptions.ConnectTimeoutError(connection, "no connection in time") from failure
    raise urllib3.exceptions.NewConnectionError(connection, "no connection") from failure
