"""
The routes: each reads the request, calls the rules and answers.

Flask stops here. Views close over what they are given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, after_this_request, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

from authsvc import answers, body, issuing, payload, problems, readiness, verifying
from authsvc.accounts import Accounts
from authsvc.apps import Apps, Served
from authsvc.callers import Caller, Callers
from authsvc.errors import InvalidRequest, Refusal
from authsvc.escaping import escaped
from authsvc.limiter import Limiter
from authsvc.logs import Audit, Finished
from authsvc.media import MAX_BATCH, Media, Resource
from authsvc.payload import MAX_AGE_MS
from authsvc.readiness import Readiness
from authsvc.store import Store
from authsvc.tracing import Tracing
from authsvc.verifying import Verifiers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Services:
    """What the views are given. `sdk` is what bootstrap tells of the vendor's SDK, as JSON."""

    apps: Apps
    callers: Callers
    verifiers: Verifiers
    limiter: Limiter
    media: Media
    accounts: Accounts | None
    has_signature_route: bool
    sdk: Mapping[str, object]
    store: Store
    readiness: Readiness
    allowed_origins: frozenset[str]
    allowed_headers: tuple[str, ...]
    now_ms: Callable[[], int]
    tell: Callable[[Finished], None]
    tracing: Tracing


class _Rest(BaseConverter):
    """All that is left of a path, slashes and line breaks included, wherever they stand."""

    regex = r"[\s\S]+"
    part_isolating = False


