"""
Many pages that chat in pairs, in a process of their own: each speaks to the gateway as the vendor's SDK does.

Made to cost less than what it measures: frames are read and written by hand, and packets are not parsed but searched.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

from authsvc import clock
from authsvc.payloads import payload
from authsvc.sandbox.chat.users import md5_of

PASSWORD = "a word"
GREETED = b"40"
TICK_S = 0.002
SETTLE_S = 60.0  # how long the last messages may take


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do: `rate` messages a second in all, for `seconds`."""

    sandbox: str
    appkey: str
    master_secret: str
    pages: int
    rate: float
    seconds: float


@dataclass(slots=True)
class Seen:
    """What was seen; delays are from when a message was due to when its receiver had it."""

    sent: int = 0
    answered: int = 0
    received: int = 0
    acknowledged: int = 0
    faults: list[str] = field(default_factory=list)
    delays_ns: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    def fault(self, text: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(text)


def name_of(number: int) -> str:
    return f"page{number:05}"


class Page(asyncio.Protocol):
    """A connection on which one user is logged in, and writes to the next."""

    def __init__(self, seen: Seen, number: int) -> None:
        self._seen = seen
        self._peer = name_of(number ^ 1).encode()
        self._buffer = b""
        self._handle: Callable[[bytes], None] = lambda _: None
        self._out: list[bytes] = []
        self._rid = secrets.randbelow(2**30)
        self._written = 0
        self._read = 0
        self.is_open = False
        self._transport = cast("asyncio.Transport", None)

    async def log_in(self, asked: Asked, number: int) -> None:
        """Connect, and log in as a page does."""
        url = urlsplit(asked.sandbox)
        await asyncio.get_running_loop().create_connection(lambda: self, str(url.hostname), url.port or 80)
        head = (
            f"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await self._until(lambda: self._transport.write(head.encode()), GREETED)
        self.is_open = True
        signed = payload.issue(
            appkey=asked.appkey,
            master_secret=asked.master_secret,
            random_str=secrets.token_hex(16),
            now_ms=clock.now_ms(),
        )
        await self._ask("c_init", signed.to_dict() | {"fromPlatForm": "j", "flag": 0})
        await self._ask("login", {"username": name_of(number), "password": md5_of(PASSWORD), "is_md5": True})
        await self._ask("sync_check", {"sync_key": 0, "sync_type": 0, "sync_event_key": 0, "msg_receipt_key": 0})
        self._handle = self._hear

    def write(self, due_ns: int) -> None:
        """Send the next message, which says when it was due."""
        self._emit(
            b'"s_across_single_text",{"content":{"version":1,"target_type":"single","from_platform":"web",'
            b'"target_id":"%b","from_id":"x","create_time":%d,"msg_type":"text","msg_body":{"text":"%d.%d."}},'
            b'"no_offline":false,"no_notification":false,"target_name":"%b","need_receipt":false,'
            % (self._peer, due_ns // 1_000_000, self._written, due_ns, self._peer)
        )
        self._flush()
        self._written += 1
        self._seen.sent += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.is_open:
            self._seen.fault("a connection ended")

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self.is_open and buffer.startswith(b"HTTP"):
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            buffer = buffer[end + 4 :]
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, begin = buffer[at + 1], at + 2
            if length == 126:  # no packet here is so long that it takes eight bytes
                length, begin = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if size < begin + length:
                break
            at = begin + length
            self._handle(buffer[begin:at])
        self._buffer = buffer[at:]
        if self._out:
            self._flush()

    def _hear(self, packet: bytes) -> None:
        if packet.startswith(b'42["msg_sync"'):
            self._take(packet)
        elif packet.startswith(b'42["ack"'):
            pass
        elif b'"code":0' not in packet:
            self._seen.fault(packet.decode())
        elif packet.startswith(b'42["s_single_text"'):
            self._seen.answered += 1
        elif packet.startswith(b'42["msg_recv_v2"'):
            self._seen.acknowledged += 1

    def _take(self, packet: bytes) -> None:
        now_ns = time.monotonic_ns()
        begin = packet.index(b'{"text":"') + 9
        number, due_ns, _ = packet[begin : begin + 60].split(b".", 2)
        if int(number) != self._read:
            self._seen.fault(f"message {int(number)} came, {self._read} was next")
        self._read = int(number) + 1
        self._seen.received += 1
        self._seen.delays_ns.append(now_ns - int(due_ns))
        begin = packet.index(b'"msg_id":') + 9
        msg_id = packet[begin : packet.index(b",", begin)]
        self._emit(b'"msg_recv_v2",{"msg_id":%b,"msg_type":3,"from_uid":0,"from_gid":0,' % msg_id)

    def _emit(self, beginning: bytes) -> None:
        """Frame an event, which lacks its rid. The mask is zero, so that nothing is to be masked."""
        self._rid += 1
        packet = b'42[%b"rid":%d}]' % (beginning, self._rid)
        size = len(packet)
        head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
        self._out.append(head + bytes(4) + packet)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._out))
        self._out.clear()

    async def _ask(self, event: str, data: dict[str, object]) -> None:
        def ask() -> None:
            self._emit(f'"{event}",{json.dumps(data)[:-1]},'.encode())
            self._flush()

        answer = await self._until(ask, f'42["{event}"'.encode())
        if b'"code":0' not in answer:
            raise RuntimeError(answer.decode())

    async def _until(self, do: Callable[[], None], beginning: bytes) -> bytes:
        """Do it, and wait for a packet that begins so."""
        found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def hear(packet: bytes) -> None:
            if packet.startswith(beginning) and not found.done():
                found.set_result(packet)

        self._handle = hear
        do()
        return await asyncio.wait_for(found, SETTLE_S)


async def chat(asked: Asked) -> Seen:
    """Log all pages in, let them chat, and return what was seen once every message has come, or too late."""
    seen = Seen()
    pages = [Page(seen, number) for number in range(asked.pages)]
    for number, page in enumerate(pages):
        await page.log_in(asked, number)
    _told("ready")
    cpu_s = time.process_time()
    begun_ns, interval_ns = time.monotonic_ns(), int(1e9 / asked.rate)
    count = int(asked.rate * asked.seconds)
    while seen.sent < count:
        now_ns = time.monotonic_ns()
        while seen.sent < count and begun_ns + seen.sent * interval_ns <= now_ns:
            pages[seen.sent % len(pages)].write(begun_ns + seen.sent * interval_ns)
        await asyncio.sleep(TICK_S)
    until_s = time.monotonic() + SETTLE_S
    while min(seen.answered, seen.acknowledged) < count and time.monotonic() < until_s:
        await asyncio.sleep(TICK_S)
    seen.cpu_s = time.process_time() - cpu_s
    _told("done")
    for page in pages:
        page.close()
    return seen


def _told(word: str) -> None:
    """Let the test know how far this is, and wait until it wants the next."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    seen = asyncio.run(chat(Asked(**json.loads(sys.stdin.readline()))))
    json.dump(asdict(seen), sys.stdout)
