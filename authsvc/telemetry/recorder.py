"""
What the service tells its operators: of each request as it ends, and of its own state now and then.

Imports `access_log` and `metrics`, and for the state `apps`, `budget`, `health` and `client`.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from authsvc import __version__
from authsvc.payloads.apps import Apps
from authsvc.telemetry.access_log import Finished, RequestLog
from authsvc.telemetry.health import Readiness
from authsvc.telemetry.metrics import Metrics
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Vendor

MAX_UNTOLD = 65_536  # requests, some 30 MB

# Requests are told in pieces with a pause between them, because others wait while Python handles a piece.
PIECE = 100
PAUSE_S = 0.001

_log = logging.getLogger(__name__)


class Recorder:
    """
    Takes what there is to tell, and tells it when `flush` is called: a request waits for no log and no counter.

    Many lines made one after the other take half the time that each takes between two requests. Requests that nobody
    takes, because the log's reader is stuck, are kept up to a bound.
    """

    def __init__(self, log: RequestLog, metrics: Metrics) -> None:
        self.log = log
        self.metrics = metrics
        self._untold: deque[Finished] = deque()
        self._lost = 0

    def record(self, done: Finished) -> None:
        """Tell of a request that has been answered; nobody may change it any more."""
        if len(self._untold) < MAX_UNTOLD:
            self._untold.append(done)
        else:
            self._lost += 1

    def flush(self) -> None:
        """Tell all that there is to tell. Call it from one thread."""
        for untold in range(len(self._untold), 0, -PIECE):
            self._tell([self._untold.popleft() for _ in range(min(untold, PIECE))])
            if untold > PIECE:
                time.sleep(PAUSE_S)
        self.metrics.publish()
        lost, self._lost = self._lost, 0
        if lost:
            _log.error("%d requests are not in the log: its reader was stuck", lost)

    def _tell(self, some: Sequence[Finished]) -> None:
        for done in some:
            self.metrics.request(done)
        lines = b"".join(map(self.log.lines, some))
        if lines:
            self.log.write(lines)

    def on_store_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Tell of a call to the store."""
        self.metrics.call("store", operation, outcome, took_s)

    def on_vendor_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Tell of a call to the vendor."""
        self.metrics.call("vendor", operation, outcome, took_s)

    def on_login_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Tell of a question to the app who is logged in."""
        self.metrics.call("login", operation, outcome, took_s)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Looks at the state that the gauges tell."""

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
        checks = self.readiness.checks(now_ms)
        self.metrics.gauges(
            version=__version__,
            checks=checks,
            budget_left=self.budget.left(now_ms),
            offsets_ms={} if offset_ms is None else {"vendor": offset_ms},
            fingerprints=self.apps.fingerprints(),
        )
