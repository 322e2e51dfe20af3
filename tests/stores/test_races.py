"""Many claimants at once, over each store and shape; TLS is left out, whose 80 handshakes would be what is tested."""

import multiprocessing
from collections import Counter

import pytest

from tests.stores.racer import KEYS, race


@pytest.mark.parametrize("store_url", ["sqlite", "redis", "redis_sentinels", "redis_cluster"], indirect=True)
def test_exactly_one_winner(store_url: str) -> None:
    """Of 20 threads in each of 4 processes that begin with no store at all, exactly one wins each key."""
    context = multiprocessing.get_context("spawn")
    start, wins = context.Barrier(4), context.Queue()
    workers = [context.Process(target=race, args=(store_url, str(number), start, wins)) for number in range(4)]
    for worker in workers:
        worker.start()
    winners = Counter(key for _ in workers for key in wins.get(timeout=60))
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert winners == Counter(KEYS)
