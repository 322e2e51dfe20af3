"""
Who may ask the sandbox: it protects nothing, so pages of foreign sites must not reach it by the visitor's browser.

A page whose own name is made to resolve to 127.0.0.1 (DNS rebinding) is of the sandbox's origin for the browser; only
the Host header shows it.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from authsvc.bind import Bind
from authsvc.sandbox.rest.calls import error

CONTROL = "/sandbox"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def only(bind: Bind) -> Middleware:
    """Return what refuses a request by a foreign name, a WebSocket's too, and control by a page of a foreign site."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not bind.is_meant_by(hosts[0]):
            return error(403, 899003, f"Host: the sandbox answers to localhost, 127.0.0.1, [::1] and {bind.host} alone")
        is_control = request.path == CONTROL or request.path.startswith(f"{CONTROL}/")
        if is_control and request.method not in _READING:
            for origin in request.headers.getall("Origin", []):
                if not bind.is_meant_by(origin.partition("://")[2]):
                    return error(403, 899003, "Origin: a page of a foreign site may not control the sandbox")
        return await handler(request)

    return check
