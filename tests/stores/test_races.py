"""Many claimants at once, over each store and shape; TLS is left out, whose 80 handshakes would be what is tested."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc import clock
from authsvc.errors import Replayed
from authsvc.ids import fresh_id
from authsvc.payloads import issuing
from authsvc.payloads.apps import App, Apps
from authsvc.secret import Secret
from tests.stores.conftest import Open
from tests.stores.racer import KEYS, race
from tests.support import made_up

RACES = 20


@pytest.mark.parametrize("store_url", ["sqlite", "redis", "redis_sentinels", "redis_cluster"], indirect=True)
def test_exactly_one_winner(store_url: str) -> None:
    """Of 20 threads in each of 4 processes that begin with no store at all, exactly one wins each key."""
    context = multiprocessing.get_context("spawn")
    start, wins = context.Barrier(4), context.Queue()
    workers = [context.Process(target=race, args=(store_url, str(number), start, wins)) for number in range(4)]
    for worker in workers:
        worker.start()
    winners = Counter(key for _ in workers for key in wins.get(timeout=120))
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert winners == Counter(KEYS)


@pytest.mark.parametrize("store_url", ["sqlite", "redis", "redis_cluster"], indirect=True)
def test_a_random_str_is_signed_by_one_route(opened: Open, store_url: str) -> None:
    """Of both routes at once exactly one signs it: one payload by `issue`, or every pair by `sign_chosen`."""
    served = Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], 0).find(made_up.APPKEY)
    stores = [opened(store_url), opened(store_url)]
    gate, now_ms = threading.Barrier(4), clock.now_ms()

    def signs(number: int, random_str: str) -> bool:
        store = stores[number % 2]
        by_route: Callable[[], object]
        if number < 2:
            by_route = lambda: issuing.issue(served, random_str=random_str, store=store, now_ms=now_ms)  # noqa: E731 -- one of two
        else:
            by_route = lambda: issuing.sign_chosen(  # noqa: E731 -- the other
                served, timestamp_ms=now_ms + number, random_str=random_str, store=store, now_ms=now_ms
            )
        gate.wait()
        try:
            by_route()
        except Replayed:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for _ in range(RACES):
            random_str = fresh_id()
            *alone, third, fourth = pool.map(signs, range(4), [random_str] * 4)
            assert (sum(alone), third, fourth) in {(1, False, False), (0, True, True)}
