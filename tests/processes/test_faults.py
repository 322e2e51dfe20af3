"""
Faults of the machine under a running service: the disk, the file, descriptors, memory, the clock, killed workers.

Each is brought about from outside on real processes and ends again. Meanwhile a payload is refused as documented,
and never accepted twice; issuing goes on where it needs nothing that is missing; afterwards all is as before.
"""

import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import bearer_of
from tests.support import made_up, needed
from tests.support.running import Service, free_port, open_files, wait_until
from tests.support.services import RedisServer
from tests.telemetry.test_metrics import scrape

SHM = "/dev/shm"  # noqa: S108 -- the place itself
KILLS = int(os.environ.get("KILLS", "4"))  # of workers, one after the other
SERVERS = pytest.mark.parametrize("server", ["gunicorn", "granian"])
VERIFIER = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
REFUSED = {409, 422, 503}
LOST = 0  # the connection broke before an answer came


def issued(service: Service) -> dict[str, object]:
    answer = service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming"))
    assert answer.status == 200, answer
    return answer.json()


def verified(service: Service, presented: dict[str, object]) -> int:
    """Return the status that verifying is answered with."""
    try:
        answer = service.ask("POST", "/v1/auth-payload/verify", headers=VERIFIER, body=presented)
    except (OSError, http.client.HTTPException):
        return LOST
    assert answer.status != 503 or "Retry-After" in answer.headers or "retry-after" in answer.headers
    return answer.status


def settled(service: Service, some: list[dict[str, object]]) -> set[int]:
    """Return the statuses that verifying these is answered with, once a worker answers that has what it needs."""
    found: set[int] = set()

    def is_settled(presented: dict[str, object]) -> bool:
        status = verified(service, presented)
        found.update({status} - {LOST, 503})
        return status not in {LOST, 503}

    for presented in some:
        wait_until(lambda presented=presented: is_settled(presented), what=service.log)  # type: ignore[misc]
    return found


def is_well(service: Service) -> bool:
    """Return whether a fresh payload is issued, accepted once, and refused after it."""
    try:
        presented = issued(service)
    except (OSError, http.client.HTTPException):
        return False
    return [verified(service, presented) for _ in range(2)] == [200, 409]


def recovers(service: Service) -> None:
    wait_until(lambda: all(is_well(service) for _ in range(4)), what=service.log)
    wait_until(lambda: service.ask("GET", "/readyz").status == 200, what=service.log)


def used(service: Service, number: int = 10) -> list[dict[str, object]]:
    """Return payloads that have been accepted."""
    some = [issued(service) for _ in range(number)]
    assert [verified(service, presented) for presented in some] == [200] * number
    return some


def store_files(service: Service) -> list[Path]:
    return list(service.folder.glob("service.db*"))


def limit(pids: set[int], what: int, most: int) -> None:
    """Set the soft limit of running processes."""
    for pid in pids:
        resource.prlimit(pid, what, (most, resource.prlimit(pid, what)[1]))


@contextmanager
def limited(pids: set[int], what: int, most: int) -> Iterator[None]:
    """Keep running processes within a limit for a while."""
    before = {pid: resource.prlimit(pid, what)[0] for pid in pids}
    limit(pids, what, most)
    try:
        yield
    finally:
        for pid, soft in before.items():
            limit({pid}, what, soft)


