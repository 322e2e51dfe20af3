"""
The end of each answer, for both doors: it adds the common headers, ends the span and records the request.

Imports `cors`, `headers`, `access_log`, `tracing` and `request`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from authsvc.ratelimit.headers import rate_limit_headers
from authsvc.telemetry.access_log import Finished
from authsvc.telemetry.tracing import Tracing
from authsvc.web import cors
from authsvc.web.request import Request


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Finishes answers; `record` takes each request for the log and the metrics."""

    allowed_origins: frozenset[str]
    allowed_headers: tuple[str, ...]
    record: Callable[[Finished], None]
    tracing: Tracing
    now_ms: Callable[[], int]

    def finish(self, request: Request, headers: list[tuple[str, str]], *, route: str, status: int) -> None:
        """Add to the headers, end the span and record the request."""
        language, origin = request.answered_in, request.environ.get("HTTP_ORIGIN")
        if request.quota is not None:
            headers += rate_limit_headers(request.quota)
        if language is not None:
            headers.append(("Content-Language", language.tag))
        headers += (
            ("X-Content-Type-Options", "nosniff"),
            ("X-Request-Id", request.request_id),
            ("Vary", "Origin" if language is None else "Origin, Accept-Language"),
        )
        if origin in self.allowed_origins:
            is_preflight = request.method == "OPTIONS"
            cors.add(headers, origin, self.allowed_origins, self.allowed_headers, is_preflight=is_preflight)
        request.span.end(route=route, status=status)
        problem = request.problem
        self.record(
            Finished(
                request.method_name,
                route,
                status,
                request.now_ms,
                time.perf_counter() - request.begun_s,
                request.request_id,
                request.span.trace_id,
                None if problem is None else problem.code,
                None if problem is None else problem.name,
                request.action,
                request.appkey,
                request.user_id,
                request.random_str,
            )
        )
