"""
Thousands of clients at once, in one thread: each connects, asks once, and notes how long the answer took.
"""

import resource
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.processes import BenchError

SPARE_FILES = 256


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until all had their answer, and the longest that one waited since it began to connect."""

    all_s: float
    worst_s: float


class _Client:
    def __init__(self, port: int, request: bytes) -> None:
        self.left = request
        self.answer = b""
        self.began_s = time.monotonic()
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003 -- the socket's own
        self.socket.connect_ex(("127.0.0.1", port))


def storm(port: int, requests: Sequence[bytes], *, timeout_s: float) -> Waits:
    """
    Send each request on a connection of its own, all at once, and wait for all the answers.

    Raises:
        BenchError: an answer was not 200 with a body, a connection broke, or not all came in time.
    """
    _allow_files(len(requests) + SPARE_FILES)
    began_s = time.monotonic()
    worst_s, left = 0.0, len(requests)
    with selectors.DefaultSelector() as selector:
        try:
            for request in requests:
                client = _Client(port, request)
                selector.register(client.socket, selectors.EVENT_WRITE, client)
            while left:
                if time.monotonic() - began_s > timeout_s:
                    raise BenchError(f"the storm: {left} of {len(requests)} have no answer after {timeout_s} s")
                for key, _ in selector.select(timeout=1):
                    client = key.data
                    if not _went_on(client, selector):
                        continue
                    worst_s = max(worst_s, time.monotonic() - client.began_s)
                    selector.unregister(client.socket)
                    client.socket.close()
                    left -= 1
        finally:
            for key in list(selector.get_map().values()):
                key.data.socket.close()
    return Waits(time.monotonic() - began_s, worst_s)


def _went_on(client: _Client, selector: selectors.BaseSelector) -> bool:
    """Send or read what can be; return whether the answer is complete."""
    try:
        if client.left:
            client.left = client.left[client.socket.send(client.left) :]
            if not client.left:
                selector.modify(client.socket, selectors.EVENT_READ, client)
            return False
        read = client.socket.recv(65_536)
    except OSError as exc:
        raise BenchError(f"the storm: {exc}") from exc
    client.answer += read
    if not read:
        raise BenchError(f"the storm: closed without an answer: {client.answer!r}")
    return _is_complete(client.answer)


def _is_complete(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    if not head.startswith(b"HTTP/1.1 200 ") or (b'"signature"' not in body and body):
        raise BenchError(f"the storm: {answer[:200]!r}")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0])


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
