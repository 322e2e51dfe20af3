"""
A proxy before Redis that can lose an answer: Redis has done what it was asked, and the asker's connection breaks.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self


class Proxy:
    """Passes on what comes to its unix socket. A context manager."""

    def __init__(self, path: Path, upstream: Path) -> None:
        self._upstream = upstream
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self.path = str(path)
        self.url = f"unix://{path}"
        self.lose_next_answer = False

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client was not closed"

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._upstream))
                self._start(self._pass_questions, client, server)
                self._start(self._pass_answers, client, server)

    def _pass_questions(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self.lose_next_answer:
                    self.lose_next_answer = False
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
