"""
A worker process under load: threads that verify payloads, so many a second or as fast as they can. Started by
`test_sqlite_log`.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from authsvc import clock
from authsvc.errors import StoreUnavailable
from authsvc.payloads import issuing, verifying
from authsvc.payloads.apps import App, Apps
from authsvc.secret import Secret
from authsvc.stores import open_store
from tests.stores.calls import works
from tests.support import made_up
from tests.support.running import wait_until

THREADS = 4


def write(url: str, for_s: float, interval_s: float, start: Barrier, found: "Queue[tuple[int, int, float]]") -> None:
    """
    Verify payloads; report how many were accepted and how many met an unavailable store, and the longest wait in s.

    Args:
        for_s: how long, at least; it goes on until one was accepted.
        interval_s: from one payload of a thread to the next, at least; 0 for as fast as it can.
    """
    store = open_store(url)
    is_used = threading.Event()
    apps = Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], clock.now_ms())
    app = apps.find(made_up.APPKEY)

    def verify_all(thread: int) -> tuple[int, int, float]:
        accepted, away, worst_s, next_s = 0, 0, 0.0, began_s + thread * interval_s / THREADS
        while next_s < began_s + for_s or not is_used.is_set():
            time.sleep(max(0.0, next_s - time.monotonic()))
            begun_s = time.monotonic()
            issued = issuing.issue(app, random_str=None, store=store, now_ms=clock.now_ms())
            try:
                verifying.verify(issued, holder=None, apps=apps, store=store, now_ms=clock.now_ms())
                accepted += 1
                is_used.set()
            except StoreUnavailable:
                away += 1
            ended_s = time.monotonic()
            worst_s, next_s = max(worst_s, ended_s - begun_s), max(next_s + interval_s, ended_s)
        return accepted, away, worst_s

    wait_until(lambda: works(store))
    start.wait(60)
    began_s = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        accepted, away, worst_s = zip(*pool.map(verify_all, range(THREADS)), strict=True)
    found.put((sum(accepted), sum(away), max(worst_s)))
    store.close()
