"""
A server on loopback that sends what a test gives it, at once or a byte at a time, whatever it was asked.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class RawServer:
    """
    Sends `answer` on each connection: once at once, and with `drips_s` for ever, a byte each so many seconds.

    Args:
        listens_first: whether it waits for a request's head before it sends, as a server of TLS would not.
        repeats: what it sends after that for ever, as fast as it is taken.
    """

    def __init__(
        self, answer: bytes = b"", *, drips_s: float = 0, listens_first: bool = True, repeats: bytes = b""
    ) -> None:
        self.answer = answer
        self.repeats = repeats
        self.drips_s = drips_s
        self.connections = 0
        self._listens_first = listens_first
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # the client has gone
            while True:
                head = b""
                while self._listens_first and b"\r\n\r\n" not in head:
                    head += (piece := client.recv(65_536))
                    if not piece:
                        return
                answer, drips_s = self.answer, self.drips_s
                if not drips_s:
                    client.sendall(answer)
                    while self.repeats:
                        client.sendall(self.repeats)
                    if not self._listens_first:
                        return
                    continue
                for index in range(10_000):
                    client.sendall(answer[index : index + 1] or b"x")
                    if self._closing.wait(drips_s):
                        return


@contextmanager
def raw_server(
    answer: bytes = b"", *, drips_s: float = 0, listens_first: bool = True, repeats: bytes = b""
) -> Iterator[RawServer]:
    """Run one, and close it at the end."""
    server = RawServer(answer, drips_s=drips_s, listens_first=listens_first, repeats=repeats)
    try:
        yield server
    finally:
        server.close()
