"""
HTTP in, HTTP out: the routes, the headers of every answer, and the one shape of every refusal.

Flask stops here. Views close over what they are given; each reads, calls and returns.
"""

import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from flask import Flask, Response, after_this_request, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from authsvc import body, issuing, origins, payload, problems, readiness, verifying
from authsvc.apps import Apps
from authsvc.callers import Callers
from authsvc.errors import InvalidRequest, NotLoggedIn, Refusal, TooManyRequests
from authsvc.limiter import Limiter, Quota
from authsvc.payload import MAX_AGE_MS
from authsvc.problems import Problem
from authsvc.readiness import Readiness
from authsvc.store import Store
from authsvc.verifying import Verifiers

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_REQUEST_ID_KEY = "authsvc.request_id"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What the views are given."""

    apps: Apps
    callers: Callers
    verifiers: Verifiers
    limiter: Limiter
    store: Store
    readiness: Readiness
    allowed_origins: frozenset[str]
    now_ms: Callable[[], int]


def register(app: Flask, services: Services) -> None:
    """Put every route, header and refusal on the Flask app."""
    _register_headers(app, services)
    _register_refusals(app, services)
    _register_api(app, services)
    _register_service(app, services)


def _register_api(app: Flask, services: Services) -> None:
    @app.post("/v1/auth-payload")
    def auth_payload() -> Response:
        now_ms = services.now_ms()
        caller = services.callers.authenticate(request, now_ms)
        fields = _fields({"appkey", "random_str"}, may_be_empty=True)
        served = services.apps.find(body.text(fields, "appkey"))
        quota = services.limiter.hit(caller.user_id, served.appkey, now_ms)
        after_this_request(lambda response: _with_quota(response, quota))
        issued = issuing.issue(served, random_str=body.text(fields, "random_str"), store=services.store, now_ms=now_ms)
        response = _json(issued.to_dict())
        response.headers["X-Server-Time-Ms"] = str(now_ms)
        response.headers["X-Expires-In-Ms"] = str(MAX_AGE_MS)
        return response

    @app.post("/v1/auth-payload/verify")
    def verify() -> Response:
        now_ms = services.now_ms()
        services.verifiers.check(request.headers.get("Authorization"))
        fields = dict(_fields({*payload.FIELDS, "holder"}, may_be_empty=False))
        holder = body.text(fields, "holder")
        fields.pop("holder", None)
        presented = payload.parse(fields)
        verifying.verify(presented, holder=holder, apps=services.apps, store=services.store, now_ms=now_ms)
        return _json({"valid": True, "appkey": presented.appkey, "expires_at_ms": presented.expires_at_ms})


def _register_service(app: Flask, services: Services) -> None:
    help_pages = {name: problems.help_page(problem) for name, problem in problems.all_problems().items()}
    openapi = _openapi()

    @app.get("/healthz")
    def healthz() -> Response:
        return _json({"alive": True})

    @app.get("/readyz")
    def readyz() -> Response:
        now_ms = services.now_ms()
        checks = services.readiness.checks(now_ms)
        if readiness.is_ready(checks):
            return _json({"ready": True, "checks": checks})
        wrong = ", ".join(f"{name}: {word}" for name, word in checks.items() if word != "ok")
        return _refusal(problems.NOT_READY, wrong, now_ms, checks=checks)

    @app.get("/problems/<name>")
    def problem(name: str) -> Response:
        if name not in help_pages:
            raise NotFound
        return Response(help_pages[name], mimetype="text/html")

    @app.get("/openapi.yaml")
    def openapi_yaml() -> Response:
        return Response(openapi, mimetype="application/yaml")


def _register_headers(app: Flask, services: Services) -> None:
    @app.before_request
    def name_the_request() -> None:
        given = request.headers.get("X-Request-Id", "")
        request.environ[_REQUEST_ID_KEY] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Request-Id"] = request.environ[_REQUEST_ID_KEY]
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        response.headers.update(origins.cors_headers(origin, services.allowed_origins))
        if request.method == "OPTIONS":
            response.headers.update(
                origins.preflight_headers(origin, services.allowed_origins, response.headers.get("Allow", ""))
            )
        return response


def _register_refusals(app: Flask, services: Services) -> None:
    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        problem = problems.BY_REFUSAL[type(refusal)]
        response = _refusal(problem, refusal.detail, services.now_ms(), retry_after_s=refusal.retry_after_s)
        if isinstance(refusal, NotLoggedIn):
            response.headers["WWW-Authenticate"] = 'Bearer realm="authsvc"'
        if isinstance(refusal, TooManyRequests):
            _with_quota(response, Quota(services.limiter.rate, remaining=0, reset_s=refusal.retry_after_s))
        return response

    @app.errorhandler(HTTPException)
    def refused_by_werkzeug(exc: HTTPException) -> Response:
        problem = problems.BY_STATUS.get(exc.code or 500)
        if problem is None:
            return refused(InvalidRequest("request", "is malformed, or ends before its Content-Length"))
        response = _refusal(problem, problem.meaning, services.now_ms())
        for name, value in exc.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def failed(exc: Exception) -> Response:
        _log.error("request %s failed", request.environ[_REQUEST_ID_KEY], exc_info=exc)
        problem = problems.BY_STATUS[500]
        return _refusal(problem, problem.meaning, services.now_ms())


def _fields(names: set[str], *, may_be_empty: bool) -> Mapping[str, object]:
    text = request.get_data()
    if len(text) > body.MAX_BYTES:
        raise RequestEntityTooLarge
    return body.read(text, content_type=request.mimetype, fields=names, may_be_empty=may_be_empty)


def _json(members: Mapping[str, object], *, status: int = 200, mimetype: str = "application/json") -> Response:
    return Response(json.dumps(members, separators=(",", ":")), status=status, mimetype=mimetype)


def _refusal(
    problem: Problem, detail: str, now_ms: int, *, retry_after_s: int | None = None, **members: Any
) -> Response:
    request_id = request.environ[_REQUEST_ID_KEY]
    told = problems.to_dict(problem, detail=detail, request_id=request_id, now_ms=now_ms)
    response = _json(told | members, status=problem.status, mimetype="application/problem+json")
    if problem.retry == "after":
        response.headers["Retry-After"] = str(retry_after_s or 5)
    return response


def _with_quota(response: Response, quota: Quota) -> Response:
    window_s = quota.rate.window_ms // 1000
    response.headers["RateLimit-Policy"] = f'"user";q={quota.rate.limit};w={window_s}'
    response.headers["RateLimit"] = f'"user";r={quota.remaining};t={quota.reset_s}'
    return response


def _openapi() -> bytes:
    """Read the contract: it lies in the package once installed, and beside it in a checkout."""
    packaged = resources.files("authsvc") / "openapi.yaml"
    return (
        packaged.read_bytes() if packaged.is_file() else Path(__file__).parents[1].joinpath("openapi.yaml").read_bytes()
    )
