"""
A forward proxy on loopback: it takes CONNECT, and a GET of a whole URL, and passes both on to one server.
"""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class ConnectProxy:
    """
    Passes on whatever host is asked for to the server at `port`, and remembers what was asked for.

    Args:
        credentials: `user:password` that it wants; None wants none.
    """

    def __init__(self, port: int, credentials: str | None = None) -> None:
        self.asked: list[str] = []
        self._port = port
        self._authorization = credentials and f"Basic {base64.b64encode(credentials.encode()).decode()}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            head = b""
            while b"\r\n\r\n" not in head and (piece := client.recv(65_536)):
                head += piece
            lines = head.decode("latin-1").split("\r\n")
            self.asked.append(" ".join(lines[0].split()[:2]))
            given = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            if self._authorization and given.get("proxy-authorization") != self._authorization:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            if lines[0].startswith("CONNECT"):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join(60)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def connect_proxy(port: int, credentials: str | None = None) -> Iterator[ConnectProxy]:
    """Run one, and close it at the end."""
    proxy = ConnectProxy(port, credentials)
    try:
        yield proxy
    finally:
        proxy.close()
