"""
OpenTelemetry tracing, an opt-in: the extra `otel`, and the standard `OTEL_*` variables with the endpoint.

One span for each request, a child of the client's by W3C `traceparent`, which calls to the vendor carry too. Without
the extra or an endpoint, a request's trace id is still read for the log. Imports
`errors`, and `spans` when tracing is on.
"""

import importlib.util
import re
from collections.abc import Mapping
from typing import Protocol

from authsvc.errors import ExtraMissing, SettingsError

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span(Protocol):
    """The span of a request."""

    @property
    def trace_id(self) -> str | None:
        """The id of its trace, 32 hexadecimal characters, if any."""

    def end(self, *, route: str, status: int) -> None:
        """End it with the answer to the request."""


class Tracing(Protocol):
    """Starts spans, and returns the headers of the current one."""

    def begin(self, method: str, traceparent: str | None) -> Span:
        """Start the span of a request, in this thread."""

    def headers(self) -> dict[str, str]:
        """Return the headers by which a request to another service becomes part of the trace."""

    def close(self) -> None:
        """Send the remaining spans."""


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace id of a W3C traceparent; None if the header is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match else None


def is_enabled(variables: Mapping[str, str]) -> bool:
    """Return whether the standard variables turn tracing on."""
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or any(variables.get(name) for name in _ENDPOINTS))


def check(variables: Mapping[str, str]) -> None:
    """Raise SettingsError if tracing is turned on and cannot work."""
    if not is_enabled(variables):
        return
    if variables.get("OTEL_TRACES_EXPORTER", "otlp") not in ("otlp", "console"):
        raise SettingsError(["OTEL_TRACES_EXPORTER: must be otlp, console or none"])
    if importlib.util.find_spec("opentelemetry") is None:
        raise ExtraMissing("OTEL_TRACES_EXPORTER: OpenTelemetry", "otel")


def create(variables: Mapping[str, str]) -> Tracing:
    """
    Return the tracing that the variables configure. Call it after the fork: it starts a thread.

    Raises:
        SettingsError: as `check`.
    """
    check(variables)
    if not is_enabled(variables):
        return _Off()
    from authsvc.telemetry.spans import EXPORTERS, Spans  # here, because the extra is installed only where it is used

    return Spans(EXPORTERS[variables.get("OTEL_TRACES_EXPORTER", "otlp")]())


class _NoSpan:
    def __init__(self, trace_id: str | None) -> None:
        self.trace_id = trace_id

    def end(self, *, route: str, status: int) -> None:
        """There is no span."""


_NO_TRACE = _NoSpan(None)


class _Off:
    def begin(self, _method: str, traceparent: str | None) -> Span:
        return _NoSpan(trace_id(traceparent)) if traceparent else _NO_TRACE

    def headers(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """There are no spans."""
