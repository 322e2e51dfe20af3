"""
A worker process under load: threads that verify payloads, so many a second or as fast as they can. Started by
`test_sqlite_log`.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from authsvc import clock, issuing, verifying
from authsvc.apps import App, Apps
from authsvc.secret import Secret
from authsvc.stores import open_store
from tests import made_up

THREADS = 4


def write(url: str, for_s: float, interval_s: float, start: Barrier, found: "Queue[tuple[int, float]]") -> None:
    """
    Verify payloads, each accepted; report how many, and the longest time that one took, in seconds.

    Args:
        interval_s: from one payload of a thread to the next, at least; 0 for as fast as it can.
    """
    store = open_store(url)
    apps = Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], clock.now_ms())
    app = apps.find(made_up.APPKEY)

    def verify_all(thread: int) -> tuple[int, float]:
        number, worst_s, next_s = 0, 0.0, began_s + thread * interval_s / THREADS
        while next_s < began_s + for_s:
            time.sleep(max(0.0, next_s - time.monotonic()))
            begun_s = time.monotonic()
            issued = issuing.issue(app, random_str=None, store=store, now_ms=clock.now_ms())
            verifying.verify(issued, holder=None, apps=apps, store=store, now_ms=clock.now_ms())
            ended_s = time.monotonic()
            number, worst_s, next_s = number + 1, max(worst_s, ended_s - begun_s), max(next_s + interval_s, ended_s)
        return number, worst_s

    store.ping()
    start.wait(60)
    began_s = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(verify_all, range(THREADS)))
    found.put((sum(number for number, _ in results), max(worst_s for _, worst_s in results)))
    store.close()
