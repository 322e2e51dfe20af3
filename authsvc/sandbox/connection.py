"""
One client's connection, whichever way it comes: packets wait until a poll takes them, or go out as WebSocket frames.

Frames are made here and not by aiohttp, which takes a task to write and a write for each packet: what one round of the
event loop has for a connection goes out at once, and what goes to many connections is encoded once.

Source: RFC 6455, 5.2; a server's frames are not masked.
"""

import asyncio
import secrets
from collections.abc import Callable

from aiohttp import web

from authsvc.sandbox import jsontext

MAX_BACKLOG = 4 * 1024 * 1024  # bytes that a client has not taken yet
CLOSE, NOOP = b"1", b"6"
_EVENT = b"42"


class Socket:
    """
    `sid` names it; `cut` ends it at once, `heard_s` is when it last sent something, in the event loop's time. While
    `is_polled` a poll waits for something to send.
    """

    def __init__(self) -> None:
        self.sid = secrets.token_hex(10)
        self.is_open = True
        self.heard_s = 0.0
        self.is_polled = False
        self.cut: Callable[[], None] | None = None
        self._waiting: list[bytes] = []
        self._backlog = 0
        self._arrived = asyncio.Event()
        self._is_moving = False
        self._flush: Callable[[], None] | None = None
        self._end: Callable[[], None] | None = None

    def emit(self, event: str, data: object) -> None:
        """Send an event."""
        self.send(encoded_event(event, data))

    def send(self, packet: bytes) -> None:
        """Send a packet as it is. Who takes nothing off for too long is cut off: the rest would fill the memory."""
        if self._backlog > MAX_BACKLOG:
            if self.cut is not None:
                cut, self.cut = self.cut, None
                cut()
            return
        if not self._waiting:
            self._announce()
        self._waiting.append(packet)
        self._backlog += len(packet)

    def close(self) -> None:
        """End the connection, after all that is to be sent."""
        self.is_open = False
        if self._end is None:
            self.send(CLOSE)
        else:
            self._end()

    def move(self, *, begins: bool) -> None:
        """Let polls come back at once while the client moves to a WebSocket: it waits for its last one."""
        self._is_moving = begins
        if begins and self.is_polled:
            self.send(NOOP)

    async def poll(self, wait_s: float) -> list[bytes]:
        """Wait a while for something to send, return all of it. Raises BlockingIOError while another poll waits."""
        if self.is_polled:
            raise BlockingIOError
        if not self._waiting and not self._is_moving:
            self.is_polled = True
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_s)
            except TimeoutError:
                pass  # there is nothing to send
            finally:
                self.is_polled = False
        return self._taken() or [NOOP]

    async def write_to(self, ws: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        """Let a WebSocket have all packets from now on, until the connection is closed."""
        closed = asyncio.Event()

        def flush() -> None:
            if self._waiting and not transport.is_closing():
                transport.write(b"".join([framed(packet) for packet in self._taken()]))
                if transport.get_write_buffer_size() > MAX_BACKLOG:
                    transport.abort()

        self.cut, self._flush, self._end = transport.abort, flush, closed.set
        flush()
        await closed.wait()
        flush()
        await ws.close()

    def _announce(self) -> None:
        if self._flush is None:
            self._arrived.set()
        else:
            asyncio.get_running_loop().call_soon(self._flush)

    def _taken(self) -> list[bytes]:
        packets, self._waiting, self._backlog = self._waiting, [], 0
        self._arrived.clear()
        return packets


def encoded_event(event: str, data: object) -> bytes:
    """Return the packet of an event, for as many connections as it goes to."""
    return _EVENT + jsontext.written([event, data])


def framed(packet: bytes) -> bytes:
    """Return a packet as one frame of text."""
    size = len(packet)
    if size < 126:
        return bytes((0x81, size)) + packet
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + packet
    return b"\x81\x7f" + size.to_bytes(8, "big") + packet
