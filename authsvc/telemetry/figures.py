"""
The metrics by name, and the figures of one worker in the form that another worker reads.

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
    """A metric: its help, its labels, and how the gauges of several workers are combined."""

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
    "login_calls_total": Family("counter", "Requests to AUTHSVC_LOGIN_URL.", ("operation", "outcome")),
    "login_call_duration_seconds": Family("histogram", "Time of a request to AUTHSVC_LOGIN_URL.", ("operation",)),
    "media_lookups_total": Family(
        "counter", "Look-ups of media URLs: cached, joined to a request under way, or requested.", ("found",)
    ),
    "vendor_unavailable": Family("gauge", "1 while the circuit breaker is open.", (), max),
    "vendor_budget_left": Family("gauge", "Calls left in this window.", ("appkey",), min),
    "ready": Family("gauge", "1 if the check of /readyz is ok.", ("check",), min),
    "clock_offset_seconds": Family("gauge", "This clock less another.", ("against",), _last),
    "master_secret_workers": Family("gauge", "Workers that sign with this secret.", ("appkey", "fingerprint"), sum),
    "build_info": Family("gauge", "1, with the version.", ("version",), max),
}


@dataclass(slots=True)
class Snapshot:
    """The counters of one worker, and its gauges at one time."""

    counted: Figures
    gauges: dict[Series, float]
    gauged_s: float = 0.0

    def written(self) -> bytes:
        """Return it as bytes for `read`."""
        return orjson.dumps([list(self.counted.items()), list(self.gauges.items()), self.gauged_s])

    @classmethod
    def read(cls, content: bytes) -> "Snapshot":
        """Return the written snapshot; an empty one for no bytes."""
        counted, gauges, gauged_s = orjson.loads(content or b"[[],[],0]")
        return cls(
            {tuple(key): value for key, value in counted}, {tuple(key): value for key, value in gauges}, gauged_s
        )
