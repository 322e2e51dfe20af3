"""
A steady load over TLS: clients that keep their connections, as browsers do, each from an address of its own.
"""

import asyncio
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.deploy.gateway import ADDRESSES, NAME, Gateway
from tests.support import canaries

CLIENTS = 50
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Issued:
    """One request's end: `failed` says why there is no payload, and is empty if there is one."""

    asked_s: float
    took_s: float
    failed: str
    payload: Mapping[str, str]

    @property
    def timestamp_ms(self) -> int:
        return int(self.payload["timestamp"])

    def is_signed_by(self, master_secret: str) -> bool:
        """Return whether the signature is the MD5 that the vendor would compute, written out once more."""
        told = self.payload
        text = "appkey={appkey}&timestamp={timestamp}&random_str={random_str}&key=".format(**told) + master_secret
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == told["signature"]


class Load:
    """So many POSTs of /v1/auth-payload a second, in a thread of their own, from `start` to `stop`."""

    def __init__(self, gateway: Gateway, *, per_s: int) -> None:
        self._gateway = gateway
        self._period_s = CLIENTS / per_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.issued: list[Issued] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let every client finish what it has asked, and wait for that."""
        self._over.set()
        self._thread.join()

    async def _run(self) -> None:
        context = self._gateway.context()
        await asyncio.gather(*(self._client(number, context) for number in range(CLIENTS)))

    async def _client(self, number: int, context: ssl.SSLContext) -> None:
        address = next(ADDRESSES)
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        due_s = time.monotonic() + self._period_s * number / CLIENTS
        while not self._over.is_set():
            await asyncio.sleep(due_s - time.monotonic())
            due_s += self._period_s
            asked_s = time.monotonic()
            failed, body = "", b""
            try:
                async with asyncio.timeout(PATIENCE_S):
                    if connection is None:
                        connection = await asyncio.open_connection(
                            "127.0.0.1", self._gateway.port, ssl=context, server_hostname=NAME, local_addr=(address, 0)
                        )
                    status, is_last, body = await ask(*connection, f"session=user-{number}")
            except (OSError, EOFError, TimeoutError) as exc:
                failed, is_last = repr(exc), True
            else:
                failed = "" if status == 200 else f"{status} {body.decode(errors='replace')}"
            if is_last and connection is not None:
                connection[1].close()
                connection = None
            told = {} if failed else json.loads(body)
            self.issued.append(Issued(asked_s, time.monotonic() - asked_s, failed, told))
        if connection is not None:
            connection[1].close()
            with suppress(OSError):
                await connection[1].wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cookie: str) -> tuple[int, bool, bytes]:
    """Ask for a payload; return the status, whether the connection ends with it, and the body."""
    head = f"POST /v1/auth-payload HTTP/1.1\r\nHost: {NAME}\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    writer.write(head.encode())
    first, *lines = canaries.checked(await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = canaries.checked(await reader.readexactly(int(headers["content-length"])))
    return int(first.split(" ")[1]), headers.get("connection") == "close", body
