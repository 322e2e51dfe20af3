"""
The spans of requests, by OpenTelemetry's SDK: sampler, resource, limits, batches and endpoint are read from `OTEL_*`.

A request pays for its ids, the sampler's decision and the current context. Its span is one of the SDK's only once it
has ended, built in one step: to build it up through a tracer costs three times as much. The only module that imports
`opentelemetry`, and imported only when tracing is on. Imports `span_encoding` for the exporter over OTLP.
"""

from functools import lru_cache
from time import time_ns

from opentelemetry import context, trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue

from authsvc.telemetry.span_encoding import OTLPSpanExporter, Shape, ShapedSpan

EXPORTERS = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
_RANDOM = 0x02  # that a trace id is drawn at random, as the SDK's are: W3C Trace Context, level 2
_FLAGS = tuple(map(TraceFlags, range(4)))
_NO_PARENT = context.Context()
_SCOPE = InstrumentationScope("authsvc", "")
_propagator = TraceContextTextMapPropagator()


class Spans:
    """Begins spans, passes the current one on, and hands those that have ended to an exporter, many at once."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider()
        self._processor = BatchSpanProcessor(exporter)
        self._provider.add_span_processor(self._processor)
        self._limits = SpanLimits()
        self._shape = lru_cache(maxsize=1_024)(self._shape_of)

    def begin(self, method: str, traceparent: str | None) -> "Begun":
        parent_context = _propagator.extract({"traceparent": traceparent}) if traceparent else _NO_PARENT
        parent = trace.get_current_span(parent_context).get_span_context() if parent_context else None
        ids = self._provider.id_generator
        trace_id = ids.generate_trace_id() if parent is None else parent.trace_id
        known = {"http.request.method": method}
        sampling = self._provider.sampler.should_sample(parent_context, trace_id, method, SpanKind.SERVER, known)
        flags = int(sampling.decision is Decision.RECORD_AND_SAMPLE) | (
            _RANDOM if parent is None else parent.trace_flags & _RANDOM
        )
        own = SpanContext(
            trace_id,
            ids.generate_span_id(),
            is_remote=False,
            trace_flags=_FLAGS[flags],
            trace_state=sampling.trace_state,
        )
        return Begun(self, method, parent, own)

    def headers(self) -> dict[str, str]:
        carried: dict[str, str] = {}
        _propagator.inject(carried)
        return carried

    def close(self) -> None:
        self._provider.shutdown()

    def ended(self, begun: "Begun", route: str, status: int) -> None:
        """Hand a sampled span on."""
        shape = self._shape(begun.method, route, status)
        span = ShapedSpan(
            name=shape.name,
            context=begun.context,
            parent=begun.parent,
            resource=self._provider.resource,
            attributes=shape.attributes,
            kind=SpanKind.SERVER,
            status=shape.status,
            start_time=begun.start_ns,
            end_time=time_ns(),
            instrumentation_scope=_SCOPE,
        )
        span.shape = shape
        self._processor.on_end(span)

    def _shape_of(self, method: str, route: str, status: int) -> Shape:
        facts: dict[str, AnyValue] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        most, longest = self._limits.max_span_attributes, self._limits.max_span_attribute_length
        attributes = BoundedAttributes(most, facts, immutable=True, max_value_len=longest)
        return Shape(f"{method} {route}", attributes, Status(StatusCode.ERROR if status >= 500 else StatusCode.UNSET))


class Begun:
    """The span of a request under way; of the thread that began it until it ends."""

    __slots__ = ("_spans", "_token", "context", "method", "parent", "start_ns", "trace_id")

    def __init__(self, spans: Spans, method: str, parent: SpanContext | None, own: SpanContext) -> None:
        self._spans = spans
        self.method = method
        self.parent = parent
        self.context = own
        self.trace_id = f"{own.trace_id:032x}"
        self._token = context.attach(trace.set_span_in_context(NonRecordingSpan(own)))
        self.start_ns = time_ns()

    def end(self, *, route: str, status: int) -> None:
        context.detach(self._token)
        if self.context.trace_flags.sampled:
            self._spans.ended(self, route, status)
