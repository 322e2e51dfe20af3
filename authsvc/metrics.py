"""
What is counted and measured, for Prometheus; never by user. The names are in `Metrics`.

Calls pay for an append to a list, requests are told in the background; `publish` hands both to `prometheus_client`.
Each worker has files of its own in `PROMETHEUS_MULTIPROC_DIR`, if that is set before the first `Metrics` is made; then
any of them tells the figures of all. The only module that imports `prometheus_client`; of the project it imports
`logs`, for what a finished request is.
"""

import fcntl
import math
import os
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from authsvc.logs import Finished

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

MAX_UNCOUNTED = 65_536  # of calls and of look-ups, some 10 MB each

_Counted = TypeVar("_Counted")
# Route, status, code and name of the refusal, what was done to a payload and of which app.
_Kind = tuple[str, int, int | None, str | None, str | None, str | None]
_Labels = TypeVar("_Labels", bound=tuple[str, ...])


def preload() -> None:
    """Import what `Metrics` needs, so that workers forked later share it. Set the folder's variable before."""
    import prometheus_client  # noqa: F401 -- to have it; and here, because it looks for the folder when it is imported


class Metrics:
    """
    All metrics of one process. Safe to use from many threads.

    A gauge with `mode` "livesum" adds up over the workers that live, "livemax" is the highest of theirs, "livemin" the
    lowest, "livemostrecent" the one that was set last.
    """

    def __init__(self) -> None:
        import prometheus_client as prometheus  # here, as in `preload`

        self._prometheus = prometheus
        self._registry = prometheus.CollectorRegistry()
        self._requests_done: Counter[_Kind] = Counter()
        self._took_s: dict[str, list[float]] = defaultdict(list)
        # Bounded, because nobody may take from them for a while: the log's reader is stuck, or the folder is gone.
        self._calls: deque[tuple[Any, tuple[str, str], float]] = deque(maxlen=MAX_UNCOUNTED)
        self._lookups: deque[str] = deque(maxlen=MAX_UNCOUNTED)
        self._fingerprints: frozenset[tuple[str, str]] = frozenset()

        def counter(name: str, words: str, *labels: str) -> Any:
            return prometheus.Counter(f"authsvc_{name}", words, labels, registry=self._registry)

        def histogram(name: str, words: str, *labels: str) -> Any:
            return prometheus.Histogram(f"authsvc_{name}", words, labels, buckets=BUCKETS_S, registry=self._registry)

        def gauge(name: str, words: str, *labels: str, mode: str) -> Any:
            return prometheus.Gauge(
                f"authsvc_{name}",
                words,
                labels,
                registry=self._registry,
                multiprocess_mode=mode,  # type: ignore[arg-type] # one of its words
            )

        self._requests = counter("requests_total", "Requests answered.", "route", "status", "code")
        self._durations = histogram("request_duration_seconds", "Time to the answer.", "route")
        self._issued = counter("payloads_issued_total", "Payloads signed.", "appkey")
        self._verified = counter("payloads_verified_total", "Payloads accepted.", "appkey")
        self._refusals = counter("refusals_total", "Refusals: by name, with its code.", "route", "refusal", "code")
        self.store = (
            counter("store_calls_total", "Calls to the store.", "operation", "outcome"),
            histogram("store_call_duration_seconds", "Time of a call to the store.", "operation"),
        )
        self.vendor = (
            counter("vendor_calls_total", "Calls to the vendor's REST API.", "operation", "outcome"),
            histogram("vendor_call_duration_seconds", "Time of a call to the vendor.", "operation"),
        )
        self._media = counter(
            "media_lookups_total", "Where a media URL came from: memory, a flight under way, or asked.", "found"
        )
        with _locked():  # it has no labels, so its file is made now
            self._away = gauge("vendor_away", "1 while the circuit breaker is open.", mode="livemax")
        self._budget = gauge("vendor_budget_left", "Calls left in this window.", "appkey", mode="livemin")
        self._ready = gauge("ready", "1 if the check of /readyz is ok.", "check", mode="livemin")
        self._offset = gauge("clock_offset_seconds", "This clock against another.", "against", mode="livemostrecent")
        self._secret = gauge(
            "master_secret_workers", "Workers that sign with this secret.", "appkey", "fingerprint", mode="livesum"
        )
        self._build = gauge("build_info", "1, with the version.", "version", mode="livemax")

    def call(self, metric: tuple[Any, Any], operation: str, outcome: str, took_s: float) -> None:
        """Count a call to `self.store` or `self.vendor`: how it ended, and after how many seconds."""
        self._calls.append((metric, (operation, outcome), took_s))

    def media(self, found: str) -> None:
        """Count a look-up of a media_id: "remembered", "joined" a flight under way, or "asked"."""
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
            offsets_ms: this clock less another, milliseconds, by whose the other is.
            fingerprints: appkey and fingerprint of each masterSecret that signs now.
        """
        with _locked():
            self._build.labels(version).set(1)
            for name, word in checks.items():
                self._ready.labels(name).set(word == "ok")
            self._away.set(checks["vendor"] != "ok")
            for appkey, left in budget_left.items():
                self._budget.labels(appkey).set(left)
            for whose, offset_ms in offsets_ms.items():
                self._offset.labels(whose).set(offset_ms / 1000)
            for retired in self._fingerprints - fingerprints:
                self._secret.labels(*retired).set(0)
            for current in fingerprints:
                self._secret.labels(*current).set(1)
            self._fingerprints = fingerprints

    def request(self, done: Finished) -> None:
        """Count a request that has been answered. Call it from the thread that publishes."""
        # The appkey of what is refused may be anybody's.
        action, appkey = (None, None) if done.refusal else (done.action, done.appkey)
        self._requests_done[done.route, done.status, done.code, done.refusal, action, appkey] += 1
        self._took_s[done.route].append(done.took_s)

    def publish(self) -> None:
        """Hand over what has been counted since the last time. Call it from one thread."""
        requests, self._requests_done = self._requests_done, Counter()
        took_s, self._took_s = self._took_s, defaultdict(list)
        with _locked():
            self._publish_requests(requests)
            for route, each_s in took_s.items():
                _observe(self._durations.labels(route), each_s)
            self._publish_calls()

    def _publish_requests(self, requests: Mapping[_Kind, int]) -> None:
        for (route, status, code, refusal, action, appkey), number in requests.items():
            shown = "" if code is None else str(code)
            self._requests.labels(route, str(status), shown).inc(number)
            if refusal is not None:
                self._refusals.labels(route, refusal, shown).inc(number)
            elif appkey is not None:
                (self._issued if action == "issued" else self._verified).labels(appkey).inc(number)

    def _publish_calls(self) -> None:
        calls: dict[Any, Counter[tuple[str, str]]] = defaultdict(Counter)
        times: dict[tuple[Any, str], list[float]] = defaultdict(list)
        for (counter, histogram), (operation, outcome), took in _taken(self._calls):
            calls[counter][operation, outcome] += 1
            times[histogram, operation].append(took)
        for counter, numbers in calls.items():
            _add(counter, numbers)
        for (histogram, operation), took_s in times.items():
            _observe(histogram.labels(operation), took_s)
        _add(self._media, {(found,): number for found, number in Counter(_taken(self._lookups)).items()})

    def text(self) -> bytes:
        """Return the figures of all workers, in Prometheus's text form."""
        with _locked() as folder:
            if folder is None:
                return self._prometheus.generate_latest(self._registry)
            from prometheus_client.multiprocess import MultiProcessCollector

            _tidy(folder)
            registry = self._prometheus.CollectorRegistry()
            MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call] # prometheus_client's own
            return self._prometheus.generate_latest(registry)


