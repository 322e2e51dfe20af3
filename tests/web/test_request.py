"""The request of a handler: what it reads of the WSGI environ."""

from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from authsvc.errors import InvalidRequest
from authsvc.telemetry import tracing
from authsvc.web.request import Request


def request(**variables: Any) -> Request:
    """Return a request with these WSGI variables; None removes one."""
    environ = EnvironBuilder(method="POST", base_url="https://sign.example/").get_environ() | variables
    given = {name: value for name, value in environ.items() if value is not None}
    return Request(given, 1_750_000_000_000, tracing.create({}))


@pytest.mark.parametrize("name", ["X-Team", "x-team", "X_Team"])
def test_header(name: str) -> None:
    """By its name in any case, as WSGI names it."""
    assert request(HTTP_X_TEAM="blue").header(name) == "blue"
    assert request().header(name) is None


@pytest.mark.parametrize(
    ("given", "method", "name"),
    [("GET", "GET", "GET"), ("post", "POST", "POST"), ("BREW", "BREW", "other"), ("TRACE", "TRACE", "other")],
)
def test_method(given: str, method: str, name: str) -> None:
    """In upper case; one that HTTP does not define has no name of its own in metrics."""
    found = request(REQUEST_METHOD=given)
    assert (found.method, found.method_name) == (method, name)


@pytest.mark.parametrize(
    ("given", "content_type"),
    [("Application/JSON; charset=utf-8", "application/json"), ("text/plain", "text/plain"), ("", ""), (None, "")],
)
def test_content_type(given: str | None, content_type: str) -> None:
    """Without parameters, in lower case."""
    assert request(CONTENT_TYPE=given).content_type == content_type


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (None, {}),
        ("", {}),
        ("b=2&a=1", {"a": "1", "b": "2"}),
        ("a=", {"a": ""}),
        ("a=%E7%94%A8+%E6%88%B7", {"a": "用 户"}),
        ("a=用".encode().decode("latin-1"), {"a": "用"}),
        ("a=\xff", {"a": "\ufffd"}),
    ],
)
def test_query(query: str | None, parameters: dict[str, str]) -> None:
    """Each parameter with its value, also an empty one; bytes that are not UTF-8 are replaced."""
    assert request(QUERY_STRING=query).query(("b", "a")) == parameters


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("c=1", "c: is not a known parameter; known parameters: a, b"),
        ("a=1&c=", "c: is not a known parameter; known parameters: a, b"),
        (f"{'c' * 65}=1", f"{'c' * 64}: is not a known parameter; known parameters: a, b"),
        ("a=1&b=2&a=1", "a: is given twice"),
    ],
)
def test_refused_query(query: str, detail: str) -> None:
    """An unknown parameter, whose name may be long, and a repeated one."""
    with pytest.raises(InvalidRequest) as refused:
        request(QUERY_STRING=query).query(("b", "a"))
    assert refused.value.detail == detail


def with_body(content: bytes, **variables: Any) -> Request:
    """Return a request with this body."""
    return request(**{"wsgi.input": BytesIO(content)}, **variables)


def test_body_without_a_length() -> None:
    """HTTP/2 needs no length for a body; in HTTP/1.1 there is none without a length or a transfer coding."""
    terminated = {"wsgi.input_terminated": True}
    assert with_body(b"{}", SERVER_PROTOCOL="HTTP/2", **terminated).read() == b"{}"
    assert with_body(b"{}", SERVER_PROTOCOL="HTTP/1.1", HTTP_TRANSFER_ENCODING="chunked", **terminated).read() == b"{}"
    assert with_body(b"{}", SERVER_PROTOCOL="HTTP/1.1", **terminated).read() == b""


def test_body_of_another_type() -> None:
    """The refusal has what may be sent instead."""
    text = with_body(b"x", CONTENT_TYPE="text/plain", CONTENT_LENGTH="1")
    with pytest.raises(InvalidRequest) as refused:
        text.fields((), may_be_empty=True)
    assert refused.value.detail == "body: must be empty, or JSON with Content-Type: application/json"
