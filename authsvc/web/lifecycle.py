"""
The end of each answer, for both doors.

It adds the common headers: CORS, the rate limit, the request id. It ends the span and records the request. Imports
`cors`, `headers`, `access_log`, `tracing` and `request`.
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

    def finish(
        self, request: Request, headers: list[tuple[str, str]], *, route: str, status: int, cache_control: str
    ) -> None:
        """Add the headers that all answers have, end the span and record the request."""
        if request.quota is not None:
            headers += rate_limit_headers(request.quota)
        language = request.answered_in
        if language is not None:
            headers.append(("Content-Language", language.tag))
        headers += (
            ("Cache-Control", cache_control),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Request-Id", request.request_id),
            ("Vary", "Origin" if language is None else "Origin, Accept-Language"),
        )
        origin = request.environ.get("HTTP_ORIGIN")
        if origin in self.allowed_origins:
            self._add_cors(request, headers, origin)
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

    def _add_cors(self, request: Request, headers: list[tuple[str, str]], origin: str) -> None:
        if request.method == "OPTIONS":
            allow = next((value for name, value in headers if name == "Allow"), "")
            added = cors.preflight_headers(origin, self.allowed_origins, allow, self.allowed_headers)
        else:
            added = cors.cors_headers(origin, self.allowed_origins)
        # An allowed origin replaces the `*` of some answers.
        headers[:] = [*(pair for pair in headers if pair[0] not in added), *added.items()]
