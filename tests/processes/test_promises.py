"""What the service promises under load and while things break, held with four real workers and real stores."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from authsvc.errors import BadSignature
from authsvc.payloads import payload
from authsvc.payloads.apps import App, Apps
from authsvc.secret import Secret
from authsvc.stores import open_store
from tests.conftest import bearer_of
from tests.support import canaries, made_up
from tests.support.promptness import check_prompt
from tests.support.running import AS_SHIPPED, PATIENCE_S, Service, wait_until
from tests.support.services import RedisServer

SERVERS = ["gunicorn", "granian"]
ISSUE, VERIFY = "/v1/auth-payload", "/v1/auth-payload/verify"
VERIFIER = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
ROUNDS = 3 if "KILLS" in os.environ else 1
TICK_S = 0.5  # how often workers reconcile and look at files
AT_ONCE = 200  # requests of a steady load; a service that stands still for seconds is asked no more than that


@dataclass(frozen=True, slots=True)
class Told:
    """An answer."""

    status: int
    headers: str
    body: bytes

    def json(self) -> dict[str, str]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


def issue_request(user_id: str = "ming") -> bytes:
    return _request(ISSUE, bearer_of(user_id), b"")


def verify_request(presented: dict[str, str], **changes: str) -> bytes:
    return _request(VERIFY, VERIFIER, json.dumps(presented | changes).encode())


def _request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


async def _ask(port: int, request: bytes, barrier: asyncio.Barrier | None) -> Told:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if barrier is not None:
        await barrier.wait()
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
        head = canaries.checked(await reader.readuntil(b"\r\n\r\n"))
        body = canaries.checked(await reader.read())
    writer.close()
    return Told(int(head.split(b" ", 2)[1]), head.decode().lower(), body)


def ask_together(service: Service, requests: list[bytes]) -> list[Told]:
    """Open a connection for each request first, then send all of them at once."""

    async def asking() -> list[Told]:
        barrier = asyncio.Barrier(len(requests))
        return list(await asyncio.gather(*(_ask(service.port, request, barrier) for request in requests)))

    return asyncio.run(asking())


def ask(service: Service, request: bytes) -> Told:
    return asyncio.run(_ask(service.port, request, None))


async def _steadily(port: int, make: Callable[[], bytes], per_s: int, is_over: Callable[[], bool]) -> list[Told]:
    asking = []
    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask_one() -> Told:
        try:
            return await _ask(port, make(), None)
        finally:
            at_once.release()

    while not is_over():
        await at_once.acquire()
        asking.append(asyncio.create_task(ask_one()))
        await asyncio.sleep(1 / per_s)
    return list(await asyncio.gather(*asking))


def under_load(service: Service, make: Callable[[], bytes], while_doing: Callable[[], None], per_s: int) -> list[Told]:
    """Ask steadily while something is done in another thread; return every answer."""

    async def asking() -> list[Told]:
        done = asyncio.create_task(asyncio.to_thread(while_doing))
        answers = await _steadily(service.port, make, per_s, done.done)
        await done
        return answers

    return asyncio.run(asking())


def signed(*, random_str: str = "made-up-random-string-01", **changes: str) -> dict[str, str]:
    now_ms = time.time_ns() // 1_000_000
    issued = payload.issue(
        appkey=made_up.APPKEY, master_secret=made_up.MASTER_SECRET, random_str=random_str, now_ms=now_ms
    )
    return issued.to_dict() | changes


@pytest.fixture
def on_redis(service: Service, redis_server: RedisServer) -> Service:
    """The service with four workers on that Redis. Started."""
    service.variables |= {"AUTHSVC_STORE_URL": redis_server.url, "AUTHSVC_RATE_LIMIT": "1000000/minute"}
    service.start("--workers", "4")
    service.wait_for_workers(4)
    return service


@pytest.fixture(params=["sqlite", "redis"])
def four(request: pytest.FixtureRequest, service: Service) -> Service:
    """The service with four workers, once over each store. Not started."""
    service.variables["AUTHSVC_RATE_LIMIT"] = "1000000/minute"
    if request.param == "redis":
        service.variables["AUTHSVC_STORE_URL"] = request.getfixturevalue("redis_server").url
    return service


@pytest.mark.parametrize("server", SERVERS)
def test_one_of_two_hundred(four: Service, server: str) -> None:
    """Of 200 concurrent verifications of one payload over four workers one is accepted; forgeries use up nothing."""
    four.start("--workers", "4", "--server", server)
    four.wait_for_workers(4)
    for _ in range(ROUNDS):
        presented = ask(four, issue_request()).json()
        forged = verify_request(presented, signature="0" * 32)
        assert {answer.status for answer in ask_together(four, [forged] * 50)} == {422}
        answers = ask_together(four, [verify_request(presented)] * 200 + [forged] * 50)
        statuses = [answer.status for answer in answers[:200]]
        assert (statuses.count(200), statuses.count(409)) == (1, 199), four.log()
        assert {answer.status for answer in answers[200:]} == {422}


def test_holders(four: Service) -> None:
    """The same holder is accepted as often as it asks, over all workers; of many holders one."""
    four.start("--workers", "4")
    four.wait_for_workers(4)
    presented = ask(four, issue_request()).json()
    same = ask_together(four, [verify_request(presented, holder="connection-1")] * 100)
    assert {answer.status for answer in same} == {200}
    presented = ask(four, issue_request()).json()
    many = ask_together(four, [verify_request(presented, holder=f"connection-{n}") for n in range(100)])
    assert sorted(answer.status for answer in many) == [200] + [409] * 99


def test_after_a_restart(four: Service) -> None:
    """A payload that was used before the service was started anew is refused after it."""
    four.start("--workers", "2")
    presented = ask(four, issue_request()).json()
    assert ask(four, verify_request(presented)).status == 200
    assert four.stop() == 0
    four.start("--workers", "2")
    assert ask(four, verify_request(presented)).status == 409


def test_a_retired_secret_stays_dead(four: Service) -> None:
    """
    A payload outlives a rotation by a restart. A minute later its secret verifies nothing more, and stays the previous
    one in the settings: not in a worker that starts then either.
    """

    def forged(number: int) -> bytes:
        return verify_request(signed(random_str=f"made-up-random-string-{number:02}"))

    four.start("--workers", "2")
    in_flight = [ask(four, issue_request()).json() for _ in range(8)]
    assert four.stop() == 0
    previous = four.secret_file("previous", made_up.MASTER_SECRET)
    four.secret_file("master-secret", made_up.OTHER_MASTER_SECRET)
    four.variables["AUTHSVC_PREVIOUS_MASTER_SECRET_FILE"] = str(previous)
    four.start("--workers", "2")
    victims = four.wait_for_workers(2)
    assert {ask(four, verify_request(presented)).status for presented in in_flight} == {200}
    with closing(open_store(four.variables["AUTHSVC_STORE_URL"])) as store:
        a_minute_ago_ms = time.time_ns() // 1_000_000 - 60_000
        Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], a_minute_ago_ms).reconcile(store, a_minute_ago_ms)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not victims & four.workers(), what=four.log)
    four.wait_for_workers(2)
    assert {ask(four, forged(number)).status for number in range(8)} == {422}


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_redis_unavailable(service: Service, redis_server: RedisServer, fault: str) -> None:
    """Issuing goes on without one failed request; verifying says 503 with Retry-After within a second."""
    service.variables |= {"AUTHSVC_STORE_URL": redis_server.url, "AUTHSVC_RATE_LIMIT": "1000000/minute"}
    service.command = AS_SHIPPED
    service.start("--workers", "4")
    service.wait_for_workers(4)
    presented = ask(service, issue_request()).json()
    verified: list[Told] = []

    def break_redis() -> None:
        redis_server.kill() if fault == "killed" else redis_server.pause()
        check_prompt(lambda: verified.append(ask(service, verify_request(presented))), within_s=1)

    issued = under_load(service, issue_request, break_redis, per_s=100)
    assert {answer.status for answer in issued} == {200}
    assert {answer.status for answer in verified} == {503}
    assert all("\r\nretry-after: " in answer.headers for answer in verified)
    check_prompt(lambda: ask(service, issue_request()), within_s=1, times=20)
    assert {answer.status for answer in ask_together(service, [issue_request()] * 20)} == {200}


def lose_nothing(server: RedisServer) -> None:
    with server.client() as client:
        client.save()
    server.kill()
    server.start()


def restart_empty(server: RedisServer) -> None:
    server.kill()
    (server.folder / "dump.rdb").unlink(missing_ok=True)
    server.start()


def flush(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()


def restart_from_before(server: RedisServer) -> None:
    server.kill()
    shutil.copy(server.folder / "before.rdb", server.folder / "dump.rdb")
    server.start()


@pytest.mark.parametrize("event", [lose_nothing, restart_empty, flush, restart_from_before])
def test_nothing_twice_after_redis_returns(
    on_redis: Service, redis_server: RedisServer, event: Callable[[RedisServer], None]
) -> None:
    """With its data, empty, flushed or with a snapshot from before: what was accepted is not accepted again."""
    with redis_server.client() as client:
        client.save()
    shutil.copy(redis_server.folder / "dump.rdb", redis_server.folder / "before.rdb")
    used = [ask(on_redis, issue_request()).json() for _ in range(20)]
    assert {ask(on_redis, verify_request(presented)).status for presented in used} == {200}
    event(redis_server)
    wait_until(lambda: ask(on_redis, verify_request(signed(random_str="x" * 20))).status != 503)
    again = ask_together(on_redis, [verify_request(presented) for presented in used * 5])
    assert {answer.status for answer in again} <= {409, 422, 503}
    wait_until(lambda: ask(on_redis, verify_request(ask(on_redis, issue_request()).json())).status == 200)


def test_sqlite_removed(service: Service) -> None:
    """When its file is taken away, a new one is made, and what was accepted before is not accepted again."""
    service.start("--workers", "4")
    service.wait_for_workers(4)
    used = ask(service, issue_request()).json()
    assert ask(service, verify_request(used)).status == 200
    for path in service.folder.glob("service.db*"):
        path.unlink()
    assert {answer.status for answer in ask_together(service, [verify_request(used)] * 20)} <= {422}
    wait_until(lambda: ask(service, verify_request(ask(service, issue_request()).json())).status == 200)


def test_sqlite_unusable(service: Service) -> None:
    """With a folder in the file's place issuing goes on and verifying is refused; it recovers by itself."""
    service.command = AS_SHIPPED
    service.start("--workers", "4")
    service.wait_for_workers(4)
    presented = ask(service, issue_request()).json()
    for path in service.folder.glob("service.db*"):
        path.unlink()
    (service.folder / "service.db").mkdir()
    refused = ask_together(service, [verify_request(presented)] * 20)
    assert {answer.status for answer in refused} == {503}
    check_prompt(lambda: ask(service, verify_request(presented)), within_s=1)
    assert {answer.status for answer in ask_together(service, [issue_request()] * 20)} == {200}
    (service.folder / "service.db").rmdir()
    wait_until(lambda: ask(service, verify_request(ask(service, issue_request()).json())).status == 200)


