"""
The sandbox as one server on a loopback address.
"""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from aiohttp import ClientSession, web

from authsvc import clock
from authsvc.bind import Bind, free, is_loopback
from authsvc.errors import SettingsError
from authsvc.payloads.apps import App
from authsvc.sandbox import loopback
from authsvc.sandbox.control import Control
from authsvc.sandbox.core import Clock, Core
from authsvc.sandbox.engineio import Hub
from authsvc.sandbox.files import MAX_BYTES, Files
from authsvc.sandbox.gateway import Gateway
from authsvc.sandbox.persistence import Folder
from authsvc.sandbox.rest.calls import Calls
from authsvc.sandbox.rest.files import FileRoutes
from authsvc.sandbox.state import State
from authsvc.sandbox.verification import Service

CORE = web.AppKey("core", Core)
HUB = web.AppKey("hub", Hub)
SETTLE_S = 0.01
SAVE_S = 1.0  # what a sandbox that is killed may lose


def check_bind(bind: Bind) -> Bind:
    """Return where to listen, its port known. Raises SettingsError unless it is a free port of this machine alone."""
    if not is_loopback(bind.host):
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
        gc.collect()
        gc.freeze()  # a full collection stops all pages: it need not visit what the program consists of
        ready()
        await stopped.wait()
    finally:
        await runner.cleanup()


@contextmanager
def in_thread(bind: Bind, apps: Sequence[App], service: Service) -> Iterator[None]:
    """Serve in a thread of this process until the end of the block; it listens when the block begins."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(await create_app(bind, apps, service), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, bind.host, bind.port).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner

    async def end(runner: web.AppRunner) -> None:
        await asyncio.sleep(SETTLE_S)  # asyncio forgets a connection whose listener closes while it is being accepted
        await runner.cleanup()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        await asyncio.sleep(0)  # in which transports that were closed let go of their sockets

    try:
        runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(end(runner), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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
    core = Core(state, files, Clock(now_ms), f"http://{bind}")
    http = ClientSession()
    gateway = Gateway(service, http, core)
    hub = Hub(gateway.on_event, gateway.on_gone)
    calls = Calls({app.appkey: app.master_secret.reveal() for app in apps}, core)
    file_routes = FileRoutes(calls, core)

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

    app = web.Application(client_max_size=2 * MAX_BYTES, middlewares=[loopback.only(bind)])
    app[CORE], app[HUB] = core, hub
    app.on_shutdown.append(close)
    app.cleanup_ctx.append(saved)
    app.add_routes(
        [
            *Control(core, hub, apps[0].appkey).routes(),
            *hub.routes(),
            *file_routes.calls(),
            *calls.routes(),
            *file_routes.routes(),
        ]
    )
    return app


async def _save_often(folder: Folder, state: State) -> None:
    while True:
        await asyncio.sleep(SAVE_S)
        folder.save(state)
