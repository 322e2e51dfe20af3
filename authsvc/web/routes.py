"""
The table of routes: each handler with its method and its path, as in the contract.

Imports `handlers`, `public`, `health`, `answer` and `request`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from authsvc.telemetry.health import Readiness
from authsvc.web import public
from authsvc.web.answer import Answer
from authsvc.web.handlers import Handlers
from authsvc.web.request import Request


class Route(NamedTuple):
    """The path has at most one open part, at its end, such as `{media_id}`; the name is the operationId."""

    method: str
    path: str
    name: str
    handler: Callable[[Request], Answer]


def routes(handlers: Handlers, readiness: Readiness, *, for_jchat_web: bool) -> list[Route]:
    """Return every route of the service."""
    table = [
        Route("POST", "/v1/auth-payload", "issueAuthPayload", handlers.auth_payload),
        Route("POST", "/v1/bootstrap", "bootstrap", handlers.bootstrap),
        Route("POST", "/v1/auth-payload/verify", "verifyAuthPayload", handlers.verify),
        Route("GET", "/v1/resource", "resolveMedia", handlers.resource),
        Route("GET", "/v1/resource/{media_id}", "redirectToMedia", handlers.redirect),
        Route("POST", "/v1/resources", "resolveMediaBatch", handlers.resources),
        Route("GET", "/healthz", "isAlive", public.healthz),
        Route("GET", "/readyz", "isReady", partial(public.readyz, readiness)),
        Route("GET", "/problems/{name}", "explainProblem", public.problem),
        Route("GET", "/openapi.yaml", "getContract", public.contract()),
        Route("GET", "/client.js", "getModule", public.file("client.js", media_type="text/javascript; charset=utf-8")),
        Route("GET", "/client.d.ts", "getModuleTypes", public.file("client.d.ts", media_type="application/typescript")),
    ]
    return [*table, Route("POST", "/v1/signature", "signForJchatWeb", handlers.signature)] if for_jchat_web else table
