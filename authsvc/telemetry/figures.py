"""
What is counted and measured: the metrics by name, and what one worker's figures are when another reads them.

Imports nothing of the project.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Series = tuple[str, ...]  # the name of a metric and the values of its labels
Figures = dict[Series, list[float]]  # a counter's sum; or a histogram's number in each bucket, and the sum of all


class Family(NamedTuple):
    """A metric: its help, its labels, and how a gauge of several workers becomes one."""

    kind: Literal["counter", "histogram", "gauge"]
    words: str
    labels: tuple[str, ...] = ()
    of_workers: Callable[[Iterable[float]], float] = sum


def _last(values: Iterable[float]) -> float:
    return list(values)[-1]


FAMILIES: Mapping[str, Family] = {
    "requests_total": Family("counter", "Requests answered.", ("route", "status", "code")),
    "request_duration_seconds": Family("histogram", "Time to the answer.", ("route",)),
    "payloads_issued_total": Family("counter", "Payloads signed.", ("appkey",)),
    "payloads_verified_total": Family("counter", "Payloads accepted.", ("appkey",)),
    "refusals_total": Family("counter", "Refusals: by name, with its code.", ("route", "refusal", "code")),
    "store_calls_total": Family("counter", "Calls to the store.", ("operation", "outcome")),
    "store_call_duration_seconds": Family("histogram", "Time of a call to the store.", ("operation",)),
    "vendor_calls_total": Family("counter", "Calls to the vendor's REST API.", ("operation", "outcome")),
    "vendor_call_duration_seconds": Family("histogram", "Time of a call to the vendor.", ("operation",)),
    "login_calls_total": Family("counter", "Questions to the app who is logged in.", ("operation", "outcome")),
    "login_call_duration_seconds": Family("histogram", "Time of a question to the app.", ("operation",)),
    "media_lookups_total": Family(
        "counter", "Where a media URL came from: memory, a flight under way, or asked.", ("found",)
    ),
    "vendor_unavailable": Family("gauge", "1 while the circuit breaker is open.", (), max),
    "vendor_budget_left": Family("gauge", "Calls left in this window.", ("appkey",), min),
    "ready": Family("gauge", "1 if the check of /readyz is ok.", ("check",), min),
    "clock_offset_seconds": Family("gauge", "This clock against another.", ("against",), _last),
    "master_secret_workers": Family("gauge", "Workers that sign with this secret.", ("appkey", "fingerprint"), sum),
    "build_info": Family("gauge", "1, with the version.", ("version",), max),
}


@dataclass(slots=True)
class Snapshot:
    """What one worker has counted, and its gauges as they were at a time."""

    counted: Figures
    gauges: dict[Series, float]
    gauged_s: float = 0.0

    def written(self) -> bytes:
        """Return it as bytes that `read` reads."""
        return orjson.dumps([list(self.counted.items()), list(self.gauges.items()), self.gauged_s])

    @classmethod
    def read(cls, content: bytes) -> "Snapshot":
        """Return what was written; an empty one of no bytes."""
        counted, gauges, gauged_s = orjson.loads(content or b"[[],[],0]")
        return cls(
            {tuple(key): value for key, value in counted}, {tuple(key): value for key, value in gauges}, gauged_s
        )
