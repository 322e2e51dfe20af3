"""The encoding of spans: the same as the SDK's, whatever the spans, and the SDK's exporter sends it."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from authsvc.telemetry.span_encoding import OTLPSpanExporter, Shape, ShapedSpan, encode

RESOURCE, SCOPE = Resource({"service.name": "made-up"}), InstrumentationScope("authsvc", "")
SHAPES = [
    Shape("POST /a", {"http.route": "/a", "http.response.status_code": 200}, Status(StatusCode.UNSET)),
    Shape("GET /b", {"http.route": "/b", "http.response.status_code": 503}, Status(StatusCode.ERROR)),
]


def context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))


def remote(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))


def shaped(shape: Shape, own: SpanContext, parent: SpanContext | None, start_ns: int, took_ns: int) -> ShapedSpan:
    span = ShapedSpan(
        name=shape.name,
        context=own,
        parent=parent,
        resource=RESOURCE,
        attributes=shape.attributes,
        kind=SpanKind.SERVER,
        status=shape.status,
        start_time=start_ns,
        end_time=start_ns + took_ns,
        instrumentation_scope=SCOPE,
    )
    span.shape = shape
    return span


TRACE_IDS, SPAN_IDS = st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1)
PARENTS = st.none() | st.builds(remote, TRACE_IDS, SPAN_IDS)
TIMES = st.integers(0, 2**62)
SPANS = st.builds(shaped, st.sampled_from(SHAPES), st.builds(context, TRACE_IDS, SPAN_IDS), PARENTS, TIMES, TIMES)


@given(st.lists(SPANS, max_size=8))
def test_it_is_the_same_as_the_sdks(spans: list[ShapedSpan]) -> None:
    """Each span, with or without a parent, whichever of its shape was encoded first; their order too."""
    assert encode(spans) == encode_spans(spans)


def test_spans_of_others_are_encoded_by_the_sdk() -> None:
    """An app that authsvc is part of may have an exporter of its own."""
    ours = shaped(SHAPES[0], context(1, 1), None, 1, 1)
    others = ReadableSpan(
        "theirs", context(1, 2), resource=RESOURCE, attributes={"a": "b"}, instrumentation_scope=SCOPE
    )
    for spans in ([others], [others, ours], [ours, others]):
        assert encode(spans) == encode_spans(spans)


def test_the_exporter_of_the_sdk_sends_it() -> None:
    """Fails if a new version of opentelemetry-exporter-otlp-proto-http looks `encode_spans` up in another place."""
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    shape = Shape("POST /a", {"http.route": "/a"}, Status(StatusCode.UNSET))
    spans = [shaped(shape, context(7, number), None, 1, 1) for number in (1, 2)]
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces", timeout=60)
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        exporter.shutdown()  # type: ignore[no-untyped-call] # it has no types
        server.shutdown()
    assert shape.encoded.keys() == {False}
    assert ExportTraceServiceRequest.FromString(received[0]) == encode_spans(spans)
