"""
The vendor's budget: how many REST calls an app may make in a window, all workers together.

The vendor's free plan allows 600 calls a minute for all of them (REST API guide). This budget keeps below that limit.
Imports `rate`, `store` and `errors`.
"""

import threading

from authsvc.errors import StoreUnavailable, VendorBusy
from authsvc.ratelimit.rate import Rate
from authsvc.stores.store import Store

ALONE = 10  # without the store a worker may spend the budget divided by this


class Budget:
    """Counts in the store, one round trip a call; the call itself costs far more. Safe to use from many threads."""

    def __init__(self, rate: Rate, store: Store) -> None:
        self._rate = rate
        self._store = store
        self._lock = threading.Lock()
        self._spent_alone: dict[str, tuple[int, int]] = {}
        self._closed_until_ms: dict[str, int] = {}
        self._left: dict[str, tuple[int, int]] = {}

    def left(self, now_ms: int) -> dict[str, int]:
        """Return what the last call of each app in this worker left of the window's budget."""
        window = now_ms // self._rate.window_ms
        return {appkey: left if known == window else self._rate.limit for appkey, (known, left) in self._left.items()}

    def spend(self, appkey: str, now_ms: int) -> None:
        """
        Spend one call.

        Raises:
            VendorBusy: the window's budget is exhausted, or the vendor's own limit is, until the time that it named.
        """
        window, into_ms = divmod(now_ms, self._rate.window_ms)
        until_ms = self._closed_until_ms.get(appkey, 0)
        if now_ms < until_ms:
            raise VendorBusy("the vendor's rate limit is exhausted", retry_after_s=_seconds(until_ms - now_ms))
        name = f"budget:{appkey}:{window}"
        try:
            spent, limit = self._store.count({name: 1}, keep_ms=2 * self._rate.window_ms)[name], self._rate.limit
        except StoreUnavailable:
            spent, limit = self._alone(appkey, window), max(1, self._rate.limit // ALONE)
        self._left[appkey] = (window, max(0, limit - spent))
        if spent > limit:
            left_s = _seconds(self._rate.window_ms - into_ms)
            raise VendorBusy("the budget of vendor calls (AUTHSVC_VENDOR_BUDGET) is exhausted", retry_after_s=left_s)

    def close(self, appkey: str, until_ms: int) -> None:
        """Allow no call until then (Unix ms), because the vendor's own limit is reached."""
        self._closed_until_ms[appkey] = until_ms

    def _alone(self, appkey: str, window: int) -> int:
        with self._lock:
            last_window, spent = self._spent_alone.get(appkey, (window, 0))
            spent = spent + 1 if last_window == window else 1
            self._spent_alone[appkey] = (window, spent)
            return spent


def _seconds(ms: int) -> int:
    return max(1, -(-ms // 1000))
