"""
The direct door: a WSGI app in front of Flask's that calls the handler of a known method and path at once.

Flask takes several times as long to find a view as the handler takes to answer. A request that does not match the table
of routes exactly goes to Flask. Imports `routes`, `answer`, `lifecycle` and `request`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.http import HTTP_STATUS_CODES

from authsvc.web.answer import of_exception
from authsvc.web.lifecycle import Lifecycle
from authsvc.web.request import Request
from authsvc.web.routes import Route

_STATUS_LINES = {status: f"{status} {phrase.upper()}" for status, phrase in HTTP_STATUS_CODES.items()}
_OPEN_PART = "{media_id}"


class Direct:
    """A WSGI app in front of another. It asks for its routes once, at the first request."""

    def __init__(self, flask: WSGIApplication, routes: Callable[[], Sequence[Route]], lifecycle: Lifecycle) -> None:
        self.flask = flask
        self._routes = routes
        self._lifecycle = lifecycle

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or pass the request on."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        exact, beginnings = self._tables
        route, rest = exact.get((method, path)), ""
        if route is None:
            route, rest = _by_beginning(beginnings, method, path)
        if route is None or environ.get("SCRIPT_NAME") or "HTTP_UPGRADE" in environ:
            return self.flask(environ, start_response)
        lifecycle = self._lifecycle
        request = Request(environ, lifecycle.now_ms(), lifecycle.tracing, rest)
        try:
            answer = route.handler(request)
        except Exception as exc:  # noqa: BLE001 -- a bug is logged there
            answer = of_exception(request, exc)
        lifecycle.finish(request, answer.headers, route=route.path, status=answer.status)
        start_response(_STATUS_LINES[answer.status], answer.headers)
        return [answer.body]  # granian sends a list at once, and any other iterable through a channel

    @cached_property
    def _tables(self) -> tuple[Mapping[tuple[str, str], Route], Sequence[Route]]:
        """The routes by method and path, and those with an open part."""
        routes = self._routes()
        exact = {(route.method, route.path): route for route in routes if "{" not in route.path}
        return exact, [route for route in routes if route.path.endswith(_OPEN_PART)]


def _by_beginning(routes: Iterable[Route], method: str, path: str) -> tuple[Route | None, str]:
    for route in routes:
        beginning = route.path.removesuffix(_OPEN_PART)
        if method == route.method and path.startswith(beginning) and path != beginning and path.isascii():
            return route, path.removeprefix(beginning)
    return None, ""
