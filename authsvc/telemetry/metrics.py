"""
The metrics for Prometheus, never by user. Their names are in `figures`.

A call costs an append to a list; requests are counted by a periodic thread. `publish` adds both up, and writes the sums
to the worker's slot, so that any worker can return the metrics of all. It needs no disk, and nothing here raises.
Imports `access_log` for the finished request, `figures`, `shared_slots`, and for a scrape `exposition`.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from authsvc.telemetry.access_log import Finished
from authsvc.telemetry.figures import BUCKETS_S, Series, Snapshot
from authsvc.telemetry.shared_slots import ROOM, Slots

MAX_UNCOUNTED = 65_536  # of calls and of look-ups, some 10 MB each

_HALF = ROOM // 2  # of the room in a slot: one half for counters, one for gauges
_NUMBER = 25  # bytes of the longest number as text

_Counted = TypeVar("_Counted")
# Route, status, code and name of the refusal, action and appkey.
_Kind = tuple[str, int, int | None, str | None, str | None, str | None]

_log = logging.getLogger(__name__)


class Metrics:
    """
    All metrics of one process. Safe to use from many threads.

    Args:
        slots: in which the workers publish their counters; this process continues from those in its own slot. None for
            a single process.
    """

    def __init__(self, slots: Slots | None = None) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._requests_done: Counter[_Kind] = Counter()
        self._took_s: dict[str, list[float]] = defaultdict(list)
        # Bounded, because the periodic thread may be blocked by a stuck reader of the log.
        self._calls: deque[tuple[str, tuple[str, str], float]] = deque(maxlen=MAX_UNCOUNTED)
        self._lookups: deque[str] = deque(maxlen=MAX_UNCOUNTED)
        self._has_warned = False
        self._own = Snapshot({}, {("vendor_unavailable",): 0.0})
        if slots is not None and slots.own is not None:
            self._own.counted = Snapshot.read(slots.published(slots.own)).counted
        self._left = _HALF - sum(_cost(series, len(figures)) for series, figures in self._own.counted.items())
        self._share()

    def call(self, whom: str, operation: str, outcome: str, took_s: float) -> None:
        """Count a call to the "store", the "vendor" or the app ("login"): its outcome and its time in seconds."""
        self._calls.append((whom, (operation, outcome), took_s))

    def media(self, found: str) -> None:
        """Count a look-up of a media_id: "cached", "joined" to a request under way, or "requested"."""
        self._lookups.append(found)

    def gauges(
        self,
        *,
        version: str,
        checks: Mapping[str, str],
        budget_left: Mapping[str, int],
        offsets_ms: Mapping[str, int],
        fingerprints: frozenset[tuple[str, str]],
    ) -> None:
        """
        Set every gauge.

        Args:
            checks: of `/readyz`.
            budget_left: calls to the vendor, by appkey.
            offsets_ms: this clock less another, milliseconds, by the name of the other.
            fingerprints: appkey and fingerprint of each masterSecret that signs now.
        """
        gauges: dict[Series, float] = {
            ("build_info", version): 1,
            **{("ready", name): float(word == "ok") for name, word in checks.items()},
            ("vendor_unavailable",): float(checks["vendor"] != "ok"),
            **{("vendor_budget_left", appkey): left for appkey, left in budget_left.items()},
            **{("clock_offset_seconds", name): offset_ms / 1000 for name, offset_ms in offsets_ms.items()},
            **{("master_secret_workers", *signing): 1 for signing in fingerprints},
        }
        left, fitting = _HALF, {}
        for series, value in gauges.items():
            left -= _cost(series, 1)
            if self._has_room(left):
                fitting[series] = value
        with self._lock:
            self._own.gauges, self._own.gauged_s = fitting, time.monotonic()
            self._share()

    def requests(self, done: Iterable[Finished]) -> None:
        """Count answered requests. Call it from the thread that publishes."""
        counts, took_s = self._requests_done, self._took_s
        # By position: each access by name is a function call.
        for _, route, status, _, one_s, _, _, code, refusal, action, appkey, _, _ in done:
            # A refused request may have any appkey.
            kind = (
                (route, status, code, refusal, None, None) if refusal else (route, status, code, None, action, appkey)
            )
            counts[kind] += 1
            took_s[route].append(one_s)

    def publish(self) -> None:
        """Count all since the last call, and publish it for the other workers. Call it from one thread."""
        requests, self._requests_done = self._requests_done, Counter()
        took_s, self._took_s = self._took_s, defaultdict(list)
        calls, lookups = list(_taken(self._calls)), Counter(_taken(self._lookups))
        if not (requests or calls or lookups):
            return
        with self._lock:
            self._count_requests(requests)
            for route, each_s in took_s.items():
                self._observe(("request_duration_seconds", route), each_s)
            for whom, (operation, outcome), took in calls:
                self._add((f"{whom}_calls_total", operation, outcome), 1)
                self._observe((f"{whom}_call_duration_seconds", operation), [took])
            for found, number in lookups.items():
                self._add(("media_lookups_total", found), number)
            self._share()

    def text(self) -> bytes:
        """Return the figures of all workers, in Prometheus's text form."""
        with self._lock:
            own = Snapshot.read(self._own.written())
        from authsvc.telemetry import exposition  # here, because commands that do not serve do not need it

        return exposition.text([own, *self._others()])

    def _count_requests(self, requests: Mapping[_Kind, int]) -> None:
        for (route, status, code, refusal, action, appkey), number in requests.items():
            shown = "" if code is None else str(code)
            self._add(("requests_total", route, str(status), shown), number)
            if refusal is not None:
                self._add(("refusals_total", route, refusal, shown), number)
            elif appkey is not None:
                self._add((f"payloads_{'issued' if action == 'issued' else 'verified'}_total", appkey), number)

    def _add(self, series: Series, number: float) -> None:
        figures = self._figures(series, 1)
        if figures is not None:
            figures[0] += number

    def _observe(self, series: Series, took_s: list[float]) -> None:
        figures = self._figures(series, len(BUCKETS_S) + 2)
        if figures is not None:
            for one_s in took_s:
                figures[bisect_left(BUCKETS_S, one_s)] += 1
            figures[-1] += sum(took_s)

    def _figures(self, series: Series, number: int) -> list[float] | None:
        """Return the figures of this series; None if there is no room for one more."""
        figures = self._own.counted.get(series)
        if figures is None and self._has_room(left := self._left - _cost(series, number)):
            self._left = left
            figures = self._own.counted[series] = [0.0] * number
        return figures

    def _has_room(self, left: int) -> bool:
        if left >= 0:
            return True
        if not self._has_warned:
            self._has_warned = True
            _log.error("the memory for metrics is full: new series are not counted")
        return False

    def _share(self) -> None:
        if self._slots is not None:
            self._slots.publish(self._own.written())

    def _others(self) -> Iterator[Snapshot]:
        if self._slots is None:
            return
        living = {worker.number for worker in self._slots.living()}
        for number in range(self._slots.number):
            if number != self._slots.own:
                snapshot = Snapshot.read(self._slots.published(number))
                if number not in living:
                    snapshot.gauges.clear()
                yield snapshot


def _cost(series: Series, numbers: int) -> int:
    """Return the bytes that a series may take in a slot."""
    return sum(len(part.encode()) + 3 for part in series) + numbers * _NUMBER + 6


def _taken(queue: deque[_Counted]) -> Iterator[_Counted]:
    for _ in range(len(queue)):
        yield queue.popleft()
