"""
A worker process of the race: many threads that all want the same keys. Started by `test_races`.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from authsvc.stores import open_store
from tests.stores.calls import add

THREADS = 20
KEYS = [f"key:{number}" for number in range(25)]


def race(url: str, name: str, start: Barrier, wins: "Queue[list[str]]") -> None:
    """Claim every key from every thread, each with an id of its own, and report the keys won."""
    store = open_store(url)

    def wait_for_others() -> None:
        start.wait(60)

    own_start = threading.Barrier(THREADS, action=wait_for_others)

    def claim_all(thread: int) -> list[str]:
        own_start.wait(60)
        # 80 connections at once may take longer than a store may.
        return [key for key in KEYS if add(store, key, f"{name}:{thread}")]

    with ThreadPoolExecutor(THREADS) as pool:
        wins.put([key for won in pool.map(claim_all, range(THREADS)) for key in won])
    store.close()
