"""
The CORS headers: what a page of an allowed origin may send and read.

Pure; imports nothing of the project.
"""

from collections.abc import Collection, Iterable

# What a page sends, and what tracing and monitoring in a page add to every request of it. W3C Trace Context and
# Baggage; Sentry; Zipkin; Datadog; New Relic; Elastic; Jaeger; AWS X-Ray; Application Insights; SkyWalking; ARMS.
_REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "X-Request-Id"),
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
    *("b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags"),
    *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-origin"),
    *("newrelic", "elastic-apm-traceparent", "uber-trace-id", "X-Amzn-Trace-Id", "Request-Id", "Request-Context"),
    *("sw8", "sw8-correlation", "EagleEye-TraceID", "EagleEye-SessionID", "EagleEye-pAppName"),
)
_RESPONSE_HEADERS = "X-Request-Id, X-Server-Time-Ms, X-Expires-In-Ms, RateLimit, RateLimit-Policy, Retry-After"
_PREFLIGHT_MAX_AGE_S = 600


def cors_headers(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """Return the headers that let a page of an allowed origin read the answer; none for any other origin."""
    if origin is None or origin == "null" or origin not in allowed:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": _RESPONSE_HEADERS,
    }


def preflight_headers(
    origin: str | None, allowed: Collection[str], methods: str, more_headers: Iterable[str] = ()
) -> dict[str, str]:
    """
    Return the headers that answer a preflight request.

    Args:
        methods: comma-separated, as in Allow.
        more_headers: names of headers that a page may send beside those of tracing.
    """
    headers = cors_headers(origin, allowed)
    if not headers:
        return {}
    return headers | {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": ", ".join((*_REQUEST_HEADERS, *more_headers)),
        "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_S),
    }


def add(
    headers: list[tuple[str, str]], origin: str, allowed: Collection[str], more: Iterable[str], *, is_preflight: bool
) -> None:
    """Add the CORS headers to those of an answer, `more` as of `preflight_headers`."""
    if is_preflight:
        methods = next((value for name, value in headers if name == "Allow"), "")
        added = preflight_headers(origin, allowed, methods, more)
    else:
        added = cors_headers(origin, allowed)
    # An allowed origin replaces the `*` of some answers.
    headers[:] = [*(pair for pair in headers if pair[0] not in added), *added.items()]