def kill(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def renew_workers(service: Service) -> None:
    """Kill all workers and wait for as many new ones."""
    before = service.workers()
    kill(before)
    wait_until(lambda: not before & service.workers(), what=service.log)
    service.wait_for_workers(len(before))


@pytest.fixture
def two(service: Service) -> Service:
    """The service with two workers, which nobody reaches the rate limit of. Not started."""
    service.variables["AUTHSVC_RATE_LIMIT"] = "1000000/minute"
    return service


def start(service: Service, server: str = "gunicorn") -> set[int]:
    service.start("--server", server, "--workers", "2")
    return service.wait_for_workers(2)


@SERVERS
def test_disk_full(two: Service, server: str) -> None:
    """No claim can be written, so none is accepted; the readiness says so, and issuing goes on."""
    workers = start(two, server)
    before = used(two)
    fresh = [issued(two) for _ in range(10)]
    with limited(workers, resource.RLIMIT_FSIZE, 1):
        assert {verified(two, presented) for presented in fresh} == {503}
        # A worker that has the file open can still see that these were used.
        assert {verified(two, presented) for presented in before} <= {409, 503}
        assert two.ask("GET", "/readyz").status == 503
        assert issued(two)
    wait_until(lambda: verified(two, issued(two)) == 200)
    assert [verified(two, presented) for presented in fresh] == [200] * 10, "a refused one was not used up"
    assert {verified(two, presented) for presented in before} == {409}
    recovers(two)


@pytest.fixture
def small(two: Service) -> Service:
    """The service whose temporary files have 64 KB in all, and whose figures are told. Not started."""
    (two.folder / "tmp").mkdir()
    mounts = " && ".join(f"mount -t tmpfs -o size=64k none {place}" for place in (two.folder / "tmp", SHM))
    two.prefix = (needed.program("unshare"), "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh")
    if subprocess.run([*two.prefix, "true"], check=False, capture_output=True).returncode:
        needed.do_without("nothing can be mounted here")
    two.variables |= {"TMPDIR": str(two.folder / "tmp"), "AUTHSVC_METRICS_BIND": f"127.0.0.1:{free_port()}"}
    return two


def temporary(service: Service) -> list[Path]:
    """Return the folders for temporary files, as the service has them."""
    assert service.process is not None
    return [Path(f"/proc/{service.process.pid}/root{path}") for path in (service.folder / "tmp", SHM)]


def goes_on(service: Service) -> None:
    """What was never asked for is answered, a killed worker is replaced, and all of it is counted."""
    issued_before = scrape(service).get(("payloads_issued_total", made_up.APPKEY), 0)
    for path in ("/client.js", "/openapi.yaml", "/problems/replayed", "/nowhere"):
        assert service.ask("GET", path).status in {200, 404}
    assert issued(service)
    asked = ("requests_total", "", "/client.js", "200")
    wait_until(lambda: scrape(service).get(asked, 0) > 0, what=service.log)
    victim = min(service.wait_for_workers(2))
    kill({victim})
    wait_until(lambda: victim not in service.workers(), what=service.log)
    service.wait_for_workers(2)
    recovers(service)
    told = ("payloads_issued_total", made_up.APPKEY)  # it is there once a worker has published
    wait_until(lambda: scrape(service).get(told, 0) > issued_before, what=service.log)


@SERVERS
@pytest.mark.parametrize("how", ["full", "removed"])
def test_no_temporary_files(small: Service, server: str, how: str) -> None:
    """No room for a temporary file, or a cleaner that removes all: the service goes on, counts, and drains."""
    small.variables["AUTHSVC_DRAIN_DELAY_S"] = "300"
    start(small, server)
    for folder in temporary(small):
        if how == "removed":
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        with suppress(OSError), (folder / "filling").open("wb") as filling:
            filling.write(bytes(1_000_000))
    goes_on(small)
    small.signal(signal.SIGTERM)
    wait_until(lambda: small.ask("GET", "/readyz").status == 503, what=small.log)
    small.signal(signal.SIGTERM)
    assert small.stop() == 0
    assert "Traceback" not in small.log()


def test_disk_read_only(two: Service) -> None:
    """Workers that may not write to the file or its folder refuse, and go on when they may."""
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can write anywhere, and there is no setpriv here")
        two.prefix = ("setpriv", "--bounding-set", "-dac_override")
    start(two)
    before = used(two)
    fresh = issued(two)
    files = store_files(two)
    try:
        for path in files:
            path.chmod(0o400)
        two.folder.chmod(0o500)
        renew_workers(two)
        assert {verified(two, presented) for presented in [fresh, *before]} == {503}
        assert issued(two)
    finally:
        two.folder.chmod(0o700)
        for path in files:
            path.chmod(0o600)
    wait_until(lambda: verified(two, fresh) == 200, what=two.log)
    assert {verified(two, presented) for presented in before} == {409}
    recovers(two)


def test_file_corrupt(two: Service) -> None:
    """A file of rubbish is never taken for an empty store; when it is removed a new one is made, with no past."""
    start(two)
    before = used(two, 50)
    for path in store_files(two):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
    assert {verified(two, presented) for presented in before} <= REFUSED
    renew_workers(two)
    assert {verified(two, presented) for presented in [*before, issued(two)]} == {503}
    assert two.ask("GET", "/readyz").status == 503
    for path in store_files(two):
        path.unlink()
    recovers(two)
    assert {verified(two, presented) for presented in before} == {422}


def together(
    service: Service, during: Callable[[], None], number: int = 40, *, issuing_may_fail: bool = False
) -> tuple[list[Counter[int]], int]:
    """
    Issue payloads from eight threads while something happens, and verify each four times.

    Returns:
        How often each payload was given which status, and how many requests for a payload were not answered by one.
    """
    is_over = threading.Event()
    answers: list[Counter[int]] = []
    unanswered = 0

    def ask(has_begun: threading.Event) -> None:
        nonlocal unanswered
        has_begun.set()
        while not is_over.is_set() or len(answers) < number:
            try:
                presented = issued(service)
            except (OSError, http.client.HTTPException):
                unanswered += 1
                continue
            except AssertionError:
                if issuing_may_fail:
                    continue
                raise
            found: Counter[int] = Counter()
            answers.append(found)
            for _ in range(4):
                found[verified(service, presented)] += 1

    with ThreadPoolExecutor(8) as threads:
        asking = []
        for _ in range(8):  # one after the other: coverage's tracing cannot be begun in two at once
            has_begun = threading.Event()
            asking.append(threads.submit(ask, has_begun))
            has_begun.wait(60)
        try:
            during()
        finally:
            is_over.set()
        for one in asking:
            one.result()
    return answers, unanswered


def test_file_removed_under_load(two: Service) -> None:
    """Taken away again and again from under two processes that use it: nothing is accepted twice."""
    start(two)

    def remove() -> None:
        for _ in range(20):
            for path in sorted(store_files(two)):
                path.unlink(missing_ok=True)
            time.sleep(0.05)

    answers, _ = together(two, remove)
    assert all(found[200] <= 1 for found in answers)
    assert {status for found in answers for status in found} <= {200} | REFUSED
    recovers(two)


@SERVERS
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_workers_killed(two: Service, server: str, store: str, request: pytest.FixtureRequest) -> None:
    """A worker dies every moment: no payload is accepted twice, no acceptance is forgotten, and others come."""
    if store == "redis":
        redis_server: RedisServer = request.getfixturevalue("redis_server")
        two.variables["AUTHSVC_STORE_URL"] = redis_server.url
    start(two, server)
    killed: set[int] = set()

    def go_on_killing() -> None:
        for _ in range(KILLS):
            wait_until(lambda: bool(two.workers() - killed), what=two.log)
            victim = min(two.workers() - killed)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
            # granian gives up when one place's worker dies twice in 5.5 s, unless another's has died in between.
            wait_until(lambda: len(two.workers() - killed) == 2, what=two.log)
            time.sleep(0.1)

    answers, _ = together(two, go_on_killing)
    assert len(killed) == KILLS
    assert all(found[200] <= 1 for found in answers)
    assert {status for found in answers for status in found} <= {200, LOST} | REFUSED
    recovers(two)


@SERVERS
def test_no_file_descriptors(two: Service, server: str) -> None:
    """With none left nobody new is served and no worker dies; with some again everybody is."""
    workers = start(two, server)
    before = used(two)
    with ExitStack() as stack:
        most = {pid: open_files(pid) + 4 for pid in workers}
        for pid in workers:
            stack.enter_context(limited({pid}, resource.RLIMIT_NOFILE, most[pid]))
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", two.port), timeout=60))
        wait_until(lambda: any(open_files(pid) >= most[pid] for pid in workers), what=two.log)
        time.sleep(0.5)  # for as many attempts to accept the others as it may take
    assert two.workers() == workers
    assert settled(two, before) == {409}
    recovers(two)
    assert two.workers() == workers, "none of them had to be made anew"


@SERVERS
def test_memory_limit(two: Service, server: str) -> None:
    """A worker that gets no more memory may fail or die, and accepts nothing twice; the service recovers."""
    # Not measured: coverage would need memory too, and leave half a file behind.
    two.variables |= {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    workers = start(two, server)
    before = used(two)

    def starve() -> None:
        for pid in workers:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            limit({pid}, resource.RLIMIT_AS, pages * resource.getpagesize() + 65_536)
        time.sleep(1)
        for pid in workers & two.workers():
            with suppress(ProcessLookupError):  # it has died of that
                limit({pid}, resource.RLIMIT_AS, resource.RLIM_INFINITY)

    answers, _ = together(two, starve, issuing_may_fail=True)
    assert all(found[200] <= 1 for found in answers)
    assert {status for found in answers for status in found} <= {200, 500, LOST} | REFUSED
    assert settled(two, before) == {409}
    recovers(two)


@SERVERS
def test_stopped_under_load(two: Service, server: str) -> None:
    """From the signal until whoever balances the load can have seen that it drains, nobody goes without an answer."""
    two.variables["AUTHSVC_DRAIN_DELAY_S"] = "300"
    start(two, server)

    def stop() -> None:
        two.signal(signal.SIGTERM)
        wait_until(lambda: two.ask("GET", "/readyz").status == 503)

    answers, unanswered = together(two, stop)
    assert unanswered == 0
    assert {status for found in answers for status in found} == {200, 409}
    assert two.stop() == 0  # the second signal, on which it waits no longer


CLOCK = """
import time, pathlib, os
real, path = time.time_ns, pathlib.Path(os.environ["STEPPED_CLOCK"])
time.time_ns = lambda: real() + int(path.read_text()) * 1_000_000_000
"""


@SERVERS
@pytest.mark.parametrize("step_s", [3600, -3600])
def test_clock_stepped(two: Service, server: str, step_s: int, tmp_path: Path) -> None:
    """
    The time of day steps by an hour and back: payloads are of the new time, those of the old one are refused, and what
    was accepted before is not accepted again, though the store had good reason to forget it in between.
    """
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    two.variables |= {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "STEPPED_CLOCK": str(offset)}

    def step(by_s: int) -> None:
        new = tmp_path / "offset.new"
        new.write_text(str(by_s))
        new.rename(offset)

    start(two, server)
    before = used(two)
    unused = issued(two)
    step(step_s)
    assert {verified(two, presented) for presented in [*before, unused]} == {422}
    ahead = issued(two)
    assert abs(int(str(ahead["timestamp"])) / 1000 - time.time() - step_s) < 600
    # A store that was born by the old clock trusts nothing from before its birth.
    assert verified(two, ahead) == (200 if step_s > 0 else 422)
    step(0)
    assert {verified(two, presented) for presented in before} <= {409, 422}
    assert verified(two, ahead) in {409, 422}
    recovers(two)
