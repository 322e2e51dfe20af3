"""Tests of what gunicorn's worker receives by; its answers are held to gunicorn's own in test_gunicorn_worker."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.server.gunicorn_http import STAY_MS, Socket, end_of_chunks


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


def is_whole_to_gunicorn(body: bytes) -> bool:
    """Return whether gunicorn's own parser finds nothing missing in a body in chunks."""
    parser = RequestParser(Config(), iter([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body]), ("", 0))
    try:
        next(parser).body.read()
    except (NoMoreData, ParseException):
        return False
    return True


CHUNK = st.builds(
    lambda data, extension, zeros: b"%s%x%s\r\n%s\r\n" % (zeros, len(data), extension, data),
    st.binary(min_size=1, max_size=20) | st.just(b"0\r\n\r\n"),
    st.sampled_from([b"", b";a=b", b' ; a="\\r"']),
    st.sampled_from([b"", b"0"]),
)


@settings(max_examples=50, deadline=None, database=None)
@given(chunks=st.lists(CHUNK, max_size=5), trailers=st.sampled_from([b"", b"X: x\r\n"]))
def test_chunks_end_where_gunicorn_reads_an_end(chunks: list[bytes], trailers: bytes) -> None:
    """However few bytes come at a time, and no byte sooner."""
    body = b"".join(chunks) + b"0\r\n" + trailers + b"\r\n"
    start = 0
    for length in range(len(body) + 1):
        start, is_whole = end_of_chunks(body[:length], start)
        assert is_whole == (length == len(body))
    assert end_of_chunks(body, 0) == (start, True)
    assert is_whole_to_gunicorn(body)
    assert not is_whole_to_gunicorn(body[:-1])


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"\r\n", b"-1\r\n", b"0x1\r\n", b"1_0\r\n", b"1" * 17 + b"\r\n", b"1\r\nabc\r\n"]
)
def test_nobody_waits_for_the_end_of_malformed_chunks(body: bytes) -> None:
    """They are for gunicorn to refuse."""
    assert end_of_chunks(body, 0)[1]
