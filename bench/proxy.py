"""
A TCP proxy on loopback that lets pass, delays or refuses, as it is told.
"""

import socket
import threading
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from bench.processes import LOAD_CORES, bound_to, free_port

DELAY_S = 0.1


class Proxy:
    """
    Passes on to a loopback port, in threads of its own. A context manager.

    Its states: "up" lets pass, "slow" holds every answer back for 100 ms, "down" takes no connection and breaks those
    that there are.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._state = "down"
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    def turn(self, state: str) -> None:
        """Be "up", "slow" or "down" from now on."""
        self._state = state
        if state != "down" and self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._accepting = threading.Thread(target=self._accept, args=(self._listener,), name="proxy")
            self._accepting.start()
        elif state == "down" and self._listener is not None:
            assert self._accepting is not None
            self._listener.shutdown(socket.SHUT_RDWR)  # which ends accept()
            self._accepting.join()
            self._listener.close()
            self._listener = None

    def __enter__(self) -> Self:
        self.turn("up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.turn("down")

    def _accept(self, listener: socket.socket) -> None:
        """Serve until the listener is shut down, and then break every connection."""
        with bound_to(LOAD_CORES), ExitStack() as ends, suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                for side in (here, there):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ends.enter_context(side)
                for source, sink, is_answer in ((here, there, False), (there, here, True)):
                    thread = threading.Thread(target=self._pass, args=(source, sink, is_answer), name="proxy")
                    thread.start()
                    ends.callback(thread.join)
                ends.callback(_shut, here)
                ends.callback(_shut, there)

    def _pass(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:  # noqa: FBT001 -- a thread's
        with suppress(OSError):
            while content := source.recv(65_536):
                if is_answer and self._state == "slow":
                    time.sleep(DELAY_S)
                sink.sendall(content)
        _shut(sink)


def _shut(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
