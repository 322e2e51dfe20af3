"""
Issuing with OpenTelemetry's tracing: off, and with all, a tenth and none of the requests sampled.
"""

from contextlib import ExitStack

from bench import loading, traffic
from bench.bench import MORE_ROUNDS, Bench
from bench.loading import Loaded
from bench.results import Part
from bench.servers import TRACED_PYTHON, Stage
from bench.upstream import Upstream

OURS = "authsvc-granian"
SHARES = {"all": "1", "tenth": "0.1", "none": "0"}
TITLES = {
    "off": "tracing off",
    "all": "every request sampled",
    "tenth": "one in ten sampled",
    "none": "none sampled",
}


def of_each_share(bench: Bench) -> Part:
    """A server for each, all side by side; the spans go to a collector on the cores of the load."""
    with bench.stage() as folder, ExitStack() as stack:
        asked = traffic.issue(folder)
        collectors: dict[str, Upstream] = {}
        processes = {}
        for name in TITLES:
            own = folder / name
            own.mkdir()
            variables: dict[str, str] = {}
            if name in SHARES:
                collectors[name] = stack.enter_context(Upstream())
                variables = {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": collectors[name].url,
                    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": SHARES[name],
                }
            stage = Stage(own, variables=variables, python=TRACED_PYTHON)
            processes[name] = bench.started(stack, OURS, stage)
        runs = loading.alternate(
            {name: Loaded(process, lambda: asked) for name, process in processes.items()},
            rounds=MORE_ROUNDS * bench.scale.rounds,
            seconds=bench.scale.seconds,
            load_cores=Stage(folder).load_cores,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )
        for process in processes.values():
            process.stop()  # which sends the last spans
        spans = {name: float(collector.spans) for name, collector in collectors.items()}
    rows = []
    for name, title in TITLES.items():
        row = loading.row(name, title, runs[name])
        if name in spans:
            row.numbers["spans_share"] = spans[name] / sum(run.requests for run in runs[name])
        rows.append(row)
    return Part(
        "tracing",
        "Tracing",
        "Issuing on granian, two workers on one core, each row a server of its own. “Spans” is how many the collector "
        "got for each request that was measured; those of the warming up are among them.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "spans_share"],
        rows,
    )