def secret_of(presented: dict[str, str]) -> str:
    """Return which of the two made-up masterSecrets signed a payload."""
    fields = payload.parse(presented)
    for secret in (made_up.MASTER_SECRET, made_up.OTHER_MASTER_SECRET):
        try:
            payload.check_signature(fields, [secret])
        except BadSignature:
            continue
        return secret
    raise AssertionError("signed by neither")


def swap_by_rename(service: Service, name: str, text: str) -> None:
    new = service.secret_file(f"{name}.new", text)
    new.rename(service.folder / name)


def swap_by_symlink(service: Service, name: str, text: str) -> None:
    """Swap as Kubernetes does: the file is a link into a folder that is a link to the latest one."""
    folder = service.folder / f"..{time.monotonic_ns()}"
    folder.mkdir()
    (folder / name).write_text(f"{text}\n")
    link = service.folder / "..data.new"
    link.symlink_to(folder.name)
    link.rename(service.folder / "..data")


@pytest.mark.parametrize("swap", [swap_by_rename, swap_by_symlink])
@pytest.mark.parametrize("server", SERVERS)
def test_a_new_secret_under_load(service: Service, server: str, swap: Callable[[Service, str, str], None]) -> None:
    """Nobody is refused while a masterSecret is swapped; soon all workers sign by the new one; the old one verifies."""
    if swap is swap_by_symlink:
        swap(service, "linked", made_up.MASTER_SECRET)
        (service.folder / "master-secret").unlink()
        (service.folder / "master-secret").symlink_to("..data/linked")
    service.variables["AUTHSVC_RATE_LIMIT"] = "1000000/minute"
    service.start("--workers", "4", "--server", server)
    service.wait_for_workers(4)
    before = [ask(service, issue_request()).json() for _ in range(5)]
    name = "linked" if swap is swap_by_symlink else "master-secret"
    sent: list[bytes] = []

    def send() -> bytes:
        sent.append(issue_request())
        return sent[-1]

    def wait_for_load() -> None:
        enough = len(sent) + 20
        wait_until(lambda: len(sent) >= enough)

    def swap_and_wait() -> None:
        wait_for_load()
        swap(service, name, made_up.OTHER_MASTER_SECRET)
        wait_until(lambda: service.log().count("changed settings are in use") == 4, what=service.log)
        wait_for_load()

    answers = under_load(service, send, swap_and_wait, per_s=200)
    assert {answer.status for answer in answers} == {200}
    assert {secret_of(answer.json()) for answer in answers} == {made_up.MASTER_SECRET, made_up.OTHER_MASTER_SECRET}
    after = [ask(service, issue_request()).json() for _ in range(20)]
    assert {secret_of(presented) for presented in after} == {made_up.OTHER_MASTER_SECRET}
    verified = ask_together(service, [verify_request(presented) for presented in before + after])
    assert {answer.status for answer in verified} == {200}


