"""
The request of a handler: the WSGI environ, read on demand by Werkzeug's helpers, and the facts for the log.

Imports `json_body`, `accept_language`, `language`, `ids`, `limiter`, `access_log`, `problems`, `tracing` and `errors`.
"""

import re
import time
from collections.abc import Collection, Mapping
from functools import cache
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.http import parse_cookie
from werkzeug.wsgi import get_host, get_input_stream

from authsvc.errors import InvalidRequest
from authsvc.ids import fresh_id
from authsvc.ratelimit.limiter import Quota
from authsvc.telemetry.access_log import Action
from authsvc.telemetry.tracing import Tracing
from authsvc.web import accept_language, json_body
from authsvc.web.language import Language
from authsvc.web.problems import Problem

BODY_S = 10.0  # from the request's arrival to the end of its body; granian waits without limit
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WITHOUT_LENGTH = frozenset({"HTTP/1.1", "HTTP/1.0"})  # where a body without a length needs a transfer coding


@cache  # the code and the settings use only a few
def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


class Request:
    """
    One request.

    `now_ms` is its arrival, Unix milliseconds by the server's clock; `rest` the open part of the path; `method_name`
    the method, or "other" for one that HTTP does not define. The answer sets `quota`, what the rate limit leaves;
    `problem`, of a refusal; `answered_in`; and for the log `action`, `appkey`, `user_id` and `random_str`.
    """

    __slots__ = (
        "action", "answered_in", "appkey", "begun_s", "environ", "method", "method_name", "now_ms",
        "problem", "quota", "random_str", "request_id", "rest", "span", "user_id",
    )  # fmt: skip

    def __init__(self, environ: WSGIEnvironment, now_ms: int, tracing: Tracing, rest: str = "") -> None:
        """Start the time and the span of the request."""
        self.begun_s = time.perf_counter()
        self.environ = environ
        self.method = method = environ["REQUEST_METHOD"].upper()
        self.method_name: str = method if method in _METHODS else "other"
        self.now_ms = now_ms
        self.rest = rest
        given = environ.get("HTTP_X_REQUEST_ID")
        self.request_id: str = given if given is not None and _REQUEST_ID.fullmatch(given) else fresh_id()
        self.span = tracing.begin(self.method_name, environ.get("HTTP_TRACEPARENT"))
        self.problem: Problem | None = None
        self.answered_in: Language | None = None
        self.quota: Quota | None = None
        self.action: Action | None = None
        self.appkey: str | None = None
        self.user_id: str | None = None
        self.random_str: str | None = None

    def header(self, name: str, /) -> str | None:
        """Return a header's value, by its name in any case. Werkzeug's `Headers` take three times as long."""
        value: str | None = self.environ.get(_variable(name))
        return value

    @property
    def host(self) -> str:
        return get_host(self.environ)

    @property
    def cookies(self) -> MultiDict[str, str]:
        return parse_cookie(self.environ.get("HTTP_COOKIE"))

    @property
    def language(self) -> Language:
        """The language that the answer is to be in. To read it makes the answer vary by Accept-Language."""
        if self.answered_in is None:
            self.answered_in = accept_language.preferred(self.environ.get("HTTP_ACCEPT_LANGUAGE"))
        return self.answered_in

    @property
    def content_type(self) -> str:
        """The body's media type without parameters, lower case."""
        return parse_options_header(self.environ.get("CONTENT_TYPE"))[0].lower()

    def read(self) -> bytes:
        """Return the body. Raises RequestEntityTooLarge, BadRequest, or InvalidRequest for one that took too long."""
        environ = self.environ
        length = environ.get("CONTENT_LENGTH")
        if length == "0" or (
            not length and "HTTP_TRANSFER_ENCODING" not in environ and environ["SERVER_PROTOCOL"] in _WITHOUT_LENGTH
        ):
            return b""
        # Werkzeug truncates a chunked body at the limit; one byte more shows that it was longer.
        content = get_input_stream(environ, max_content_length=json_body.MAX_BYTES + 1).read()
        if len(content) > json_body.MAX_BYTES:
            raise RequestEntityTooLarge
        if time.perf_counter() - self.begun_s > BODY_S:  # `now_ms` holds no longer, and neither may a login
            raise InvalidRequest("body", "took longer than {most_s} s to arrive", most_s=f"{BODY_S:g}")
        return content

    def fields(self, names: Collection[str], *, may_be_empty: bool) -> Mapping[str, object]:
        """Return the fields of the body. Raises InvalidRequest, and like `read`."""
        content = self.read()
        if not content and may_be_empty:
            return {}
        return json_body.read(content, content_type=self.content_type, fields=names, may_be_empty=may_be_empty)

    def query(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the parameters of the query. Raises InvalidRequest for an unknown or repeated one."""
        text = self.environ.get("QUERY_STRING", "").encode("latin-1").decode(errors="replace")
        found: dict[str, str] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            if name not in names:
                raise InvalidRequest(
                    name[:64], "is not a known parameter; known parameters: {known}", known=", ".join(sorted(names))
                )
            if name in found:
                raise InvalidRequest(name, "is given twice")
            found[name] = value
        return found
