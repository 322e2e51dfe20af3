"""
The bounds of one request to another service: of its time, and of what is received for it.

A time-out of a socket bounds only the wait for the next byte. Imports nothing of the project.
"""

import os
import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self


class Deadline:
    """
    The bounds of one request, while it is entered: of its time, and of what is received for it.

    It shuts the connection down at the deadline, in whatever state it is. It has a duplicate of the socket, because TLS
    and `http.client` pass the socket on between themselves.
    """

    def __init__(self, within_s: float, most_bytes: int) -> None:
        self._ends_s = time.monotonic() + within_s
        self._left_bytes = most_bytes
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(within_s, self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._former = current.set(self)
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()
        current.reset(self._former)
        with self._lock:
            self._close()

    def left_s(self) -> float:
        """Return the seconds that are left, at least a millisecond."""
        return max(0.001, self._ends_s - time.monotonic())

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self._ends_s

    def is_too_much(self, received: int) -> bool:
        """Count received bytes, and return whether they are more than `most_bytes` by now."""
        self._left_bytes -= received
        return self._left_bytes < 0

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


current: ContextVar[Deadline] = ContextVar("authsvc-deadline")
