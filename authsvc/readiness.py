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
    """The checks behind `/readyz`. `is_watching` is the background thread's, `is_draining` the server's."""

    store: Store
    is_watching: Callable[[], bool]
    is_draining: Callable[[], bool]

    def checks(self, now_ms: int) -> dict[str, str]:
        """Return a word for each check: "ok", or what is wrong. The store's is a real write."""
        store, clock = "ok", "ok"
        try:
            skew_ms = self.store.ping() - now_ms
        except StoreAway:
            store, clock = "away", "unknown"
        else:
            if abs(skew_ms) > MAX_SKEW_MS:
                clock = f"{skew_ms} ms off the store's"
        return {
            "secrets": "ok",  # without them the process does not start, and a bad new file leaves the old ones
            "store": store,
            "clock": clock,
            "background": "ok" if self.is_watching() else "ended",
            "draining": "yes" if self.is_draining() else "ok",
        }


def is_ready(checks: dict[str, str]) -> bool:
    """Return whether nothing is wrong. An unknown clock goes with a store that is away."""
    return all(word == "ok" for word in checks.values())
