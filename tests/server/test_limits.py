"""What one worker has."""

import os

import pytest

from authsvc.server import limits


@pytest.fixture
def kept_to(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Which CPUs this process was kept to, one after the other; it has the third and the fifth, and stays with both."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3})
    kept: list[set[int]] = []

    def keep(thread: int, cpus: set[int]) -> None:
        if thread == os.getpid():
            kept.append(cpus)

    monkeypatch.setattr(os, "sched_setaffinity", keep)
    return kept


@pytest.mark.parametrize(
    ("workers", "cpus"),
    [(1, []), (2, [{3}, {5}]), (3, []), (4, [{3}, {5}, {3}, {5}]), (5, [])],
)
def test_each_cpu_has_as_many(kept_to: list[set[int]], workers: int, cpus: list[set[int]]) -> None:
    """Workers spread over the CPUs evenly, or are left to the kernel."""
    for place in range(workers):
        limits.keep_to_a_cpu(place, workers)
    assert kept_to == cpus


@pytest.mark.parametrize("is_linux", [True, False])
def test_one_cpu(
    kept_to: list[set[int]],
    monkeypatch: pytest.MonkeyPatch,
    is_linux: bool,  # noqa: FBT001 -- a column
) -> None:
    """Nothing is to be chosen from one, or where the system says nothing of them."""
    if is_linux:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    else:
        monkeypatch.delattr(os, "sched_getaffinity")
    limits.keep_to_a_cpu(0, 2)
    assert kept_to == []


def test_no_place(kept_to: list[set[int]]) -> None:
    """A worker without a number is left to the kernel."""
    limits.keep_to_a_cpu(None, 2)
    assert kept_to == []
