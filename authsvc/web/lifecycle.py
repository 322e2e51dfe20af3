"""
What every request and every answer has in common, whichever door it takes.

That is: headers, CORS, what is left of the rate limit, the span and the record for the log. Imports `cors`,
`access_log`, `tracing` and `request`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from authsvc.telemetry.access_log import Finished
from authsvc.telemetry.tracing import Tracing
from authsvc.web import cors
from authsvc.web.request import Request


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What requests begin with and what answers end with; `record` takes what the log and the metrics are made of."""

    allowed_origins: frozenset[str]
    allowed_headers: tuple[str, ...]
    record: Callable[[Finished], None]
    tracing: Tracing
    now_ms: Callable[[], int]

    def finish(
        self, request: Request, headers: list[tuple[str, str]], *, route: str, status: int, cache_control: str
    ) -> None:
        """Add to an answer's own headers those that all answers have, then end the span and record the request."""
        quota = request.quota
        if quota is not None:  # IETF draft-ietf-httpapi-ratelimit-headers-11
            rate = quota.rate
            headers += (
                ("RateLimit-Policy", f'"user";q={rate.limit};w={rate.window_ms // 1000}'),
                ("RateLimit", f'"user";r={quota.remaining};t={quota.reset_s}'),
            )
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
        # An allowed origin takes the place of the `*` that some answers have.
        headers[:] = [*(pair for pair in headers if pair[0] not in added), *added.items()]
