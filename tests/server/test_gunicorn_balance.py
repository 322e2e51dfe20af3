"""Which worker accepts the next connection: the one that has fewer, unless it does not come for it."""

import pytest

from authsvc.server.gunicorn_balance import ALONE_S, PAUSES, SLOTS, Balance, shared_counts


@pytest.fixture
def workers() -> list[Balance]:
    """Three workers, of which none has said anything yet, under a clock that stands still."""
    counts = shared_counts()
    return [Balance(counts, number, now_s=lambda: 100.0) for number in (1, 2, SLOTS + 3)]


@pytest.mark.parametrize(
    ("connections", "leaves"),
    [
        ([0, 0, 0], [False, False, False]),
        ([1, 0, 0], [False, False, False]),
        ([2, 0, 0], [True, False, False]),
        ([10, 8, 7], [False, False, False]),
        ([10, 8, 6], [True, False, False]),
        ([500, 400, 398], [True, False, False]),
    ],
)
def test_whoever_has_fewer(workers: list[Balance], connections: list[int], leaves: list[bool]) -> None:
    """A small difference is none, or they would wait for each other in a storm."""
    for worker, number in zip(workers, connections, strict=True):
        worker.tell(number)
    assert [worker.leaves_next() for worker in workers] == leaves


def test_nobody_waits_for_who_has_ended(workers: list[Balance]) -> None:
    """Those that have not begun, or have ended, are not waited for."""
    first, second, _ = workers
    first.tell(9)
    assert not first.leaves_next()
    second.tell(0)
    assert first.leaves_next()
    second.end()
    assert not first.leaves_next()


def test_nobody_waits_for_long() -> None:
    """Whoever does not come for a connection is given five chances, and none for a second; then again."""
    now_s = [100.0]
    counts = shared_counts()
    busy, hanging = (Balance(counts, number, now_s=lambda: now_s[0]) for number in range(2))
    busy.tell(9)
    hanging.tell(0)
    for _ in range(2):
        assert [busy.leaves_next() for _ in range(PAUSES + 1)] == [True] * PAUSES + [False]
        assert not busy.leaves_next()
        now_s[0] += ALONE_S


def test_a_connection_that_was_taken_begins_anew(workers: list[Balance]) -> None:
    """Chances are counted for one connection, not for all."""
    first, second, _ = workers
    for _ in range(PAUSES):
        first.tell(9)
        second.tell(0)
        assert first.leaves_next()
        second.tell(9)
        assert not first.leaves_next()
