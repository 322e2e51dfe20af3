"""
A TCP proxy on loopback that lets pass, delays or refuses, as it is told.
"""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from bench.processes import LOAD_CORES, bound_to, free_port

DELAY_S = 0.1


class Proxy:
    """
    Passes on to a loopback port, in a thread of its own. A context manager.

    Its states: "up" lets pass, "slow" holds every answer back for 100 ms, "down" takes no connection and breaks those
    that there are.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._state = "down"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def turn(self, state: str) -> None:
        """Be "up", "slow" or "down" from now on."""
        asyncio.run_coroutine_threadsafe(self._turn(state), self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        self.turn("up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.turn("down")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        with bound_to(LOAD_CORES):
            self._loop.run_forever()

    async def _turn(self, state: str) -> None:
        self._state = state
        if state == "down":
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.05)  # the connections' tasks end
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, there}
        try:
            await asyncio.gather(self._pass(reader, there, is_answer=False), self._pass(there_reader, writer))
        finally:
            self._writers -= {writer, there}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = True
    ) -> None:
        with suppress(ConnectionError):
            while content := await reader.read(65_536):
                if is_answer and self._state == "slow":
                    await asyncio.sleep(DELAY_S)
                writer.write(content)
                await writer.drain()
        writer.close()
