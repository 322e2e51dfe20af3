"""
The sandbox on a loopback port of this process, beside a service that verifies, and a client of its gateway.
"""

import asyncio
import itertools
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import pytest
import requests
from aiohttp import ClientSession, WSMsgType, web
from flask import Flask
from werkzeug.serving import make_server

from authsvc.bind import Bind
from authsvc.payloads.apps import App
from authsvc.sandbox.core import Core
from authsvc.sandbox.engineio import Hub
from authsvc.sandbox.persistence import Folder
from authsvc.sandbox.server import CORE, HUB, create_app
from authsvc.sandbox.verification import Service
from authsvc.secret import Secret
from tests.conftest import Clock, Seen
from tests.support import made_up
from tests.support.running import PATIENCE_S, free_port, wait_until

T = TypeVar("T")


class Line:
    """A connection to the gateway over WebSocket, packet by packet."""

    def __init__(self, sandbox: "Sandbox", query: str = "EIO=3&transport=websocket") -> None:
        self._sandbox = sandbox
        self._rids = itertools.count(7)
        self._ws = sandbox.run(sandbox.http.ws_connect(f"{sandbox.url}/socket.io/?{query}"))

    @classmethod
    def opened(cls, sandbox: "Sandbox") -> Self:
        """Return one that has been greeted."""
        line = cls(sandbox)
        assert (line.hear() or "").startswith("0{")
        assert line.hear() == "40"
        return line

    def say(self, packet: str) -> None:
        self._sandbox.run(self._ws.send_str(packet))

    def hear(self) -> str | None:
        """Return the next packet; None once the connection is closed."""
        message = self._sandbox.run(self._ws.receive(PATIENCE_S))
        return message.data if message.type is WSMsgType.TEXT else None

    def emit(self, event: str, data: object) -> None:
        self.say("42" + json.dumps([event, data]))

    def event(self) -> tuple[str, dict[str, Any]]:
        """Return the next event."""
        packet = self.hear()
        assert packet is not None
        return self.read(packet)

    @staticmethod
    def read(packet: str) -> tuple[str, dict[str, Any]]:
        """Return the event that a packet is."""
        assert packet.startswith("42")
        event, data = json.loads(packet[2:])
        return event, data

    def ask(self, event: str, data: Mapping[str, object]) -> dict[str, Any]:
        """Emit an event as the SDK does, and return its answer: an ack with its rid, then one of its own name."""
        rid = next(self._rids)
        self.emit(event, {**data, "rid": rid})
        assert self.event() == ("ack", {"rid": rid})
        answered, answer = self.event()
        assert answered == event
        assert answer.pop("rid") == rid
        return answer

    def close(self) -> None:
        self._sandbox.run(self._ws.close())


class Sandbox:
    """The sandbox, in a thread with an event loop of its own."""

    http: ClientSession
    core: Core
    hub: Hub
    app: web.Application

    def __init__(
        self, service: Service, clock: Callable[[], int], folder: Folder | None = None, *, bind: Bind | None = None
    ) -> None:
        self.bind = bind or Bind("127.0.0.1", free_port())
        self.url = f"http://{self.bind}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = self.run(self._start(service, clock, folder))

    async def _start(self, service: Service, clock: Callable[[], int], folder: Folder | None) -> web.AppRunner:
        apps = [App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))]
        app = await create_app(self.bind, apps, service, now_ms=clock, folder=folder)
        self.core, self.hub, self.app = app[CORE], app[HUB], app
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, self.bind.host, self.bind.port).start()
        self.http = ClientSession()
        return runner

    def run(self, work: Awaitable[T]) -> T:
        """Do this on the sandbox's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(2 * PATIENCE_S)

    def ask(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send one request, by default as the app does that the vendor knows."""
        kwargs.setdefault("auth", (made_up.APPKEY, made_up.MASTER_SECRET))
        return requests.request(method, self.url + path, timeout=PATIENCE_S, **kwargs)

    def behave(self, **asked: object) -> dict[str, Any]:
        """Ask it to behave otherwise, and return what it says of itself then."""
        answer = self.ask("POST", "/sandbox", json=asked)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert isinstance(told, dict)
        return told

    def told(self) -> dict[str, Any]:
        """Return what it says of itself."""
        told = self.ask("GET", "/sandbox").json()
        assert isinstance(told, dict)
        return told

    def connections(self) -> int:
        return int(self.told()["connections"])

    def wait_polled(self) -> None:
        """Wait until a poll waits here for something to send."""
        wait_until(lambda: any(socket.is_polled for socket in list(self.hub.sockets.values())))

    def close(self) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self.http.close()
        await self._runner.cleanup()


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@contextmanager
def listening(app: Flask) -> Iterator[Service]:
    """Serve the service on a loopback port, in threads of this process."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Service(f"http://127.0.0.1:{server.server_port}", made_up.VERIFIER_KEY)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def verifying(app: Flask) -> Iterator[Service]:
    """The service, listening; its clock is the fixture `clock`."""
    with listening(app) as service:
        yield service


@pytest.fixture
def sandbox(verifying: Service, clock: Clock, seen: Seen) -> Iterator[Sandbox]:
    """The sandbox, with the service behind it."""
    sandbox = Sandbox(verifying, clock)
    yield sandbox
    sandbox.close()


@pytest.fixture
def line(sandbox: Sandbox) -> Iterator[Line]:
    """A connection to its gateway."""
    line = Line.opened(sandbox)
    yield line
    line.close()