def signs_by_new(service: Service) -> bool:
    return secret_of(ask(service, issue_request()).json()) == made_up.OTHER_MASTER_SECRET


UNUSABLE = (
    (b"", "is empty"),
    (b"\n", "is empty"),
    ("\ufeffcanary5ec1re1111111111cd\n".encode(), "byte order mark"),
    (b"canary5ec1re\r\n1111111111cd\n", "no space, line break"),
    (b"\xff\xfe", "not UTF-8"),
    (b"x" * 100_000, "larger than"),
)


def test_a_secret_file_that_cannot_be_used(service: Service) -> None:
    """It keeps the old secret, and the log says why and nothing of what is in it; a good one is taken after it."""
    service.start("--workers", "2")
    service.wait_for_workers(2)
    path = Path(service.variables["AUTHSVC_MASTER_SECRET_FILE"])
    for content, words in UNUSABLE:
        before = len(service.log())
        path.write_bytes(content)

        def told(before: int = before, words: str = words) -> list[str]:
            lines = service.log()[before:].splitlines()
            return [line for line in lines if "changed settings are not used" in line and words in line]

        wait_until(lambda told=told: len(told()) >= 2, what=service.log)  # type: ignore[misc]
        assert secret_of(ask(service, issue_request()).json()) == made_up.MASTER_SECRET
    swap_by_rename(service, path.name, made_up.OTHER_MASTER_SECRET)
    wait_until(lambda: all(signs_by_new(service) for _ in range(10)), what=service.log)


