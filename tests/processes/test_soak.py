"""
A long time's work in a short one, over four workers of granian: what is made twice, what grows, what is left open.

`SOAK_PAYLOADS` makes the long form: so many payloads are issued, and a tenth of them verified, with progress.
"""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from authsvc.server.limits import THREADS
from tests.conftest import bearer_of
from tests.support import canaries, made_up
from tests.support.running import AS_SHIPPED, Service, wait_until

PAYLOADS = int(os.environ.get("SOAK_PAYLOADS", "4000"))
IS_LONG = "SOAK_PAYLOADS" in os.environ
GROWTH = 1.05 if IS_LONG else 1.25  # a short form ends before everything has been used once
CLIENTS = 4
AT_ONCE = 50  # requests in one go on a connection
PARTS = 20  # that progress is told of
WARM = 8  # parts until all threads have worked, and each worker has filled its 2 MB of the cache of SQLite


class Client:
    """One connection on which requests are sent many at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)

    def close(self) -> None:
        self._socket.close()

    def ask(self, requests: list[bytes]) -> list[tuple[int, bytes]]:
        """Send them all, and return the status and the body of each answer."""
        self._socket.sendall(b"".join(requests))
        answers: list[tuple[int, bytes]] = []
        read = b""
        while len(answers) < len(requests):
            while not (head := re.match(rb"HTTP/1\.1 ([0-9]{3}) .*?content-length: ([0-9]+).*?\r\n\r\n", read, HEAD)):
                read += self._received()
            end = head.end() + int(head[2])
            while len(read) < end:
                read += self._received()
            answers.append((int(head[1]), read[head.end() : end]))
            read = read[end:]
        return answers

    def _received(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        assert piece, "closed in the middle"
        return canaries.checked(piece)


HEAD = re.DOTALL | re.IGNORECASE


def request(path: str, authorization: str, body: bytes = b"") -> bytes:
    kind = b"Content-Type: application/json\r\n" if body else b""
    return (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n" % (path.encode(), authorization.encode())
        + kind
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


def accepted(client: Client, requests: list[bytes]) -> int:
    """Have them all accepted, and return how often one had to be asked again because the store had no time."""
    again = 0
    while requests:
        statuses = [status for status, _ in client.ask(requests)]
        assert set(statuses) <= {200, 503}
        requests = [request for request, status in zip(requests, statuses, strict=True) if status == 503]
        again += len(requests)
    return again


def work(port: int, user_id: str, number: int) -> tuple[list[bytes], int]:
    """
    Issue so many payloads, verify one in ten of them, and one in a hundred once more.

    Return the random_strs, and how often the store had no time.
    """
    client = Client(port)
    issue = request("/v1/auth-payload", bearer_of(user_id)["Authorization"])
    made: list[bytes] = []
    again = 0
    while len(made) < number:
        answers = client.ask([issue] * min(AT_ONCE, number - len(made)))
        assert {status for status, _ in answers} == {200}
        payloads = [body for _, body in answers]
        made += [bytes.fromhex(json.loads(body)["random_str"]) for body in payloads]
        verify = [
            request("/v1/auth-payload/verify", f"Bearer {made_up.VERIFIER_KEY}", body)
            for body in payloads[:: 10 if len(payloads) >= 10 else 1]
        ]
        again += accepted(client, verify)
        assert [status for status, _ in client.ask(verify[:1])] in ([409], [503]), "accepted twice"
    client.close()
    return made, again


def measure(pids: Iterable[int], what: Callable[[Path], int]) -> int:
    return sum(what(Path(f"/proc/{pid}")) for pid in pids)


def memory(process: Path) -> int:
    return int((process / "statm").read_text().split()[1])


def threads(process: Path) -> int:
    return len(list((process / "task").iterdir()))


def connections(process: Path) -> int:
    links = []
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(file.readlink()))
    return sum(link.startswith("socket:") for link in links)


def test_soak(service: Service, progress: Callable[[str], None]) -> None:
    """No random_str comes twice, nothing is accepted twice, and memory, connections and threads do not grow."""
    service.variables["AUTHSVC_RATE_LIMIT"] = "999999999/hour"
    service.command = AS_SHIPPED
    service.start("--server", "granian", "--workers", "4")
    workers = service.wait_for_workers(4)
    seen: set[bytes] = set()
    each = PAYLOADS // PARTS // CLIENTS
    warm = opened = running = asked_again = 0
    began_s = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for part in range(1, PARTS + 1):
            users = [f"user-{number}" for number in range(CLIENTS)]
            for made, again in pool.map(work, [service.port] * CLIENTS, users, [each] * CLIENTS):
                before = len(seen)
                seen.update(made)
                asked_again += again
                assert len(seen) == before + len(made), "a random_str came twice"
            if part == WARM:
                warm, opened, running = (measure(workers, what) for what in (memory, connections, threads))
            speed = len(seen) / (time.monotonic() - began_s)
            progress(f"{len(seen)} of {PAYLOADS}, {speed:.0f} a second, {measure(workers, memory)} pages")
    assert len(seen) == each * PARTS * CLIENTS
    # Of a tenth of them one in a hundred, and those that wait when the machine stands still.
    assert asked_again <= PAYLOADS / 1000 + CLIENTS * AT_ONCE / 10
    assert service.workers() == workers
    assert measure(workers, memory) <= warm * GROWTH
    wait_until(lambda: measure(workers, connections) <= opened)
    assert measure(workers, threads) <= max(running, 4 * (THREADS + 16))
