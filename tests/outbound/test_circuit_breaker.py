"""The circuit breaker, its clock an argument."""

import pytest

from authsvc.errors import VendorBusy
from authsvc.outbound.circuit_breaker import FAILURES, PAUSE_S, CircuitBreaker


class Seconds:
    """A monotonic clock that a test moves."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Seconds:
    """A clock that stands still until a test moves it."""
    return Seconds()


@pytest.fixture
def breaker(clock: Seconds) -> CircuitBreaker:
    """A breaker that has just opened."""
    breaker = CircuitBreaker(now_s=clock)
    for _ in range(FAILURES):
        assert not breaker.is_open()
        breaker.check()
        breaker.failed()
    return breaker


def test_opens_after_repeated_failure(breaker: CircuitBreaker, clock: Seconds) -> None:
    """All calls are rejected until the pause is over; the refusal has the remaining time."""
    assert breaker.is_open()
    with pytest.raises(VendorBusy) as busy:
        breaker.check()
    assert busy.value.retry_after_s == PAUSE_S
    clock.now_s += PAUSE_S - 0.001
    with pytest.raises(VendorBusy) as busy:
        breaker.check()
    assert busy.value.retry_after_s == 1


def test_one_probe_at_a_time(breaker: CircuitBreaker, clock: Seconds) -> None:
    """After the pause one call goes through, and no other before the next pause is over."""
    clock.now_s += PAUSE_S
    breaker.check()
    with pytest.raises(VendorBusy):
        breaker.check()
    clock.now_s += PAUSE_S
    breaker.check()


def test_a_failed_probe_begins_a_new_pause(breaker: CircuitBreaker, clock: Seconds) -> None:
    """The pause is counted from the probe's failure."""
    clock.now_s += PAUSE_S
    breaker.check()
    clock.now_s += 2
    breaker.failed()
    clock.now_s += PAUSE_S - 0.001
    with pytest.raises(VendorBusy):
        breaker.check()
    clock.now_s += 0.001
    breaker.check()


def test_any_answer_closes_it(breaker: CircuitBreaker, clock: Seconds) -> None:
    """One success lets everybody through again, and failures are counted from the start."""
    clock.now_s += PAUSE_S
    breaker.check()
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.check()
        breaker.failed()
    assert not breaker.is_open()


def test_only_failures_in_a_row_count(clock: Seconds) -> None:
    """A vendor that answers sometimes is not unavailable."""
    breaker = CircuitBreaker(now_s=clock)
    for _ in range(3 * FAILURES):
        breaker.failed()
        breaker.succeeded()
    assert not breaker.is_open()
