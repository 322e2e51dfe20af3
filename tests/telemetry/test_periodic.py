"""The thread beside the requests."""

import threading

import pytest

from authsvc.telemetry import periodic as background_module
from authsvc.telemetry.periodic import PeriodicThread, every
from tests.support.running import wait_until


def test_runs_the_jobs_again_and_again() -> None:
    """In their order, until it is stopped; then what is left to do is done."""
    done: list[str] = []
    periodic = PeriodicThread(
        "made-up",
        [lambda: done.append("a"), lambda: done.append("b")],
        interval_s=0.001,
        at_end=[lambda: done.append("end")],
    )
    assert not periodic.is_alive()
    periodic.start()
    wait_until(lambda: len(done) >= 6)
    assert periodic.is_alive()
    periodic.stop()
    assert not periodic.is_alive()
    assert done[:4] == ["a", "b", "a", "b"]
    assert done[-1] == "end"


def test_stops_at_once() -> None:
    """Without waiting for the interval to pass."""
    periodic = PeriodicThread("made-up", [], interval_s=3_600)
    periodic.start()
    periodic.stop()
    assert not periodic.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_job_that_fails_in_a_way_nobody_expects() -> None:
    """The thread ends, and that can be seen."""

    def fail() -> None:
        raise RuntimeError("unexpected")

    periodic = PeriodicThread("made-up", [fail], interval_s=0.001)
    periodic.start()
    wait_until(lambda: not periodic.is_alive())
    periodic.stop()


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
    begun, hanging = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        hanging.wait()

    done: list[str] = []
    periodic = PeriodicThread("made-up", [hang], interval_s=0.001, at_end=[lambda: done.append("end")])
    periodic.start()
    assert begun.wait(60)
    periodic.stop()
    assert periodic.is_alive()
    assert done == []
    hanging.set()
