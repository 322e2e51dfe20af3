"""Tests of what gunicorn's worker receives by; its answers are held to gunicorn's in test_worker."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from authsvc.server.gunicorn_http import STAY_MS, Socket


@pytest.fixture
def pair() -> Iterator[tuple[Socket, socket.socket]]:
    """A connection's socket, and the client's end of it."""
    ours, client = socket.socketpair()
    with Socket(ours) as sock, client:
        yield sock, client


def test_a_socket_waits_a_moment_for_the_next_request(pair: tuple[Socket, socket.socket]) -> None:
    """What comes in time is returned at once; else the wait ends."""
    sock, client = pair
    began_s = time.monotonic()
    with pytest.raises(BlockingIOError):
        sock.recv_soon()
    assert time.monotonic() - began_s >= STAY_MS / 1000
    client.sendall(b"abc")
    assert sock.recv_soon() == b"abc"
    client.close()
    assert sock.recv_soon() == b""


def test_a_socket_waits_longer_for_the_rest(pair: tuple[Socket, socket.socket]) -> None:
    """As long as it takes, or as its time-out says."""
    sock, client = pair
    later = threading.Timer(5 * STAY_MS / 1000, client.sendall, [b"abc"])
    later.start()
    assert sock.recv(3) == b"abc"
    later.join()
    sock.settimeout(0)
    with pytest.raises(BlockingIOError):
        sock.recv(3)
    sock.settimeout(5 * STAY_MS / 1000)
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        sock.recv(3)
    assert time.monotonic() - began_s >= 5 * STAY_MS / 1000
