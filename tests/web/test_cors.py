"""Which origins may read answers, and what their pages may send."""

import pytest

from authsvc.web.cors import cors_headers, preflight_headers

ALLOWED = frozenset({"https://app.example"})


def test_an_allowed_origin_may_read_answers() -> None:
    """The answer names the very origin, never *, and shows the headers that a page has a use for."""
    assert cors_headers("https://app.example", ALLOWED) == {
        "Access-Control-Allow-Origin": "https://app.example",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": (
            "X-Request-Id, X-Server-Time-Ms, X-Expires-In-Ms, RateLimit, RateLimit-Policy, Retry-After"
        ),
    }


def test_an_allowed_origin_gets_an_answer_to_its_preflight() -> None:
    """The browser learns for ten minutes which methods and headers a page may use."""
    preflight = preflight_headers("https://app.example", ALLOWED, "OPTIONS, POST")
    names = preflight.pop("Access-Control-Allow-Headers").split(", ")
    assert preflight == cors_headers("https://app.example", ALLOWED) | {
        "Access-Control-Allow-Methods": "OPTIONS, POST",
        "Access-Control-Max-Age": "600",
    }
    assert len({name.lower() for name in names}) == len(names)
    assert set(names) >= {"Authorization", "Content-Type", "X-Request-Id"}
    assert set(names) >= {
        "traceparent",
        "tracestate",
        "baggage",
        "sentry-trace",
        "b3",
        "x-datadog-trace-id",
        "newrelic",
    }
    more = preflight_headers("https://app.example", ALLOWED, "POST", ("X-App-Version",))
    assert more["Access-Control-Allow-Headers"].split(", ") == [*names, "X-App-Version"]


@pytest.mark.parametrize(
    "origin", [None, "", "*", "null", "https://evil.example", "https://app.example.evil.example", "HTTPS://APP.EXAMPLE"]
)
def test_any_other_origin_gets_no_cors_headers(origin: str | None) -> None:
    """An origin that is not allowed learns nothing, not even that others are."""
    assert cors_headers(origin, ALLOWED) == {}
    assert preflight_headers(origin, ALLOWED, "POST") == {}


def test_null_may_read_nothing() -> None:
    """Not even if somebody has put it among the allowed ones."""
    assert cors_headers("null", {"null"}) == {}
