"""Spans: each is what a tracer of the SDK would make of the request, and the standard variables are heeded."""

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from authsvc.telemetry.spans import Spans

TRACE_ID, PARENT_ID = "ab" * 16, "cd" * 8
SAMPLED, UNSAMPLED = (f"00-{TRACE_ID}-{PARENT_ID}-{flags}" for flags in ("01", "00"))


class Traced:
    """The spans of requests, and those that have been exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.spans = Spans(self._exporter)
        self.headers: list[dict[str, str]] = []

    def request(self, *, status: int = 200, traceparent: str | None = None) -> str:
        """Answer a request, which asks the vendor once, and return its trace id."""
        begun = self.spans.begin("POST", traceparent)
        self.headers.append(self.spans.headers())
        begun.end(route="/v1/auth-payload", status=status)
        assert not get_current_span().get_span_context().is_valid
        return begun.trace_id

    def exported(self) -> tuple[ReadableSpan, ...]:
        """Return what was exported once it is closed."""
        self.spans.close()
        return self._exporter.get_finished_spans()


def by_tracer(*, status: int, traceparent: str | None) -> ReadableSpan:
    """Return the same span, made with a tracer of the SDK."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent} if traceparent else {})
    tracer = provider.get_tracer("authsvc")
    span = tracer.start_span("POST", parent, SpanKind.SERVER, {"http.request.method": "POST"})
    span.update_name("POST /v1/auth-payload")
    span.set_attributes({"http.route": "/v1/auth-payload", "http.response.status_code": status})
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    span.end()
    provider.shutdown()
    return exporter.get_finished_spans()[0]


def shown(span: ReadableSpan) -> dict[str, Any]:
    """Return all facts of a span except its own ids and times."""
    members: dict[str, Any] = json.loads(span.to_json())
    assert span.context is not None
    assert members.pop("start_time") <= members.pop("end_time")
    members.pop("context")
    scope = span.instrumentation_scope
    assert scope is not None
    return members | {
        "scope": (scope.name, scope.version, scope.schema_url),
        "flags": int(span.context.trace_flags),
        "state": span.context.trace_state.to_header(),
        "dropped": span.dropped_attributes,
    }


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("traceparent", [None, SAMPLED, f"{SAMPLED[:-2]}03", f"{SAMPLED}-more", "nonsense"])
@pytest.mark.parametrize("most", ["128", "2"])
def test_a_span_is_what_a_tracer_makes(
    status: int, traceparent: str | None, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, kind, parent, attributes with their limits, status, resource and scope are the same."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", most)
    traced = Traced()
    trace_id = traced.request(status=status, traceparent=traceparent)
    (span,) = traced.exported()
    assert shown(span) == shown(by_tracer(status=status, traceparent=traceparent))
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == trace_id
    assert traced.headers == [
        {"traceparent": f"00-{trace_id}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"}
    ]


@pytest.mark.parametrize(
    ("sampler", "traceparent", "is_sampled"),
    [
        ("always_on", UNSAMPLED, True),
        ("always_off", SAMPLED, False),
        ("parentbased_always_on", UNSAMPLED, False),
        ("parentbased_always_off", SAMPLED, True),
        ("parentbased_always_off", None, False),
        ("traceidratio", None, False),
    ],
)
def test_the_sampler_decides(
    sampler: str,
    traceparent: str | None,
    is_sampled: bool,  # noqa: FBT001 -- a case's own
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that is not sampled is not exported; it has a trace id, and the vendor learns the decision."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    traced = Traced()
    trace_id = traced.request(traceparent=traceparent)
    (headers,) = traced.headers
    assert trace_id == TRACE_ID or traceparent is None
    assert headers["traceparent"].startswith(f"00-{trace_id}-")
    assert int(headers["traceparent"][-2:], 16) & 1 == is_sampled
    assert len(traced.exported()) == is_sampled


def test_no_two_spans_have_the_same_ids() -> None:
    """Roots have a trace of their own, and children share their parent's."""
    traced = Traced()
    roots = {traced.request() for _ in range(50)}
    for _ in range(50):
        traced.request(traceparent=SAMPLED)
    contexts = [span.get_span_context() for span in traced.exported()]
    assert len(roots) == 50
    assert len({context.span_id for context in contexts if context is not None}) == 100
