"""The rate-limit headers, in the form of the draft."""

from authsvc.ratelimit.headers import rate_limit_headers
from authsvc.ratelimit.limiter import Quota
from authsvc.ratelimit.rate import Rate


def test_the_headers_of_a_quota() -> None:
    """The window is in seconds, like the time until its end."""
    assert dict(rate_limit_headers(Quota(Rate.parse("60/minute"), 59, 42))) == {
        "RateLimit-Policy": '"user";q=60;w=60',
        "RateLimit": '"user";r=59;t=42',
    }