def tidy() -> None:
    """
    Put the files of workers that have ended together, or a service that runs for years would fill the disk.

    What they counted stays counted; their gauges are gone.
    """
    with _locked() as folder:
        if folder is not None:
            _tidy(folder)


def _tidy(folder: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    for path in folder.glob("*_[0-9]*.db"):
        kind, _, pid = path.stem.rpartition("_")
        if _lives(int(pid)):
            continue
        if not kind.startswith("gauge") and path.stat().st_size:  # one that was killed may have just made it
            kept = MmapedDict(str(folder / f"{kind}_ended.db"))  # type: ignore[no-untyped-call] # the same
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                kept.write_value(key, kept.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
            kept.close()  # type: ignore[no-untyped-call]
        path.unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


@contextmanager
def _locked() -> Iterator[Path | None]:
    """Hold the folder, if any: nobody may read a file that is half made, or one and the sum that it has gone into."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(folder)
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # closed alone, it stays locked for a child that was forked meanwhile
        os.close(handle)


def _taken(queue: deque[_Counted]) -> Iterator[_Counted]:
    for _ in range(len(queue)):
        yield queue.popleft()


def _add(counter: Any, numbers: Mapping[_Labels, int]) -> None:
    for labels, number in numbers.items():
        counter.labels(*labels).inc(number)


def _observe(histogram: Any, took_s: list[float]) -> None:
    """Do what `observe` does, for many at once: it would take several microseconds for each."""
    in_order, told = sorted(took_s), 0
    for bucket, upper_s in zip(histogram._buckets, (*BUCKETS_S, math.inf), strict=True):
        within = bisect_right(in_order, upper_s)
        if within > told:
            bucket.inc(within - told)
        told = within
    histogram._sum.inc(sum(took_s))
