"""The thread beside the requests."""

import threading
import time

import pytest

from authsvc.telemetry import periodic as background_module
from authsvc.telemetry.periodic import Background, every
from tests.support.running import wait_until


def test_runs_the_jobs_again_and_again() -> None:
    """In their order, until it is stopped; then what is left to do is done."""
    done: list[str] = []
    background = Background(
        "made-up",
        [lambda: done.append("a"), lambda: done.append("b")],
        interval_s=0.001,
        at_end=[lambda: done.append("end")],
    )
    assert not background.is_alive()
    background.start()
    wait_until(lambda: len(done) >= 6, timeout_s=5)
    assert background.is_alive()
    background.stop()
    assert not background.is_alive()
    assert done[:4] == ["a", "b", "a", "b"]
    assert done[-1] == "end"


def test_stops_at_once() -> None:
    """Without waiting for the interval to pass."""
    background = Background("made-up", [], interval_s=3_600)
    background.start()
    background.stop()
    assert not background.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_job_that_fails_in_a_way_nobody_expects() -> None:
    """The thread ends, and that can be seen."""

    def fail() -> None:
        raise RuntimeError("unexpected")

    background = Background("made-up", [fail], interval_s=0.001)
    background.start()
    wait_until(lambda: not background.is_alive(), timeout_s=5)
    background.stop()


def test_now_and_then() -> None:
    """A job that is run the first time, and then once in so many."""
    done: list[int] = []
    sometimes = every(3, lambda: done.append(0))
    numbers = []
    for _ in range(8):
        sometimes()
        numbers.append(len(done))
    assert numbers == [1, 1, 1, 2, 2, 2, 3, 3]


def test_a_job_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop goes on without it, and without what would have come after."""
    monkeypatch.setattr(background_module, "PATIENCE_S", 0.05)
    hanging = threading.Event()

    def hang() -> None:
        hanging.wait()

    done: list[str] = []
    background = Background("made-up", [hang], interval_s=0.001, at_end=[lambda: done.append("end")])
    background.start()
    time.sleep(0.02)
    background.stop()
    assert background.is_alive()
    assert done == []
    hanging.set()
