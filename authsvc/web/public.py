"""
The routes that are open to everybody: health, help pages, the contract, and the files for pages.

Imports `problems`, `help_page`, `accept_language`, `health` and `message`.
"""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qsl

from werkzeug.http import generate_etag, parse_etags

from authsvc.message import Message
from authsvc.telemetry import health
from authsvc.telemetry.health import Readiness
from authsvc.web import accept_language, help_page, problems
from authsvc.web.answer import Answer, of_json, of_problem
from authsvc.web.request import Request


def healthz(_request: Request) -> Answer:
    return of_json({"alive": True})


def readyz(readiness: Readiness, request: Request) -> Answer:
    checks = readiness.checks(request.now_ms)
    if health.is_ready(checks):
        return of_json({"ready": True, "checks": checks})
    wrong = ", ".join(f"{name}: {word}" for name, word in checks.items() if word != "ok")
    return of_problem(request, problems.NOT_READY, Message("{wrong}", wrong=wrong), checks=checks)


def problem(request: Request) -> Answer:
    found = problems.BY_NAME.get(request.rest)
    if found is None:
        return of_problem(request, problems.BY_STATUS[404])
    asked = dict(parse_qsl(request.environ.get("QUERY_STRING", ""))).get("lang")
    if asked is not None:
        request.answered_in = accept_language.preferred(asked)
    return Answer(help_page.render(found, request.language).encode(), media_type="text/html; charset=utf-8")


def contract() -> Callable[[Request], Answer]:
    """Return the handler of openapi.yaml, which is in the installed package, or beside it in a checkout."""
    packaged, beside = resources.files("authsvc") / "openapi.yaml", Path(__file__).parents[2] / "openapi.yaml"
    content = (packaged if packaged.is_file() else beside).read_bytes()
    return lambda _request: Answer(content, media_type="application/yaml")


def file(name: str, *, media_type: str) -> Callable[[Request], Answer]:
    """Return the handler of a file that pages of any origin may import. They revalidate it, to notice an upgrade."""
    content = (resources.files("authsvc") / "static" / name).read_bytes()
    etag = generate_etag(content)
    headers = (("Access-Control-Allow-Origin", "*"), ("ETag", f'"{etag}"'))

    def serve(request: Request) -> Answer:
        if parse_etags(request.header("If-None-Match")).contains_weak(etag):
            return Answer(b"", media_type=None, status=304, headers=headers, cache_control="no-cache")
        return Answer(content, media_type=media_type, headers=headers, cache_control="no-cache")

    return serve
