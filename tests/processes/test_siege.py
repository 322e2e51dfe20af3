"""
Everything at once: the attacks of `tests/support/siege.py`, a vendor that dribbles, a cleaner of temporary files.

Beside them are users who are to notice nothing.

`SIEGE_S` makes the long form: so many seconds on each server, at 200 good requests a second.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import bearer_of
from tests.processes.test_soak import measure, memory
from tests.support import canaries, made_up
from tests.support.running import AS_SHIPPED, Service, clean_environment, open_files, wait_until
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, url_of

IS_LONG = "SIEGE_S" in os.environ
SIEGE_S = float(os.environ.get("SIEGE_S", "8"))
GOOD_PER_S = 200 if IS_LONG else 50
PATIENCE_S = 60
MAX_LOG_BYTES = 64 << 20
KNOWN = "qiniu/image/j/0123456789ABCDEF.png"
VERIFIER = f"Bearer {made_up.VERIFIER_KEY}"


def trickling(asked: Asked) -> Reply:
    """Tell of one file at once, and of any other a byte every half second."""
    known = Reply.json({"url": url_of(asked)})
    is_known = ("mediaId", KNOWN) in asked.query
    return known if is_known else Reply(known.status, known.body, known.headers, piece_s=0.5)


@pytest.fixture
def besieged(service: Service) -> Iterator[Service]:
    """The service with a vendor that dribbles, and a temporary folder of its own. Not started."""
    stand_in = VendorStandIn()
    stand_in.reply = trickling
    temporary = service.folder / "temporary"
    temporary.mkdir()
    service.variables |= {
        "AUTHSVC_RATE_LIMIT": "1000000/minute",
        "AUTHSVC_VENDOR_BUDGET": "1000000/minute",
        "AUTHSVC_VENDOR_URL": stand_in.url,
        "AUTHSVC_MEDIA_HOSTS": "*.im.jiguang.cn",
        "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.JWT_KEY)),
        "TMPDIR": str(temporary),
    }
    yield service
    service.stop()
    stand_in.close()


class Users:
    """Good requests at a steady pace: one payload issued, verified, and a picture looked up, again and again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses = Counter[tuple[str, int]]()
        self.longest_s = 0.0

    async def run(self, until_s: float) -> None:
        period_s, number = 3 / GOOD_PER_S, 0
        async with asyncio.TaskGroup() as asking:
            due_s = time.monotonic()
            while due_s < until_s:
                await asyncio.sleep(due_s - time.monotonic())
                asking.create_task(self._journey(f"user-{number % 50}"))
                number, due_s = number + 1, due_s + period_s

    async def _journey(self, user_id: str) -> None:
        user = bearer_of(user_id)["Authorization"]
        status, payload = await self._ask("POST /v1/auth-payload", user)
        self.statuses["issue", status] += 1
        while status == 200:
            status, _ = await self._ask("POST /v1/auth-payload/verify", VERIFIER, payload)
            self.statuses["verify", status] += 1
            if status != 503:  # on which a client asks again: the store had no time
                break
            await asyncio.sleep(1)
            status = 200
        status, _ = await self._ask(f"GET /v1/resource?media_id={KNOWN}", user)
        self.statuses["media", status] += 1

    async def _ask(self, first: str, authorization: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return the status and the body; status 0 if none came."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                kind = "Content-Type: application/json\r\n" if body else ""
                head = f"{first} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n{kind}"
                writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                told, _, answer = canaries.checked(await reader.read()).partition(b"\r\n\r\n")
                writer.close()
                return int(told[9:12] or b"0"), answer
        except (OSError, TimeoutError):
            return 0, b""
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)


def remove_temporary_files(service: Service) -> None:
    """Do what a cleaner of temporary files does to a service that has run for weeks."""
    for left in Path(service.variables["TMPDIR"]).iterdir():
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_besieged(besieged: Service, server: str, progress: Callable[[str], None]) -> None:
    """Nobody who is good is refused, nothing is accepted twice, no process ends, and nothing grows without bound."""
    besieged.command = AS_SHIPPED
    besieged.start("--server", server, "--workers", "2")
    workers = besieged.wait_for_workers(2)
    user = bearer_of("ming")
    used = besieged.ask("POST", "/v1/auth-payload", headers=user).body
    verifier = {"Authorization": VERIFIER}
    assert besieged.ask("POST", "/v1/auth-payload/verify", headers=verifier, body=json.loads(used)).status == 200
    # So many at once that each worker knows the file then: later, attackers may hold every slot for the vendor.
    with ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(besieged.ask, "GET", f"/v1/resource?media_id={KNOWN}", headers=user) for _ in range(64)]
        assert {one.result().status for one in asked} == {200}
    warm = measure(workers, memory)

    with tempfile.TemporaryFile() as given:
        given.write(used)
        given.seek(0)
        attackers = subprocess.Popen(
            [sys.executable, "-m", "tests.support.siege", str(besieged.port), str(SIEGE_S)],
            stdin=given,
            stdout=subprocess.PIPE,
            env=clean_environment(),
        )
    users = Users(besieged.port)
    longest_log = 0

    async def besiege() -> None:
        nonlocal longest_log
        begun_s = time.monotonic()
        serving = asyncio.create_task(users.run(begun_s + SIEGE_S))
        is_clean = False
        while not serving.done():
            await asyncio.sleep(0.5)
            with suppress(FileNotFoundError):
                longest_log = max(longest_log, (besieged.folder / "service.db-wal").stat().st_size)
            if not is_clean and time.monotonic() > begun_s + SIEGE_S / 2:
                remove_temporary_files(besieged)
                is_clean = True
            progress(f"{server}: {sum(users.statuses.values())} good requests, {measure(workers, memory)} pages")
        await serving

    asyncio.run(besiege())
    output, _ = attackers.communicate(timeout=60)
    answered = json.loads(output)

    refused = {kind: number for kind, number in users.statuses.items() if kind[1] != 200}
    allowed = {kind: number for kind, number in refused.items() if kind == ("verify", 503)}  # the store had no time
    assert refused == allowed, (refused, answered, users.longest_s)
    assert users.statuses["verify", 200] == users.statuses["issue", 200]
    assert answered.get("replayed: 200", 0) == answered.get("forged: 200", 0) == 0
    assert not {kind for kind in answered if kind.endswith(": 500")}, answered
    assert besieged.workers() == workers
    assert longest_log <= MAX_LOG_BYTES
    assert measure(workers, memory) <= 2 * warm
    wait_until(lambda: all(open_files(pid) < 150 for pid in workers))
    wait_until(lambda: besieged.ask("GET", "/readyz").status == 200, what=besieged.log)
