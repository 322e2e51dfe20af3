"""
The sandbox as one server on a loopback address.
"""

import asyncio
import ipaddress
import json
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import FrameType

from aiohttp import ClientSession, web

from authsvc import clock
from authsvc.apps import App
from authsvc.bind import Bind, free
from authsvc.errors import SettingsError
from authsvc.sandbox.behaviour import Behaviour
from authsvc.sandbox.engineio import Hub
from authsvc.sandbox.files import MAX_BYTES, Files
from authsvc.sandbox.gateway import Gateway, Service
from authsvc.sandbox.persistence import Folder
from authsvc.sandbox.rest import Rest, error
from authsvc.sandbox.state import State
from authsvc.sandbox.users import Users

SAVE_S = 1.0  # what a sandbox that is killed may lose


def check_bind(bind: Bind) -> Bind:
    """Return where to listen, its port known. Raises SettingsError unless it is a free port of this machine alone."""
    try:
        is_loopback = bind.host == "localhost" or ipaddress.ip_address(bind.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise SettingsError(
            ["--bind: the sandbox protects nothing, so it listens on this machine alone: 127.0.0.1:PORT"]
        )
    return free(bind)


def serve(
    bind: Bind, apps: Sequence[App], service: Service, *, ready: Callable[[], None], folder: Folder | None = None
) -> None:
    """Serve until stopped. `ready` is called once it listens; a folder keeps the state over a restart."""
    asyncio.run(_serve(bind, apps, service, ready, folder))


async def _serve(
    bind: Bind, apps: Sequence[App], service: Service, ready: Callable[[], None], folder: Folder | None
) -> None:
    stopped = _told_to_stop()
    app = await create_app(bind, apps, service, folder=folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind.host, bind.port).start()
        ready()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _told_to_stop() -> asyncio.Event:
    """Return what SIGINT and SIGTERM set. After the loop's end they do nothing; asyncio's own fail at it."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(stopped.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopped


async def create_app(
    bind: Bind,
    apps: Sequence[App],
    service: Service,
    *,
    now_ms: Callable[[], int] = clock.now_ms,
    folder: Folder | None = None,
) -> web.Application:
    """
    Return the sandbox, for the event loop that is running.

    Args:
        bind: where it will be reached; its files' URLs begin so.
        apps: those that the vendor knows, with their masterSecrets.
        service: whose verify route tells whether a payload is good.
        folder: what the state is read from, and saved in while the app runs.
    """
    state = State() if folder is None else folder.load()
    files = Files(state.storage, {} if folder is None else folder.contents)
    users, behaviour = Users(state), Behaviour()
    http = ClientSession()
    base = f"http://{bind}"

    def url_of(media_id: str) -> str:
        return files.url(base, media_id, now_ms() // 1000 + behaviour.url_lives_s)

    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(asdict(behaviour) | {"connections": len(hub.sockets)})

    async def change(request: web.Request) -> web.Response:
        nonlocal behaviour
        try:
            behaviour, drops = await _asked(request, behaviour)
        except ValueError as exc:
            return error(400, 899003, str(exc))
        hub.is_closed_to_new = behaviour.gateway == "gone"
        if drops or hub.is_closed_to_new:
            hub.drop_all()
        return await tell(request)

    async def close(_app: web.Application) -> None:
        hub.drop_all()
        await http.close()

    async def saved(_app: web.Application) -> AsyncIterator[None]:
        if folder is None:
            yield
            return
        saving = asyncio.create_task(_save_often(folder, state))
        yield
        saving.cancel()
        folder.save(state)

    gateway = Gateway(service, http, users, files, url_of=url_of, behaviour=lambda: behaviour, now_ms=now_ms)
    hub = Hub(gateway.on_event, gateway.on_gone)
    rest = Rest(
        {app.appkey: app.master_secret.reveal() for app in apps},
        users,
        files,
        url_of=url_of,
        is_valid_url=lambda path: files.is_valid(base + path, now_ms()),
        behaviour=lambda: behaviour,
        now_ms=now_ms,
    )
    app = web.Application(client_max_size=2 * MAX_BYTES)
    app.on_shutdown.append(close)
    app.cleanup_ctx.append(saved)
    app.add_routes([web.get("/sandbox", tell), web.post("/sandbox", change), *hub.routes(), *rest.routes()])
    return app


async def _save_often(folder: Folder, state: State) -> None:
    while True:
        await asyncio.sleep(SAVE_S)
        folder.save(state)


async def _asked(request: web.Request, behaviour: Behaviour) -> tuple[Behaviour, bool]:
    """Return the behaviour that the request asks for, and whether to drop all connections. Raises ValueError."""
    try:
        asked = json.loads(await request.text())
    except (ValueError, RecursionError):
        asked = None
    if request.content_type != "application/json" or not isinstance(asked, dict):  # a foreign page cannot send that
        raise ValueError("body: must be a JSON object, with Content-Type: application/json")
    drops = asked.pop("drop", False)
    if not isinstance(drops, bool):
        raise ValueError("drop: must be true or false")  # noqa: TRY004 -- the asker's fault
    return behaviour.changed(asked), drops
