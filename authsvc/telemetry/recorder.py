"""
The recorder of answered requests, for the access log and the metrics; and a sampler of the service's own state.

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

MAX_UNRECORDED = 65_536  # requests, some 30 MB

# Requests are recorded in batches with a pause between them, because others wait while Python handles a batch.
PIECE = 100
PAUSE_S = 0.001

_log = logging.getLogger(__name__)


class Recorder:
    """
    Keeps answered requests until `flush` logs and counts them, so that no request waits for the log or a counter.

    Many lines in a row take half the time of single lines between requests. While the log's reader is stuck, requests
    are kept up to a bound.
    """

    def __init__(self, log: RequestLog, metrics: Metrics) -> None:
        self.log = log
        self.metrics = metrics
        self._unrecorded: deque[Finished] = deque()
        self._lost = 0

    def record(self, done: Finished) -> None:
        """Record an answered request, which must not change any more."""
        if len(self._unrecorded) < MAX_UNRECORDED:
            self._unrecorded.append(done)
        else:
            self._lost += 1

    def flush(self) -> None:
        """Log and count all recorded requests. Call it from one thread."""
        for left in range(len(self._unrecorded), 0, -PIECE):
            self._write([self._unrecorded.popleft() for _ in range(min(left, PIECE))])
            if left > PIECE:
                time.sleep(PAUSE_S)
        self.metrics.publish()
        lost, self._lost = self._lost, 0
        if lost:
            _log.error("%d requests are not in the log, because its reader was stuck", lost)

    def _write(self, some: Sequence[Finished]) -> None:
        self.metrics.requests(some)
        lines = b"".join(map(self.log.lines, some))
        if lines:
            self.log.write(lines)

    def on_store_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Count a call to the store."""
        self.metrics.call("store", operation, outcome, took_s)

    def on_vendor_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Count a call to the vendor."""
        self.metrics.call("vendor", operation, outcome, took_s)

    def on_login_call(self, operation: str, outcome: str, took_s: float) -> None:
        """Count a request to AUTHSVC_LOGIN_URL."""
        self.metrics.call("login", operation, outcome, took_s)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Reads the state for the gauges."""

    metrics: Metrics
    apps: Apps
    budget: Budget
    readiness: Readiness
    vendor: Vendor
    now_ms: Callable[[], int]

    def sample(self) -> None:
        """Read it once; this writes to the store."""
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
