"""
The table of routes: each handler with its method and its path, as in the contract.

Imports the modules of handlers.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from authsvc.web import media, payloads, public
from authsvc.web.answer import Answer
from authsvc.web.request import Request
from authsvc.web.services import Services


class Route(NamedTuple):
    """The path has at most one open part, at its end, such as `{media_id}`; the name is the operationId."""

    method: str
    path: str
    name: str
    handler: Callable[[Request], Answer]


def routes(services: Services) -> tuple[Route, ...]:
    """Return every route of the service."""
    table: list[tuple[str, str, str, Callable[[Services, Request], Answer]]] = [
        ("POST", "/v1/auth-payload", "issueAuthPayload", payloads.auth_payload),
        ("POST", "/v1/bootstrap", "bootstrap", payloads.bootstrap),
        ("POST", "/v1/auth-payload/verify", "verifyAuthPayload", payloads.verify),
        ("GET", "/v1/resource", "resolveMedia", media.resource),
        ("GET", "/v1/resource/{media_id}", "redirectToMedia", media.resource_redirect),
        ("POST", "/v1/resources", "resolveMediaBatch", media.resources),
        ("GET", "/healthz", "isAlive", public.healthz),
        ("GET", "/readyz", "isReady", public.readyz),
        ("GET", "/problems/{name}", "explainProblem", public.problem),
        ("GET", "/openapi.yaml", "getContract", public.contract()),
        ("GET", "/client.js", "getModule", public.file("client.js", media_type="text/javascript; charset=utf-8")),
        ("GET", "/client.d.ts", "getModuleTypes", public.file("client.d.ts", media_type="application/typescript")),
    ]
    if services.has_signature_route:
        table.append(("POST", "/v1/signature", "signForJchatWeb", payloads.signature))
    return tuple(Route(method, path, name, partial(handler, services)) for method, path, name, handler in table)
