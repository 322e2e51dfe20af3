"""Many pages that chat through one sandbox, which is a process of its own, as they are."""

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from authsvc.secret import Secret
from authsvc.testing import running
from tests.browser.sandboxes import SandboxProcess
from tests.conftest import Seen
from tests.sandbox.chatters import PASSWORD, Asked, name_of
from tests.support import made_up
from tests.support.running import PATIENCE_S

LOAD_S = float(os.environ.get("LOAD_S", "1"))
IS_LONG = LOAD_S > 10
PAGES = 1_000 if IS_LONG else 40
EACH = (5.0, 10.0) if IS_LONG else (10.0,)  # messages a second that each page sends, and gets
BUSY = 0.05  # part of the time; where the sandbox waits longer for a processor, what piles up is not its own


@pytest.fixture
def process(tmp_path: Path, seen: Seen) -> Iterator[SandboxProcess]:
    """The sandbox, with a service beside it."""
    known = {
        "appkey": made_up.APPKEY,
        "master_secret": Secret(made_up.MASTER_SECRET),
        "verifier_keys": (Secret(made_up.VERIFIER_KEY),),
    }
    with running(**known) as both:
        process = SandboxProcess(tmp_path, service=both.service)
        process.start()
        yield process
        process.stop()
    seen.texts.append(process.log())


class Resources:
    """What a process has used until now, from its entries in /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc", str(pid))

    def cpu_s(self) -> float:
        user, system = (self._folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def waited_s(self) -> float:
        """Return how long it was ready to run while others had the processor."""
        return int((self._folder / "schedstat").read_text().split()[1]) / 1e9

    def memory_mb(self) -> float:
        pages = int((self._folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize("each", EACH)
def test_pages_that_chat(process: SandboxProcess, each: float) -> None:
    """
    Every message arrives once and in order, and each is answered.

    In the long form, on a machine that is free for it, in less than 100 ms (p99) and with no more memory than before.
    """
    users = [{"username": name_of(number), "password": PASSWORD} for number in range(PAGES)]
    assert (
        requests.post(f"{process.url}/sandbox", json={"seed": {"users": users}}, timeout=PATIENCE_S).status_code == 200
    )
    asked = {
        "sandbox": process.url,
        "appkey": made_up.APPKEY,
        "master_secret": made_up.MASTER_SECRET,
        "pages": PAGES,
        "rate": PAGES * each,
        "seconds": LOAD_S,
    }
    used = Resources(process.pid)
    memory_mb: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOAD_S / 12):
            memory_mb.append(used.memory_mb())

    with subprocess.Popen(
        [sys.executable, "-m", Asked.__module__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as chatters:
        assert chatters.stdin
        assert chatters.stdout
        chatters.stdin.write(json.dumps(asked) + "\n")
        chatters.stdin.flush()
        assert chatters.stdout.readline() == "ready\n"
        cpu_s, waited_s = used.cpu_s(), used.waited_s()
        watching = threading.Thread(target=watch)
        watching.start()
        chatters.stdin.write("\n")
        chatters.stdin.flush()
        assert chatters.stdout.readline() == "done\n"
        is_over.set()
        watching.join()
        memory_mb.append(used.memory_mb())
        cpu_s, waited_s = used.cpu_s() - cpu_s, used.waited_s() - waited_s
        seen = json.loads(chatters.communicate("\n")[0])
    count = int(PAGES * each * LOAD_S)
    assert seen["faults"] == []
    assert [seen[name] for name in ("sent", "answered", "received", "acknowledged")] == [count] * 4
    p50, p99 = (statistics.quantiles(seen["delays_ns"], n=100)[part] / 1e6 for part in (49, 98))
    measured = (
        f"{PAGES * each:.0f} messages a second, delivered in {p50:.0f} ms (median), {p99:.0f} ms (p99);"
        f" {cpu_s / count * 1e6:.0f} us of CPU time for each, {seen['cpu_s'] / count * 1e6:.0f} us of the pages';"
        f" memory {memory_mb[len(memory_mb) // 3]:.0f} to {memory_mb[-1]:.0f} MB;"
        f" others had the processor for {waited_s:.1f} s of {LOAD_S:.0f}"
    )
    print(measured)  # noqa: T201 -- the campaign shows it
    if IS_LONG and waited_s < BUSY * LOAD_S:
        assert memory_mb[-1] < 1.1 * memory_mb[len(memory_mb) // 3], measured
        assert p99 < 100, measured  # 5 ms were measured, with ten messages a second each way for every page
