"""Tracing: what a collector gets, what the vendor gets, and what is left when it is off."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from authsvc.errors import SettingsError
from authsvc.telemetry import tracing
from tests.conftest import bearer_of
from tests.support.running import Service, wait_until

TRACE_ID, PARENT_ID = "ab" * 16, "cd" * 8
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (TRACEPARENT, TRACE_ID),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-what-comes-later", TRACE_ID),
        (None, None),
        ("", None),
        (f"ff-{TRACE_ID}-{PARENT_ID}-01", None),
        (f"00-{'0' * 32}-{PARENT_ID}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-{PARENT_ID}-01", None),
        (f"00-{TRACE_ID}-{PARENT_ID}", None),
        (f"{TRACEPARENT}\n", None),
    ],
)
def test_trace_id(header: str | None, trace_id: str | None) -> None:
    """It is read from a well-formed W3C traceparent, and from nothing else."""
    assert tracing.trace_id(header) == trace_id


@pytest.mark.parametrize(
    ("variables", "is_on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "True", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_opt_in(variables: dict[str, str], is_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 -- a case's own
    """Only the standard variables turn it on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")  # nobody takes the spans here
    tracing.check(variables)
    assert tracing.is_enabled(variables) == is_on
    trace = tracing.create(variables)
    assert bool(trace.headers()) is False
    span = trace.begin("GET", None)
    assert bool(span.trace_id) == is_on
    assert bool(trace.headers()) == is_on
    span.end(route="/healthz", status=500)
    trace.close()


def test_an_exporter_that_is_not_known() -> None:
    """It is named, with those that are."""
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER: must be otlp, console or none"):
        tracing.create({"OTEL_TRACES_EXPORTER": "jaeger"})


def test_the_extra_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the way to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"OpenTelemetry: is not installed; .* pip install '\.\[otel\]'"):
        tracing.check({"OTEL_TRACES_EXPORTER": "otlp"})


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does, and answers media_ids as the vendor does."""

    spans: list[Any] = field(default_factory=list)
    vendor_headers: list[str | None] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One on loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for of_scope in of_resource.scope_spans:
                    collector.spans += [(of_resource.resource, span) for span in of_scope.spans]
            self.answer(b"")

        def do_GET(self) -> None:
            collector.vendor_headers.append(self.headers["traceparent"])
            self.answer(b'{"url": "http://dl.im.jiguang.cn/a"}')

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield collector
        server.shutdown()


def test_spans_are_sent_and_the_vendor_gets_the_trace(service: Service, collector: Collector) -> None:
    """Made after the fork, one span a request in the caller's trace; the vendor's call carries it on, over a thread."""
    service.variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_SERVICE_NAME": "made-up-name",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "AUTHSVC_VENDOR_URL": f"http://127.0.0.1:{collector.port}",
    }
    service.start("--workers", "1")
    headers = bearer_of("ming") | {"traceparent": TRACEPARENT}
    assert service.ask("GET", "/v1/resource?media_id=a", headers=headers).status == 200
    wait_until(lambda: any(span.name == "GET /v1/resource" for _, span in collector.spans))
    resource, span = next(pair for pair in collector.spans if pair[1].name == "GET /v1/resource")
    assert any(each.value.string_value == "made-up-name" for each in resource.attributes)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    attributes = {each.key: each.value for each in span.attributes}
    assert attributes["http.route"].string_value == "/v1/resource"
    assert attributes["http.response.status_code"].int_value == 200
    assert collector.vendor_headers == [f"00-{TRACE_ID}-{span.span_id.hex()}-01"]
    wait_until(lambda: f'"trace_id":"{TRACE_ID}"' in service.log())


def test_settings_of_tracing_are_checked_before_the_start(service: Service) -> None:
    """One line, and exit code 2."""
    service.variables["OTEL_TRACES_EXPORTER"] = "jaeger"
    assert service.launch("--bind", f"127.0.0.1:{service.port}").wait(60) == 2
    assert "OTEL_TRACES_EXPORTER" in service.log()
