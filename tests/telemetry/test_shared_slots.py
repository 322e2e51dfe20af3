"""The memory that workers share: taken before the fork, owned until the end of a process, read by all."""

import os

import pytest

from authsvc.telemetry import shared_slots
from authsvc.telemetry.shared_slots import ROOM, Slots


def in_another_process(shared: Slots, *contents: bytes) -> None:
    """Take a slot in a process of its own, publish these one after the other, and end."""
    pid = os.fork()
    if pid == 0:
        try:
            shared.take()
            os._exit(not all(shared.publish(content) for content in contents))
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("is_linux", [True, False])
def test_what_another_process_published(monkeypatch: pytest.MonkeyPatch, is_linux: bool) -> None:  # noqa: FBT001 -- a column
    """The last of it is read, while it lives and when it has ended."""
    if not is_linux:
        monkeypatch.delattr(os, "memfd_create")
    shared = Slots(1)
    assert shared.published(0) == b""
    in_another_process(shared, b"one", b"two" * 100, b"x" * ROOM, b"3")
    assert shared.published(0) == b"3"
    assert shared.living() == []
    in_another_process(shared)
    assert shared.take() == 0
    assert shared.published(0) == b"3", "the next one goes on from there"
    assert [(living.number, living.pid) for living in shared.living()] == [(0, os.getpid())]


def test_too_much() -> None:
    """It is not published, and what was stays."""
    shared = Slots(1)
    assert not shared.publish(b"by nobody")
    shared.take()
    assert shared.publish(b"x")
    assert not shared.publish(bytes(ROOM + 1))
    assert shared.published(0) == b"x"


def test_half_written() -> None:
    """What is not whole is not read."""
    shared = Slots(1)
    shared.take()
    shared.publish(b"whole")
    start = shared._half(0, 1)
    shared._memory[start + shared_slots._PREFIX.size] ^= 1
    assert shared.published(0) == b""


def test_all_of_it_is_there() -> None:
    """Every page has its memory before the first worker is made, so that no write can find none."""
    before = resident()
    shared = Slots(20)
    assert resident() - before >= len(shared._memory) - 64 * 1024


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 -- one line
        return int(file.read().split()[2]) * os.sysconf("SC_PAGE_SIZE")
