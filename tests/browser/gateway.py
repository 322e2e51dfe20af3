"""
A gateway of the vendor's for pages under test: it believes every payload, kicks who logs in twice, and when a test asks
it to it drops connections and pushes events. It serves the page, too.
"""

import asyncio
import threading
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from authsvc.sandbox.connection import Socket
from authsvc.sandbox.engineio import Hub
from tests.support.running import PATIENCE_S

T = TypeVar("T")
KICKED = {"event_id": 7, "event_type": 1, "extra": 0, "from_uid": 0, "gid": 0}
_MEMBERS = {"sync_check": {"sync_key": 0, "sync_event_key": 0, "sync_type": 0, "msg_receipt_key": 0}}


class Gateway:
    """Runs in a thread of its own. `files` are what it serves, by path: the content and its type."""

    def __init__(self, files: Mapping[str, tuple[str, str]]) -> None:
        self._logins: dict[tuple[str, int], str] = {}  # usernames by connection and rid: an SDK may send it again
        self.closes_whom_it_kicks = False
        self._users: dict[Socket, str] = {}
        self._hub = Hub(self._answer, self._forget)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        app = web.Application()
        for path, (content, kind) in files.items():
            app.router.add_get(path, _serving(content, kind))
        app.add_routes(self._hub.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.port: int = self._run(self._start())
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def logins(self) -> list[str]:
        """Return the usernames, one for each login."""
        return list(self._logins.values())

    def connections(self) -> int:
        return len(self._hub.sockets)

    def online(self) -> int:
        """Return how many connections have a user."""
        return len(self._users)

    def drop(self) -> None:
        """Close every connection, as a gateway that restarts does."""
        self._run(_done(self._hub.drop_all))

    def push(self, event: str, data: Mapping[str, object]) -> None:
        """Send an event to every user who is logged in."""

        def send() -> None:
            for socket in self._users:
                socket.emit(event, data)

        self._run(_done(send))

    def close(self) -> None:
        """End it; its pages have to be closed by then."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(PATIENCE_S)

    async def _start(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def _end(self) -> None:
        self._hub.drop_all()
        await self._runner.cleanup()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        await asyncio.sleep(0)  # in which transports that were closed let go of their sockets

    def _answer(self, socket: Socket, event: str, data: Any, _text: str) -> None:
        socket.emit("ack", {"rid": data["rid"]})
        if event == "login" and (socket.sid, data["rid"]) not in self._logins:
            self._logins[socket.sid, data["rid"]] = data["username"]
            self._log_in(socket, data["username"])
        socket.emit(event, {"rid": data["rid"], "code": 0, "message": "success", **_MEMBERS.get(event, {})})

    def _forget(self, socket: Socket) -> None:
        self._users.pop(socket, None)

    def _log_in(self, socket: Socket, username: str) -> None:
        for other in [other for other, known in self._users.items() if known == username and other is not socket]:
            del self._users[other]
            other.emit("event_notification", KICKED)
            if self.closes_whom_it_kicks:
                other.close()
        self._users[socket] = username


@contextmanager
def gateway(files: Mapping[str, tuple[str, str]]) -> Iterator[Gateway]:
    """Run one, and close it at the end."""
    running = Gateway(files)
    try:
        yield running
    finally:
        running.close()


def _serving(content: str, kind: str) -> Any:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text=content, content_type=kind)

    return serve


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _done(work: Any) -> None:
    work()