@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_that_dies_while_a_secret_file_is_bad(service: Service, server: str) -> None:
    """The others go on, and the new one begins when the file is whole again."""
    service.start("--workers", "2", "--server", server)
    service.wait_for_workers(2)
    path = Path(service.variables["AUTHSVC_MASTER_SECRET_FILE"])
    path.write_bytes(b"")
    victim = min(service.workers())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: "waiting for settings" in service.log(), what=service.log)
    assert secret_of(ask(service, issue_request()).json()) == made_up.MASTER_SECRET
    swap_by_rename(service, path.name, made_up.OTHER_MASTER_SECRET)
    wait_until(lambda: all(signs_by_new(service) for _ in range(20)), what=service.log)


def test_the_rate_limit_over_four_workers(service: Service, redis_server: RedisServer) -> None:
    """A user gets the limit and at most what arrives at each worker in one interval; 429 says when to come back."""
    limit, per_s, number = 40, 100, 300
    service.variables |= {"AUTHSVC_STORE_URL": redis_server.url, "AUTHSVC_RATE_LIMIT": f"{limit}/hour"}
    service.start("--workers", "4")
    service.wait_for_workers(4)

    def load_of(user_id: str) -> list[Told]:
        sent: list[bytes] = []

        def send() -> bytes:
            sent.append(issue_request(user_id))
            return sent[-1]

        return under_load(service, send, lambda: wait_until(lambda: len(sent) >= number), per_s=per_s)

    def passed(answers: list[Told]) -> int:
        assert {answer.status for answer in answers} == {200, 429}
        return sum(answer.status == 200 for answer in answers)

    def is_shared(user_id: str) -> bool:
        answers = load_of(user_id)
        assert limit <= passed(answers) <= 4 * limit
        refused = next(answer for answer in answers if answer.status == 429)
        for header in ("retry-after: ", 'ratelimit: "user";r=0;t=', f'ratelimit-policy: "user";q={limit};w=3600'):
            assert header in refused.headers
        is_over = all(answer.status == 429 for answer in answers[-per_s // 2 :])
        return is_over and passed(answers) <= limit + per_s * TICK_S * 1.5

    # While a machine stands still, requests arrive in which no worker could reconcile.
    assert any(is_shared(user_id) for user_id in ("eve", "erin", "evan"))
    assert ask(service, issue_request("ming")).status == 200
    redis_server.kill()
    assert limit <= passed(load_of("mallory")) <= 4 * limit
