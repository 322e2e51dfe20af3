"""
What every answer has in common: its headers, its JSON, and the one shape of every refusal.

Flask's side of `problems`, `origins`, `logs` and `tracing`; the routes are in `views`.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from authsvc import body, origins, problems
from authsvc.errors import InvalidRequest, NotLoggedIn, NotLoggedInYet, Refusal, TooManyRequests
from authsvc.ids import fresh_id
from authsvc.limiter import Quota, Rate
from authsvc.logs import Action, Audit, Finished
from authsvc.payload import MAX_AGE_MS
from authsvc.problems import Problem
from authsvc.tracing import Span, Tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_EXPIRES_IN = ("X-Expires-In-Ms", str(MAX_AGE_MS))
_KEY = "authsvc.answering"
# In the environ of what the fast lane passes on: when it came; and a refusal or a bug that is only to be told, with its
# audit.
BEGUN = "authsvc.begun"
RAISED = "authsvc.raised"

Headers = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Answering:
    """What is known of the request that is being answered."""

    request_id: str
    asked_ms: int
    begun_s: float
    span: Span
    audit: Audit
    problem: Problem | None = None


def register(
    app: Flask,
    *,
    allowed_origins: frozenset[str],
    allowed_headers: tuple[str, ...],
    now_ms: Callable[[], int],
    tell: Callable[[Finished], None],
    tracing: Tracing,
) -> None:
    """
    Give every answer of the Flask app its headers, and every refusal its shape.

    Args:
        tell: is told of every request once it is answered.
    """
    _register_telling(app, tell, tracing, now_ms)
    _register_headers(app, allowed_origins, allowed_headers)
    _register_refusals(app, now_ms)


def audited(action: Action) -> Audit:
    """Return what the log is going to say of the payload in this request, to be filled in."""
    audit = _answering().audit
    audit.action = action
    return audit


def fields(names: Collection[str], *, may_be_empty: bool) -> Mapping[str, object]:
    """Return the fields of the request's body. Raises InvalidRequest, BadRequest and RequestEntityTooLarge."""
    text = request.get_data()  # raises ClientDisconnected, a BadRequest, when the body ends early or is malformed
    if len(text) > body.MAX_BYTES:
        raise RequestEntityTooLarge
    return body.read(text, content_type=request.mimetype, fields=names, may_be_empty=may_be_empty)


def query(names: set[str]) -> Mapping[str, str]:
    """Return the parameters of the request's query. Raises InvalidRequest for an unknown one, or one given twice."""
    for name, values in request.args.lists():
        if name not in names:
            raise InvalidRequest(name[:64], f"is no parameter here; known are {', '.join(sorted(names))}")
        if len(values) > 1:
            raise InvalidRequest(name, "is given twice")
    return request.args.to_dict()


def of_json(members: Mapping[str, object], *, status: int = 200, mimetype: str = "application/json") -> Response:
    """Return a JSON answer."""
    return Response(json.dumps(members, separators=(",", ":")), status=status, mimetype=mimetype)


def of_problem(
    problem: Problem, detail: str, now_ms: int, *, retry_after_s: int | None = None, **members: Any
) -> Response:
    """Return a refusal, with further members if there are any."""
    answering = _answering()
    answering.problem = problem
    told = problems.to_dict(problem, detail=detail, request_id=answering.request_id, now_ms=now_ms)
    response = of_json(told | members, status=problem.status, mimetype="application/problem+json")
    if problem.retry == "after":
        response.headers["Retry-After"] = str(retry_after_s or 5)
    return response


def of_file(content: bytes, *, mimetype: str) -> Response:
    """Return a file that pages of any origin may import, and have to ask for anew after an upgrade."""
    response = Response(content, mimetype=mimetype)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Access-Control-Allow-Origin"] = "*"  # an allowed origin gets its own, see add_headers
    response.add_etag()
    response.make_conditional(request)
    response.headers.pop("Date", None)  # the server's to set, and once is enough
    return response


def with_quota(response: Response, quota: Quota) -> Response:
    """Return the answer with what is left of the rate limit."""
    response.headers.update(quota_headers(quota))
    return response


def quota_headers(quota: Quota) -> Headers:
    """Return the headers that tell what is left of the limit (IETF draft-ietf-httpapi-ratelimit-headers-11)."""
    return (
        ("RateLimit-Policy", f'"user";q={quota.rate.limit};w={quota.rate.window_ms // 1000}'),
        ("RateLimit", f'"user";r={quota.remaining};t={quota.reset_s}'),
    )


