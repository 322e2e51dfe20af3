"""
A worker process of the race: many threads that all want the same keys. Started by `test_races`.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from authsvc.errors import StoreUnavailable
from authsvc.stores import open_store

THREADS = 20
KEYS = [f"key:{number}" for number in range(25)]


def race(url: str, name: str, start: Barrier, wins: "Queue[list[str]]") -> None:
    """Claim every key from every thread, each with an id of its own, and report the keys won."""
    store = open_store(url)

    def wait_for_others() -> None:
        start.wait(60)

    own_start = threading.Barrier(THREADS, action=wait_for_others)

    def claim(key: str, value: str) -> bool:
        until_s = time.monotonic() + 30
        while True:
            try:
                return store.add(key, value, keep_ms=60_000)
            except StoreUnavailable:  # 80 connections at once may take longer than a store may; making it again is safe
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.05)

    def claim_all(thread: int) -> list[str]:
        own_start.wait(60)
        return [key for key in KEYS if claim(key, f"{name}:{thread}")]

    with ThreadPoolExecutor(THREADS) as pool:
        wins.put([key for won in pool.map(claim_all, range(THREADS)) for key in won])
    store.close()
