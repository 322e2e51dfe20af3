"""
The dialect of the vendor's SDK: Socket.IO 1.x and 2.x on Engine.IO 3, over WebSocket and over polling.

Ours, because the Python libraries of that generation no longer run. Only what its clients use is here: the default
namespace and text packets. In this generation the client pings and the server answers. One module, because a session
moves from one transport to the other.

Source: the protocol pages of engine.io-protocol, revision 3, and socket.io-protocol, revision 4.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

from aiohttp import WSMsgType, web

from authsvc.sandbox import jsontext
from authsvc.sandbox.connection import Socket

PING_INTERVAL_MS = 25_000
PING_TIMEOUT_MS = 60_000  # browsers let a hidden page's timers run once a minute
MAX_CONNECTIONS = 5_000
POLL_S = 25  # how long a poll waits for something to send
MAX_PACKET = 1024 * 1024  # beyond it the connection ends; what an event may have is the gateway's rule

_OPEN, _CLOSE, _PING, _PONG, _MESSAGE, _UPGRADE = "012345"
_CONNECT, _DISCONNECT, _EVENT, _ACK = _MESSAGE + "0", _MESSAGE + "1", _MESSAGE + "2", _MESSAGE + "3"


class Hub:
    """
    All connections. `on_event(socket, event, data, size)` gets each event of a client with the text that it came as,
    `on_gone(socket)` is called at its end.
    """

    def __init__(self, on_event: Callable[[Socket, str, object, str], None], on_gone: Callable[[Socket], None]) -> None:
        self.sockets: dict[str, Socket] = {}
        self.is_closed_to_new = False
        self._on_event = on_event
        self._on_gone = on_gone
        self._watches: dict[Socket, asyncio.TimerHandle] = {}

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes at which clients connect."""
        return [web.route("*", "/socket.io/", self._serve)]

    def drop_all(self) -> None:
        """Close every connection, as a gateway that restarts does."""
        for socket in list(self.sockets.values()):
            self._forget(socket)

    def drop(self, socket: Socket) -> None:
        """Close one connection."""
        self._forget(socket)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        sid = request.query.get("sid")
        if self.is_closed_to_new or (sid is None and len(self.sockets) >= MAX_CONNECTIONS):
            return web.Response(status=503)
        if request.query.get("EIO") != "3":
            return _refused(request, 5, "Unsupported protocol version")
        if sid is not None and sid not in self.sockets:
            return _refused(request, 1, "Session ID unknown")
        if request.query.get("transport") == "websocket":
            return await self._websocket(request, None if sid is None else self.sockets[sid])
        if request.query.get("transport") != "polling":
            return _refused(request, 0, "Transport unknown")
        if request.method == "POST" and sid is not None:
            return await self._take(request, self.sockets[sid])
        if request.method == "GET":
            return await self._poll(request, self._opened(["websocket"]) if sid is None else self.sockets[sid])
        return _refused(request, 2, "Bad handshake method")

    def _opened(self, upgrades: list[str]) -> Socket:
        socket = Socket()
        socket.cut = partial(self._forget, socket)
        self.sockets[socket.sid] = socket
        told = {
            "sid": socket.sid,
            "upgrades": upgrades,
            "pingInterval": PING_INTERVAL_MS,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        socket.send((_OPEN + json.dumps(told)).encode())
        socket.send(_CONNECT.encode())
        socket.heard_s = asyncio.get_running_loop().time()
        self._watch(socket)
        return socket

    def _watch(self, socket: Socket) -> None:
        """Forget a connection that has been silent for too long, or look again when it could be."""
        loop = asyncio.get_running_loop()
        until_s = socket.heard_s + (PING_INTERVAL_MS + PING_TIMEOUT_MS) / 1000
        if until_s <= loop.time():
            self._forget(socket)
        else:
            self._watches[socket] = loop.call_at(until_s, self._watch, socket)

    def _forget(self, socket: Socket) -> None:
        if self.sockets.pop(socket.sid, None) is not None:
            self._watches.pop(socket).cancel()
            socket.close()
            self._on_gone(socket)

    async def _websocket(self, request: web.Request, polling: Socket | None) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=MAX_PACKET, compress=False)
        await ws.prepare(request)
        writing: asyncio.Task[None] | None = None
        socket = polling
        if socket is None:
            socket = self._opened([])
            writing = _writing(request, ws, socket)
        async for message in ws:
            if message.type is not WSMsgType.TEXT or not socket.is_open:
                break
            if writing is None and message.data == _PING + "probe":
                await ws.send_str(_PONG + "probe")
                socket.move(begins=True)
            elif writing is None and message.data == _UPGRADE:
                writing = _writing(request, ws, socket)
            elif writing is not None:
                self._hear(socket, message.data)
        if writing is None:
            socket.move(begins=False)  # it goes on polling
        else:
            self._forget(socket)
            await writing
        return ws

    async def _take(self, request: web.Request, socket: Socket) -> web.Response:
        try:
            packets = list(decoded((await request.read()).decode()))
            if max(map(len, packets), default=0) > MAX_PACKET:
                raise ValueError("a packet is too large")  # noqa: TRY301 -- the same end as for any other fault
        except ValueError:
            self._forget(socket)
            return _refused(request, 3, "Bad request")
        for packet in packets:
            self._hear(socket, packet)
        return _text(request, "ok")

    async def _poll(self, request: web.Request, socket: Socket) -> web.Response:
        try:
            packets = await socket.poll(POLL_S)
        except BlockingIOError:
            self._forget(socket)
            return _refused(request, 3, "Bad request")
        return _text(request, encoded(packets))

    def _hear(self, socket: Socket, packet: str) -> None:
        socket.heard_s = asyncio.get_running_loop().time()
        if packet[:1] == _PING:
            socket.send((_PONG + packet[1:]).encode())
        elif packet.startswith(_EVENT):
            self._dispatch(socket, packet.removeprefix(_EVENT))
        elif packet[:1] == _CLOSE or packet.startswith(_DISCONNECT):
            self._forget(socket)

    def _dispatch(self, socket: Socket, text: str) -> None:
        digits = len(text) - len(text.lstrip("0123456789"))
        try:
            event, *data = jsontext.parse(text[digits:])
        except (ValueError, TypeError):
            return
        if digits:  # the client wants to know that it has arrived
            socket.send(f"{_ACK}{text[:digits]}[]".encode())
        if isinstance(event, str):
            self._on_event(socket, event, data[0] if data else None, text)


