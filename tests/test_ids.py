"""What is given out once: by one process, by its threads, and by one and its forked child."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc import ids
from authsvc.ids import DRAWN, fresh_id


def test_given_out_once() -> None:
    """Many more than are drawn at a time, by many threads: 128 bits in 32 characters, none of them twice."""
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: fresh_id(), range(200 * DRAWN)))
    assert len(set(given)) == len(given)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in given)


def test_from_the_random_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit is the operating system's, in its order, and it is asked once for many."""
    source = os.urandom(2 * DRAWN * 16)
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        start = sum(asked[:-1])
        return source[start : start + size]

    ids._drawn.clear()
    monkeypatch.setattr(os, "urandom", urandom)
    given = [fresh_id() for _ in range(2 * DRAWN)]
    ids._drawn.clear()
    assert bytes.fromhex("".join(given)) == source
    assert len(asked) == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork() -> None:
    """A child gives out none of those that its parent has drawn."""
    fresh_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover -- in another process
        try:
            os.write(write, "".join(fresh_id() for _ in range(DRAWN)).encode())
            os._exit(0)
        finally:
            os._exit(2)
    os.close(write)
    with os.fdopen(read) as pipe:
        childs = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert len(childs) == 32 * DRAWN
    assert {fresh_id() for _ in range(DRAWN)}.isdisjoint(re.findall(".{32}", childs))
