"""
OpenTelemetry tracing, an opt-in: the extra `otel`, and the standard `OTEL_*` variables that name where spans go.

One span for each request, child of the caller's by W3C `traceparent`, and the vendor is told of it in the same way.
Without the extra, or without a place to send spans to, a request's trace id is still read for the log. The only module
that imports `opentelemetry`; imports only `errors`.
"""

import importlib.util
import re
from collections.abc import Mapping
from typing import Any, Protocol

from authsvc.errors import ExtraMissing, SettingsError

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span(Protocol):
    """What is under way."""

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to, 32 hexadecimal characters, if any."""

    def end(self, *, route: str, status: int) -> None:
        """The request has been answered."""


class Tracing(Protocol):
    """Begins spans, and passes the current one on."""

    def begin(self, method: str, traceparent: str | None) -> Span:
        """Begin the span of a request, in this thread."""

    def headers(self) -> dict[str, str]:
        """Return what a request to somebody else has to carry to be part of the same trace."""

    def close(self) -> None:
        """Send what has not been sent."""


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of a W3C traceparent; None if there is none, or the header is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match else None


def is_asked_for(variables: Mapping[str, str]) -> bool:
    """Return whether the standard variables say that spans are to be sent somewhere."""
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or any(variables.get(name) for name in _ENDPOINTS))


def check(variables: Mapping[str, str]) -> None:
    """Raise SettingsError if tracing is asked for and cannot be had."""
    if not is_asked_for(variables):
        return
    if variables.get("OTEL_TRACES_EXPORTER", "otlp") not in _EXPORTERS:
        raise SettingsError(["OTEL_TRACES_EXPORTER: must be otlp, console or none"])
    if importlib.util.find_spec("opentelemetry") is None:
        raise ExtraMissing("OTEL_TRACES_EXPORTER: OpenTelemetry", "otel")


def create(variables: Mapping[str, str]) -> Tracing:
    """
    Return the tracing that the variables ask for. Call it after the fork: it starts a thread.

    Raises:
        SettingsError: as `check`.
    """
    check(variables)
    return _On(_EXPORTERS[variables.get("OTEL_TRACES_EXPORTER", "otlp")]()) if is_asked_for(variables) else _Off()


class _NoSpan:
    def __init__(self, trace_id: str | None) -> None:
        self.trace_id = trace_id

    def end(self, *, route: str, status: int) -> None:
        """Nothing was begun."""


class _Off:
    def begin(self, _method: str, traceparent: str | None) -> Span:
        return _NoSpan(trace_id(traceparent))

    def headers(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Nothing is kept."""


class _On:
    def __init__(self, exporter: Any) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # Resource, sampler, limits and endpoint are read from OTEL_* by the SDK itself.
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("authsvc")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, traceparent: str | None) -> Span:
        from opentelemetry import context, trace

        parent = self._propagator.extract({"traceparent": traceparent} if traceparent else {})
        span = self._tracer.start_span(
            method, context=parent, kind=trace.SpanKind.SERVER, attributes={"http.request.method": method}
        )
        return _Begun(span, method, context.attach(trace.set_span_in_context(span)))

    def headers(self) -> dict[str, str]:
        carried: dict[str, str] = {}
        self._propagator.inject(carried)
        return carried

    def close(self) -> None:
        self._provider.shutdown()


class _Begun:
    def __init__(self, span: Any, method: str, token: Any) -> None:
        self._span = span
        self._method = method
        self._token = token

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, *, route: str, status: int) -> None:
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        context.detach(self._token)
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _otlp() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _console() -> Any:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ConsoleSpanExporter()


_EXPORTERS = {"otlp": _otlp, "console": _console}
