"""
The exposition of the metrics of all workers, in Prometheus's text form. The only module that imports
`prometheus_client`; of the project it imports `figures`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from authsvc.telemetry.figures import BUCKETS_S, FAMILIES, Figures, Series, Snapshot

_UPPER_S = (*map(str, BUCKETS_S), "+Inf")


def text(workers: Iterable[Snapshot]) -> bytes:
    """Return the sums of these workers' counters, and the gauges of all."""
    registry = CollectorRegistry()
    registry.register(_Merged(workers))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, workers: Iterable[Snapshot]) -> None:
        self._counted: Figures = {}
        self._gauges: dict[Series, list[float]] = defaultdict(list)
        for worker in sorted(workers, key=lambda worker: worker.gauged_s):
            for series, figures in worker.counted.items():
                sums = self._counted.get(series, [0.0] * len(figures))
                self._counted[series] = [one + other for one, other in zip(sums, figures, strict=True)]
            for series, value in worker.gauges.items():
                self._gauges[series].append(value)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, also those without a value."""
        for name, (kind, words, labels, of_workers) in FAMILIES.items():
            full_name = f"authsvc_{name}"
            if kind == "counter":
                counter = CounterMetricFamily(full_name, words, labels=labels)
                for values, (number,) in _of(name, self._counted):
                    counter.add_metric(values, number)
                yield counter
            elif kind == "histogram":
                histogram = HistogramMetricFamily(full_name, words, labels=labels)
                for values, (*numbers, sum_s) in _of(name, self._counted):
                    histogram.add_metric(values, list(zip(_UPPER_S, accumulate(numbers), strict=True)), sum_s)
                yield histogram
            else:
                gauge = GaugeMetricFamily(full_name, words, labels=labels)
                for values, each in _of(name, self._gauges):
                    gauge.add_metric(values, of_workers(each))
                yield gauge


def _of(name: str, figures: Mapping[Series, list[float]]) -> Iterator[tuple[Sequence[str], list[float]]]:
    """Yield the label values and the figures of each series of a metric."""
    for (whose, *values), each in figures.items():
        if whose == name:
            yield values, each