class _Redirect(Response):
    """A redirect whose Location stays as it is: the vendor's signature covers each of its characters."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Location"] = self.headers["Location"]
        return headers


def register(app: Flask, services: Services) -> None:
    """Put every route on the Flask app, with the headers and refusals that all have in common."""
    app.url_map.converters["rest"] = _Rest
    answers.register(
        app,
        allowed_origins=services.allowed_origins,
        allowed_headers=services.allowed_headers,
        now_ms=services.now_ms,
        tell=services.tell,
        tracing=services.tracing,
    )
    _register_payloads(app, services)
    _register_media(app, services)
    _register_service(app, services)


def _register_payloads(app: Flask, services: Services) -> None:
    @app.post("/v1/auth-payload")
    def auth_payload() -> Response:
        now_ms, audit = services.now_ms(), answers.audited("issued")
        caller = authenticate(audit, now_ms)
        fields = answers.fields({"appkey", "random_str"}, may_be_empty=True)
        served = find(audit, body.text(fields, "appkey"))
        hit(caller, served, now_ms)
        random_str = body.text(fields, "random_str")
        audit.random_str = None if random_str is None else escaped(random_str)
        issued = issuing.issue(served, random_str=random_str, store=services.store, now_ms=now_ms)
        audit.random_str = issued.random_str
        response = answers.of_json(issued.to_dict())
        response.headers.update(answers.issued_headers(now_ms))
        return response

    @app.post("/v1/bootstrap")
    def bootstrap() -> Response:
        audit = answers.audited("issued")
        caller = authenticate(audit, services.now_ms())
        fields = answers.fields({"appkey", "renew_login"}, may_be_empty=True)
        served, renews = find(audit, body.text(fields, "appkey")), body.flag(fields, "renew_login")
        hit(caller, served, services.now_ms())
        login = None
        if services.accounts is not None:
            log_in = services.accounts.renew if renews else services.accounts.login
            login = log_in(served, caller.user_id, services.now_ms())
        now_ms = services.now_ms()  # the vendor may have taken a while to register the account
        issued = issuing.issue(served, random_str=None, store=services.store, now_ms=now_ms)
        audit.random_str = issued.random_str
        return answers.of_json(
            {
                "sdk": services.sdk,
                "init": {**issued.to_dict(), "flag": served.app.flag},
                "server_time_ms": now_ms,
                "expires_in_ms": MAX_AGE_MS,
                "login": login.to_dict() if login else None,
            }
        )

    @app.post("/v1/auth-payload/verify")
    def verify() -> Response:
        now_ms, audit = services.now_ms(), answers.audited("verified")
        services.verifiers.check(request.headers.get("Authorization"))
        presented, in_body = verifying.read(answers.fields(verifying.FIELDS, may_be_empty=False))
        audit.appkey, audit.random_str = escaped(presented.appkey), presented.random_str
        holder = verifying.holder_of(request.headers.get(verifying.HOLDER), in_body)
        verifying.verify(presented, holder=holder, apps=services.apps, store=services.store, now_ms=now_ms)
        return answers.of_json({"valid": True, "appkey": presented.appkey, "expires_at_ms": presented.expires_at_ms})

    def signature() -> Response:
        now_ms, audit = services.now_ms(), answers.audited("issued")
        caller = authenticate(audit, now_ms)
        fields = answers.fields({"timestamp", "appkey", "randomStr"}, may_be_empty=False)
        served = find(audit, body.required(fields, "appkey"))
        random_str, timestamp_ms = body.required(fields, "randomStr"), payload.parse_timestamp_ms(fields)
        audit.random_str = escaped(random_str)
        hit(caller, served, now_ms)
        signed = issuing.sign_chosen(
            served, timestamp_ms=timestamp_ms, random_str=random_str, store=services.store, now_ms=now_ms
        )
        return Response(signed.signature, mimetype="text/plain")

    if services.has_signature_route:
        app.post("/v1/signature")(signature)

    def authenticate(audit: Audit, now_ms: int) -> Caller:
        caller = services.callers.authenticate(request, now_ms)
        audit.user_id = caller.user_id
        return caller

    def find(audit: Audit, appkey: str | None) -> Served:
        served = services.apps.find(appkey)
        audit.appkey = served.appkey
        return served

    def hit(caller: Caller, served: Served, now_ms: int) -> None:
        quota = services.limiter.hit(caller.user_id, served.appkey, now_ms)
        after_this_request(lambda response: answers.with_quota(response, quota))


def _register_media(app: Flask, services: Services) -> None:
    @app.get("/v1/resource")
    def resource() -> Response:
        now_ms = services.now_ms()
        caller = services.callers.authenticate(request, now_ms)
        asked = answers.query({"media_id", "appkey", "fresh"})
        media_id, fresh = body.required(asked, "media_id"), _is_fresh(asked)
        served = services.apps.find(asked.get("appkey"))
        return answers.of_json(_told(services.media.resolve(served, caller.user_id, media_id, now_ms, fresh=fresh)))

    @app.get("/v1/resource/<rest:media_id>")
    def resource_redirect(media_id: str) -> Response:
        now_ms = services.now_ms()
        caller = services.callers.authenticate(request, now_ms)
        asked = answers.query({"appkey", "fresh"})
        fresh, served = _is_fresh(asked), services.apps.find(asked.get("appkey"))
        found = services.media.resolve(served, caller.user_id, media_id, now_ms, fresh=fresh)
        until_ms = found.fresh_until_ms if found.expires_at_ms is None else found.expires_at_ms
        if fresh:
            until_ms = now_ms  # the browser must not keep it: the next one who asks for a fresh URL wants another
        response = _Redirect(status=302, headers={"Location": found.url})
        del response.headers["Content-Type"]  # there is no body
        response.headers["Cache-Control"] = f"private, max-age={max(0, until_ms - now_ms) // 1000}"
        return response

    @app.post("/v1/resources")
    def resources() -> Response:
        now_ms = services.now_ms()
        caller = services.callers.authenticate(request, now_ms)
        fields = answers.fields({"media_ids", "appkey", "fresh"}, may_be_empty=False)
        media_ids, fresh = body.texts(fields, "media_ids", most=MAX_BATCH), body.flag(fields, "fresh")
        served = services.apps.find(body.text(fields, "appkey"))
        found = services.media.resolve_many(served, caller.user_id, media_ids, now_ms, fresh=fresh)
        response = answers.of_json({"results": {media_id: _told(one) for media_id, one in found.items()}})
        response.headers["X-Server-Time-Ms"] = str(now_ms)  # what a page keeps is aged by this clock, not by its own
        return response


def _register_service(app: Flask, services: Services) -> None:
    help_pages = {name: problems.help_page(problem) for name, problem in problems.all_problems().items()}
    openapi = _openapi()
    static = resources.files("authsvc") / "static"
    module, types = (static / "client.js").read_bytes(), (static / "client.d.ts").read_bytes()

    @app.get("/healthz")
    def healthz() -> Response:
        return answers.of_json({"alive": True})

    @app.get("/readyz")
    def readyz() -> Response:
        now_ms = services.now_ms()
        checks = services.readiness.checks(now_ms)
        if readiness.is_ready(checks):
            return answers.of_json({"ready": True, "checks": checks})
        wrong = ", ".join(f"{name}: {word}" for name, word in checks.items() if word != "ok")
        return answers.of_problem(problems.NOT_READY, wrong, now_ms, checks=checks)

    @app.get("/problems/<name>")
    def problem(name: str) -> Response:
        if name not in help_pages:
            raise NotFound
        return Response(help_pages[name], mimetype="text/html")

    @app.get("/openapi.yaml")
    def openapi_yaml() -> Response:
        return Response(openapi, mimetype="application/yaml")

    @app.get("/client.js")
    def client_js() -> Response:
        return answers.of_file(module, mimetype="text/javascript")

    @app.get("/client.d.ts")
    def client_d_ts() -> Response:
        return answers.of_file(types, mimetype="application/typescript")


def _is_fresh(asked: Mapping[str, str]) -> bool:
    value = asked.get("fresh", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("fresh", "must be true or false")
    return value == "true"


def _told(found: Resource | Refusal) -> dict[str, object]:
    """Return what is told of one media_id, be it a refusal."""
    if isinstance(found, Refusal):
        return {"code": problems.BY_REFUSAL[type(found)].code, "message": found.detail}
    return found.to_dict()


def _openapi() -> bytes:
    """Read the contract: it lies in the package once installed, and beside it in a checkout."""
    packaged = resources.files("authsvc") / "openapi.yaml"
    return (
        packaged.read_bytes() if packaged.is_file() else Path(__file__).parents[1].joinpath("openapi.yaml").read_bytes()
    )
