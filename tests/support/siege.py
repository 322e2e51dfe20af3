"""
Every kind of attack on the service at once, each by clients that it does not invite.

`test_siege` starts it as a process of its own: `python -m tests.support.siege PORT SECONDS`, a used payload on stdin.

It prints what the attackers were answered, by kind and status, as JSON. A connection that the service closes is opened
anew; the number of connections and the pace of requests are bounded.
"""

import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress

from tests.conftest import bearer_of
from tests.support import made_up

VERIFIER = f"Authorization: Bearer {made_up.VERIFIER_KEY}"
JSON = "Content-Type: application/json"
ANSWERED = Counter[str]()


def request(first: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{first} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Siege:
    """The attackers of one service, until the end."""

    def __init__(self, port: int, seconds: float, used: bytes) -> None:
        self._port = port
        self._end_s = time.monotonic() + seconds
        self._used = used
        self._random = random.Random(20261130)

    async def run(self) -> None:
        """Attack in every way at once."""
        holding = [
            (self.reads_nothing, 40),
            (self.half_a_head, 60),
            (self.dribbles_a_body, 60),
            (self.says_nothing, 60),
        ]
        pacing: list[tuple[str, float, Callable[[], bytes]]] = [
            ("garbage", 10, self.garbage),
            ("too large", 3, lambda: request("POST /v1/auth-payload", JSON, body=b"x" * 65_537)),
            ("forged", 30, self.forged),
            ("replayed", 30, lambda: request("POST /v1/auth-payload/verify", VERIFIER, JSON, body=self._used)),
            (
                "made-up token",
                30,
                lambda: self.issue(f"Authorization: Bearer {self.word()}.{self.word()}.{self.word()}"),
            ),
            ("crowd", 30, lambda: self.issue("Authorization: " + bearer_of(self.word())["Authorization"])),
            ("odd cookie", 10, lambda: self.issue(f"Cookie: session={self.word()}; name=\xe9")),
            ("unknown media", 10, self.media),
            (
                "account",
                3,
                lambda: request("POST /v1/bootstrap", "Authorization: " + bearer_of(self.word())["Authorization"]),
            ),
        ]
        await asyncio.gather(
            *(self.again(hold) for hold, number in holding for _ in range(number)),
            *(self.paced(kind, per_s, make) for kind, per_s, make in pacing),
        )

    async def again(self, attack: Callable[[], Coroutine[None, None, None]]) -> None:
        while time.monotonic() < self._end_s:
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(max(0.01, self._end_s - time.monotonic())):
                    await attack()
            await asyncio.sleep(0.5)

    async def paced(self, kind: str, per_s: float, make: Callable[[], bytes]) -> None:
        async with asyncio.TaskGroup() as asking:
            while time.monotonic() < self._end_s:
                asking.create_task(self.ask(kind, make()))
                await asyncio.sleep(1 / per_s)

    async def ask(self, kind: str, raw: bytes) -> None:
        status = "none"
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(15):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(raw)
                    status = (await reader.readline())[9:12].decode("ascii", "replace") or "none"
                finally:
                    writer.close()
        ANSWERED[f"{kind}: {status}"] += 1

    async def reads_nothing(self) -> None:
        with socket.socket() as sock:
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", self._port))
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await loop.sock_sendall(sock, request("GET /openapi.yaml") * 120)
            await asyncio.sleep(20)

    async def half_a_head(self) -> None:
        await self.send_and_wait(b"POST /v1/auth-payload HTTP/1.1\r\nHost: local")

    async def says_nothing(self) -> None:
        await self.send_and_wait(b"")

    async def dribbles_a_body(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            writer.write(request("POST /v1/auth-payload", JSON).replace(b"Content-Length: 0", b"Content-Length: 500"))
            for _ in range(60):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.5)
        writer.close()

    async def send_and_wait(self, raw: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(raw)
        await reader.read(1)
        writer.close()

    def issue(self, header: str) -> bytes:
        return request("POST /v1/auth-payload", header)

    def garbage(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 2000))

    def forged(self) -> bytes:
        fields = json.loads(self._used) | {"random_str": self.word(), "signature": self._random.randbytes(16).hex()}
        return request("POST /v1/auth-payload/verify", VERIFIER, JSON, body=json.dumps(fields).encode())

    def media(self) -> bytes:
        user = "Authorization: " + bearer_of(f"user-{self._random.randrange(20)}")["Authorization"]
        return request(f"GET /v1/resource?media_id=qiniu/image/{self.word()}", user)

    def word(self) -> str:
        return self._random.randbytes(16).hex()


if __name__ == "__main__":
    asyncio.run(Siege(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.buffer.read()).run())
    print(json.dumps(ANSWERED))  # noqa: T201 -- for the test to read