def encoded(packets: Iterable[bytes]) -> str:
    """Return the body of a poll: each packet after its length, which JavaScript counts in UTF-16 units."""
    texts = [packet.decode() for packet in packets]
    return "".join(f"{len(text.encode('utf-16-le')) // 2}:{text}" for text in texts)


def decoded(body: str) -> Iterator[str]:
    """Yield the packets of a body. Raises ValueError if it is none."""
    units = body.encode("utf-16-le")
    while units:
        colon = units.index(b":\0")
        length = int(units[:colon].decode("utf-16-le"))
        packet, units = units[colon + 2 : colon + 2 + 2 * length], units[colon + 2 + 2 * length :]
        if length < 1 or len(packet) != 2 * length:
            raise ValueError("a packet is shorter than it says")
        yield packet.decode("utf-16-le")


def _writing(request: web.Request, ws: web.WebSocketResponse, socket: Socket) -> asyncio.Task[None]:
    return asyncio.create_task(socket.write_to(ws, cast("asyncio.Transport", request.transport)))


def _refused(request: web.Request, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=400, headers=_cors(request))


def _text(request: web.Request, text: str) -> web.Response:
    return web.Response(text=text, headers=_cors(request))


def _cors(request: web.Request) -> dict[str, str]:
    """Return what lets a page of any origin poll; its client sends credentials along, so `*` would not do."""
    origin = request.headers.get("Origin")
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
