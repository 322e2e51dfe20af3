"""
The rate-limit headers of an answer (IETF draft-ietf-httpapi-ratelimit-headers-11).

Imports only `limiter`.
"""

from authsvc.ratelimit.limiter import Quota


def rate_limit_headers(quota: Quota) -> tuple[tuple[str, str], ...]:
    """Return the limit of a counted request, and what is left of it."""
    rate, remaining, reset_s = quota
    return (
        ("RateLimit-Policy", f'"user";q={rate.limit};w={rate.window_ms // 1000}'),
        ("RateLimit", f'"user";r={remaining};t={reset_s}'),
    )
