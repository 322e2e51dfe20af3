"""
Whether this process can serve, and if not, what is missing.

Imports `payload` for the skew that is allowed, `store` and `errors`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from authsvc.errors import StoreAway
from authsvc.payload import MAX_SKEW_MS
from authsvc.store import Store


@dataclass(frozen=True, slots=True)
class Readiness:
    """The checks behind `/readyz`. `is_at_work` is of the threads in the background, `is_draining` the server's."""

    store: Store
    is_vendor_away: Callable[[], bool]
    is_at_work: Callable[[], bool]
    is_draining: Callable[[], bool]

    def checks(self, now_ms: int) -> dict[str, str]:
        """Return a word for each check: "ok", or what is wrong. The store's is a real write."""
        store, clock, memory = "ok", "ok", "ok"
        try:
            pulse = self.store.ping()
        except StoreAway:
            store, clock, memory = "away", "unknown", "unknown"
        else:
            memory = pulse.worry or "ok"
            skew_ms = pulse.clock_ms - now_ms
            if abs(skew_ms) > MAX_SKEW_MS:
                clock = f"{skew_ms} ms off the store's"
        return {
            "secrets": "ok",  # without them the process does not start, and a bad new file leaves the old ones
            "store": store,
            "clock": clock,
            "memory": memory,
            "background": "ok" if self.is_at_work() else "ended",
            "vendor": "away" if self.is_vendor_away() else "ok",
            "draining": "yes" if self.is_draining() else "ok",
        }


def is_ready(checks: dict[str, str]) -> bool:
    """
    Return whether nothing is wrong that matters to all.

    Told, and not counted: a vendor that is away, because payloads are issued and verified without it; and a store that
    may evict claims, because all instances have the same one, and none would be left.
    """
    return all(word == "ok" for name, word in checks.items() if name not in {"vendor", "memory"})
