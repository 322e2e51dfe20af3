"""
Flask's door: a Flask app whose views call the handlers, with all features of Flask.

These are unusual paths, 404 and 405, HEAD and OPTIONS, the test client, embedding in another app, and extensions.
Imports `routes`, `answer`, `lifecycle` and `request`.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from wsgiref.types import WSGIEnvironment

from flask import Flask, Response, request, signals
from werkzeug.datastructures import Headers
from werkzeug.routing import BaseConverter

from authsvc.web import answer
from authsvc.web.answer import Answer
from authsvc.web.lifecycle import Lifecycle
from authsvc.web.request import Request
from authsvc.web.routes import Route

_KEY = "authsvc.request"
_OURS = frozenset({"X-Content-Type-Options", "X-Request-Id"})
_HOOKS = (
    *("before_request_funcs", "after_request_funcs", "teardown_request_funcs", "teardown_appcontext_funcs"),
    *("url_value_preprocessors", "error_handler_spec", "view_functions"),
)
_SIGNALS = (signals.request_started, signals.request_finished)


class _Rest(BaseConverter):
    """The rest of a path, slashes and line breaks included."""

    regex = r"[\s\S]+"
    part_isolating = False


class _Verbatim(Response):
    """An answer with unmodified headers: the vendor's signature covers each character of a Location."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002 -- Werkzeug's signature
        return self.headers


def create(routes: Sequence[Route], lifecycle: Lifecycle) -> Flask:
    """Return the app."""
    app = Flask("authsvc", static_folder=None)
    app.url_map.merge_slashes = False  # no redirect, which would lose the body
    app.url_map.converters["rest"] = _Rest
    paths = {route.name: route.path for route in routes}

    @app.before_request
    def begin() -> None:
        request.environ[_KEY] = Request(request.environ, lifecycle.now_ms(), lifecycle.tracing)

    @app.after_request
    def end(response: Response) -> Response:
        rule = request.url_rule
        route = "unmatched" if rule is None else paths.get(rule.endpoint, rule.rule)
        response.headers.setdefault("Cache-Control", "no-store")
        headers = [pair for pair in response.headers if pair[0] not in _OURS]
        lifecycle.finish(request.environ[_KEY], headers, route=route, status=response.status_code)
        response.headers = Headers(headers)
        return response

    @app.errorhandler(Exception)
    def refused(exc: Exception) -> Response:
        return _response(answer.of_exception(request.environ[_KEY], exc))

    for route in routes:
        rule = route.path.replace("{media_id}", "<rest:media_id>").replace("{name}", "<name>")
        app.add_url_rule(rule, endpoint=route.name, view_func=_view(route), methods=[route.method])
    return app


def unless_hooked(app: Flask, routes: Sequence[Route]) -> Callable[[], Sequence[Route]]:
    """
    Return a function that returns the routes; none if the app has other hooks than now, which need Flask for each.

    Receivers of Flask's signals count too, whenever they were connected. Flask accepts no hooks after the first
    request.
    """
    before = deepcopy([getattr(app, name) for name in _HOOKS])

    def of_now() -> Sequence[Route]:
        is_hooked = [getattr(app, name) for name in _HOOKS] != before
        return () if is_hooked or any(signal.has_receivers_for(app) for signal in _SIGNALS) else routes

    return of_now


def _view(route: Route) -> Callable[..., Response]:
    def view(**open_part: str) -> Response:
        given: Request = request.environ[_KEY]
        given.rest = next(iter(open_part.values()), "")
        return _response(route.handler(given))

    return view


def _response(answer: Answer) -> Response:
    response = _Verbatim(answer.body, status=answer.status)
    response.headers = Headers(answer.headers)
    return response
