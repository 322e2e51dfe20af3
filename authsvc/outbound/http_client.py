"""
An HTTP request to another service within one deadline: the look-up of its name, the connection, TLS, a proxy's CONNECT,
and head and body of the answer. A time-out of a socket bounds only the wait for the next byte.

The only module that imports `urllib3`. It replaces the method `_new_conn` of its connections. Of the project it imports
`host_names`, `proxies` and `errors`.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from authsvc.errors import AuthsvcError
from authsvc.outbound import proxies
from authsvc.outbound.host_names import HostNames

CONNECT_S = 1.0  # for each address of a host
PIECE = 16_384

_names = HostNames()


class NoAnswer(AuthsvcError):
    """The service cannot be reached, or closed the connection early. The text follows its name."""


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
            BadAnswer: it is larger than `max_bytes`, compressed, or an interim response (1xx).
            NoAnswer: there is none.
        """
        with _Deadline(within_s) as deadline:
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
                    raise TooSlow(f"timed out: no complete answer within {within_s:.1f} s") from None
                if isinstance(exc, _UNREACHED):
                    raise NoAnswer("cannot be reached") from exc
                if isinstance(exc, urllib3.exceptions.TimeoutError):
                    raise TooSlow("did not answer in time") from exc
                raise NoAnswer("closed the connection early") from exc
            if deadline.is_over():  # an answer without a length ends where the connection was shut down
                raise TooSlow(f"timed out: no complete answer within {within_s:.1f} s")
        return Answer(response.status, response.headers, content)


_UNREACHED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.SSLError, urllib3.exceptions.ProxyError)


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    if response.status < 200:
        raise BadAnswer(
            f"is an interim response (status {response.status})"
        )  # the final response would be taken for the next answer
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadAnswer("is compressed, which was not requested")
    content = b""
    while piece := response.read1(PIECE, decode_content=False):
        content += piece
        if len(content) > max_bytes:
            raise BadAnswer(f"is larger than {max_bytes} bytes")
    return content


class _Deadline:
    """
    Shuts the connection of one request down at its deadline, in whatever state it is.

    It has a duplicate of the socket, because TLS and `http.client` pass the socket on between themselves.
    """

    def __init__(self, within_s: float) -> None:
        self._ends_s = time.monotonic() + within_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(within_s, self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._former = _deadline.set(self)
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()
        _deadline.reset(self._former)
        with self._lock:
            self._close()

    def left_s(self) -> float:
        """Return the seconds that are left, at least a millisecond."""
        return max(0.001, self._ends_s - time.monotonic())

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self._ends_s

    def watch(self, connected: Any) -> None:
        """Shut this connection down at the deadline, in place of the one before."""
        with self._lock:
            self._close()
            self._socket = socket.socket(fileno=os.dup(connected.fileno()))
        if self.is_over():
            self._shut_down()

    def _shut_down(self) -> None:
        with self._lock, suppress(OSError):  # it is closed already
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_deadline: ContextVar[_Deadline] = ContextVar("authsvc-http-deadline")


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connected = _connect(self)
        _deadline.get().watch(connected)
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # kept from an earlier request
            _deadline.get().watch(self.sock)
        super().request(*args, **kwargs)


class _Https(_Http, HTTPSConnection): ...


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


def _connect(connection: HTTPConnection) -> socket.socket:
    """Connect to the first address that accepts a connection, as urllib3 does; here the look-up is bounded too."""
    deadline = _deadline.get()
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
