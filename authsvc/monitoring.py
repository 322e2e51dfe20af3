"""
What the service tells its operators: of each request as it ends, and of its own state now and then.

Imports `logs` and `metrics`, and for the state `apps`, `budget`, `readiness` and `vendor`.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from authsvc import __version__, metrics
from authsvc.apps import Apps
from authsvc.budget import Budget
from authsvc.logs import Finished, RequestLog
from authsvc.metrics import Metrics
from authsvc.readiness import Readiness
from authsvc.vendor import Vendor


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Where it is told."""

    log: RequestLog
    metrics: Metrics

    def tell(self, done: Finished) -> None:
        """Tell of a request that has been answered."""
        self.metrics.request(done)
        self.log.tell(done)

    def on_store_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Tell of a call to the store."""
        self.metrics.call(self.metrics.store, operation, outcome, took_s)

    def on_vendor_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Tell of a call to the vendor."""
        self.metrics.call(self.metrics.vendor, operation, outcome, took_s)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Looks at the state that the gauges tell, and at the files of workers that have ended."""

    metrics: Metrics
    apps: Apps
    budget: Budget
    readiness: Readiness
    vendor: Vendor
    now_ms: Callable[[], int]

    def sample(self) -> None:
        """Look once; among others, the store takes a write."""
        now_ms = self.now_ms()
        offset_ms = self.vendor.offset_ms
        self.metrics.gauges(
            version=__version__,
            checks=self.readiness.checks(now_ms),
            budget_left=self.budget.left(now_ms),
            offsets_ms={} if offset_ms is None else {"vendor": offset_ms},
            fingerprints=self.apps.fingerprints(),
        )
        folder = os.environ.get(metrics.FOLDER_VARIABLE)
        if folder is not None:
            with suppress(OSError):  # the parent removes it in the end
                metrics.tidy(Path(folder))
