"""
The checks behind `/readyz`: whether this process can serve, and if not, the reason.

Imports `payload` for the allowed skew, `store` and `errors`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from authsvc.errors import StoreUnavailable
from authsvc.payloads.payload import MAX_SKEW_MS
from authsvc.stores.store import Store


@dataclass(frozen=True, slots=True)
class Readiness:
    """
    The state that the checks read.

    Args:
        broken_files: the settings whose files could not be used at the last look.
        is_at_work: whether the periodic threads run.
        is_draining: whether the server is stopping.
    """

    store: Store
    broken_files: Callable[[], Sequence[str]]
    is_vendor_unavailable: Callable[[], bool]
    is_at_work: Callable[[], bool]
    is_draining: Callable[[], bool]

    def checks(self, now_ms: int) -> dict[str, str]:
        """Return a word for each check: "ok", or the fault. The check of the store is a real write."""
        store, clock, memory = "ok", "ok", "ok"
        try:
            pulse = self.store.ping()
        except StoreUnavailable as exc:
            store = f"unavailable: {exc.remedy}" if exc.remedy else "unavailable"
            clock, memory = "unknown", "unknown"
        else:
            memory = pulse.worry or "ok"
            skew_ms = pulse.clock_ms - now_ms
            if abs(skew_ms) > MAX_SKEW_MS:
                clock = f"{skew_ms} ms off the store's"
        return {
            "secrets": ", ".join(self.broken_files()) or "ok",
            "store": store,
            "clock": clock,
            "memory": memory,
            "background": "ok" if self.is_at_work() else "ended",
            "vendor": "unavailable" if self.is_vendor_unavailable() else "ok",
            "draining": "yes" if self.is_draining() else "ok",
        }


def is_ready(checks: dict[str, str]) -> bool:
    """
    Return whether all checks that decide are ok.

    Three checks are reported but do not decide. Without the vendor, payloads are still issued and verified. A store
    that may evict claims and a broken secret file are common to all instances, so none would be left; they serve with
    the secrets that they have.
    """
    return all(word == "ok" for name, word in checks.items() if name not in {"vendor", "memory", "secrets"})
