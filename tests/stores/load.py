"""
A load of verifications: payloads that are each presented twice, from several threads and through several stores.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from authsvc import clock
from authsvc.errors import Expired, Replayed, StoreUnavailable
from authsvc.payloads import issuing, verifying
from authsvc.payloads.apps import App, Apps
from authsvc.payloads.payload import AuthPayload
from authsvc.secret import Secret
from authsvc.stores.store import Store
from tests.support import made_up
from tests.support.running import wait_until

PAYLOADS = 5_000
THREADS = 4  # for each store
APART = 4_000  # the most presentations that lie between the two of a payload


class Load:
    """
    What is presented, and what came of it.

    A presentation during which the store was unavailable is made again, as its client would, until it is decided: it
        may have used the payload up all the same. Payloads are issued when they are first presented.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._apps = Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], clock.now_ms())
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._payloads: dict[int, AuthPayload] = {}
        chosen = random.Random(5)
        places = [(float(n), n) for n in range(PAYLOADS)]
        places += [(n + chosen.uniform(0, APART / 2), n) for n in range(PAYLOADS)]
        self._order = [number for _, number in sorted(places)]
        self._next = 0
        self._allowed = 0
        self._is_over = False  # the disturbance failed
        self.outcomes: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self._away_s: list[float] = []

    @property
    def presented(self) -> int:
        """How many presentations were begun."""
        return self._next

    @property
    def keys(self) -> set[str]:
        """The store's keys of what was accepted."""
        return set(self.accepted)

    @property
    def away_s(self) -> float:
        """The time from the first call with an unavailable store to the last one."""
        return max(self._away_s, default=0.0) - min(self._away_s, default=0.0)

    def run(self, disturb: Callable[[], None], *, after: int) -> None:
        """Present all of it, and disturb when so many presentations were begun, of which no more than twice as many."""
        with ThreadPoolExecutor(len(self._stores) * THREADS + 1) as pool:
            self.allow(2 * after)
            disturbing = pool.submit(self._disturb, disturb, after)
            for presenting in [pool.submit(self._present, n) for n in range(len(self._stores) * THREADS)]:
                presenting.result()
            disturbing.result()

    def allow(self, more: int) -> None:
        """Have so many presentations begin from now on, so that what is waited for is not over before it is seen."""
        with self._changed:
            self._allowed = self._next + more
            self._changed.notify_all()

    def wait_until_away(self) -> None:
        """Wait until a presentation has met an unavailable store."""
        wait_until(lambda: self.outcomes["away"] > 0)

    def report(self) -> str:
        """Return it all in one line."""
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        return f"{self.presented} presentations: {counts}; away for {self.away_s:.2f} s"

    def _disturb(self, disturb: Callable[[], None], after: int) -> None:
        try:
            wait_until(lambda: self.presented >= after)
            disturb()
        except BaseException:
            self._is_over = True
            raise
        finally:
            self.allow(len(self._order))

    def _present(self, thread: int) -> None:
        store = self._stores[thread % len(self._stores)]
        while True:
            with self._changed:
                while self._next >= self._allowed and self._next < len(self._order):
                    self._changed.wait()
                if self._next == len(self._order):
                    return
                number = self._order[self._next]
                self._next += 1
                if number not in self._payloads:
                    app = self._apps.find(made_up.APPKEY)
                    issued = issuing.issue(app, random_str=None, store=store, now_ms=clock.now_ms())
                    self._payloads[number] = issued
            outcome = "away"
            while outcome == "away" and not self._is_over:
                outcome = self._verify(store, self._payloads[number])

    def _verify(self, store: Store, payload: AuthPayload) -> str:
        outcome = "accepted"
        try:
            verifying.verify(payload, holder=None, apps=self._apps, store=store, now_ms=clock.now_ms())
        except StoreUnavailable:
            outcome = "away"
            self._away_s.append(time.monotonic())
            time.sleep(0.02)  # as a client after Retry-After
        except Replayed:
            outcome = "replayed"
        except Expired:
            outcome = "older than the memory"
        with self._lock:
            self.outcomes[outcome] += 1
            if outcome == "accepted":
                self.accepted[verifying.nonce_key(payload)] += 1
        return outcome