def issued_headers(now_ms: int) -> Headers:
    """Return the headers of a payload issued now (Unix ms), by which no client has to trust its own clock."""
    return ("X-Server-Time-Ms", str(now_ms)), _EXPIRES_IN


def common_headers(request_id: str) -> Headers:
    """Return the headers that every answer has, in the order in which `add_headers` sets them."""
    return (
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-Id", request_id),
        ("Vary", "Origin"),
    )


def request_id(given: str | None) -> str:
    """Return the caller's own name for the request if it is well formed, else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else fresh_id()


def _answering() -> _Answering:
    answering: _Answering = request.environ[_KEY]
    return answering


def _register_telling(
    app: Flask, tell: Callable[[Finished], None], tracing: Tracing, now_ms: Callable[[], int]
) -> None:
    @app.before_request
    def begin() -> None:
        begun_s = request.environ.get(BEGUN) or time.perf_counter()
        span = tracing.begin(_method(), request.headers.get("traceparent"))
        name = request_id(request.headers.get("X-Request-Id"))
        raised, audit = request.environ.get(RAISED, (None, Audit()))
        request.environ[_KEY] = _Answering(name, now_ms(), begun_s, span, audit)
        if raised is not None:
            raise raised

    @app.after_request  # those registered later run earlier
    def end(response: Response) -> Response:
        answering, rule = _answering(), request.url_rule
        audit, problem = answering.audit, answering.problem
        route = "unmatched" if rule is None else _route(rule.rule)
        answering.span.end(route=route, status=response.status_code)
        tell(
            Finished(
                method=_method(),
                route=route,
                status=response.status_code,
                asked_ms=answering.asked_ms,
                took_s=time.perf_counter() - answering.begun_s,
                request_id=answering.request_id,
                trace_id=answering.span.trace_id,
                code=problem.code if problem else None,
                refusal=problem.name if problem else None,
                action=audit.action,
                appkey=audit.appkey,
                user_id=audit.user_id,
                random_str=audit.random_str,
            )
        )
        return response


def _method() -> str:
    return request.method if request.method in _METHODS else "other"


@cache
def _route(rule: str) -> str:
    """Return a rule of Flask's as the contract writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def _register_headers(app: Flask, allowed_origins: frozenset[str], allowed_headers: tuple[str, ...]) -> None:
    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in common_headers(_answering().request_id):
            response.headers.setdefault(name, value)
        origin = request.headers.get("Origin")
        response.headers.update(origins.cors_headers(origin, allowed_origins))
        if request.method == "OPTIONS":
            response.headers.update(
                origins.preflight_headers(origin, allowed_origins, response.headers.get("Allow", ""), allowed_headers)
            )
        return response


def _detail(exc: HTTPException, problem: Problem) -> str:
    if not isinstance(exc, MethodNotAllowed):
        return problem.meaning
    methods = " or ".join(sorted({*(exc.valid_methods or ())} - {"HEAD", "OPTIONS"}))
    return f"this path has no such method; use {methods}"


def _register_refusals(app: Flask, now_ms: Callable[[], int]) -> None:
    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        problem = problems.BY_REFUSAL[type(refusal)]
        response = of_problem(problem, refusal.detail, now_ms(), retry_after_s=refusal.retry_after_s)
        if isinstance(refusal, NotLoggedIn | NotLoggedInYet):
            response.headers["WWW-Authenticate"] = 'Bearer realm="authsvc"'
        if isinstance(refusal, TooManyRequests):
            rate = Rate(refusal.limit, refusal.window_ms)
            with_quota(response, Quota(rate, remaining=0, reset_s=refusal.retry_after_s))
        return response

    @app.errorhandler(HTTPException)
    def refused_by_werkzeug(exc: HTTPException) -> Response:
        problem = problems.BY_STATUS.get(exc.code or 500)
        if problem is None:
            return refused(InvalidRequest("request", "is malformed, or ends before its Content-Length"))
        response = of_problem(problem, _detail(exc, problem), now_ms())
        for name, value in exc.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def failed(exc: Exception) -> Response:
        _log.error("request %s failed", _answering().request_id, exc_info=exc)
        problem = problems.BY_STATUS[500]
        return of_problem(problem, problem.meaning, now_ms())
