"""The bounds of one request; `test_http_client` has them at work."""

import socket

from authsvc.outbound.deadline import Deadline


def test_a_deadline_that_is_over_before_a_connection() -> None:
    """What is connected then is shut down at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.0, 0) as deadline:
        deadline.watch(ours)
        assert (ours.recv(1), theirs.recv(1)) == (b"", b"")


def test_what_is_received_is_bounded() -> None:
    """In all, and to the byte."""
    with Deadline(15, 10) as deadline:
        assert not deadline.is_too_much(4)
        assert not deadline.is_too_much(6)
        assert deadline.is_too_much(1)
