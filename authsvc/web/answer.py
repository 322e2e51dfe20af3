"""
The answer of a handler: JSON, text, or a refusal in the shape of all refusals.

Imports `request`, `limiter`, `rate`, `problems`, `message` and `errors`.
"""

import json
import logging
from collections.abc import Mapping, Sequence

from werkzeug.exceptions import HTTPException, MethodNotAllowed

from authsvc.errors import InvalidRequest, NotLoggedIn, NotLoggedInYet, Refusal, TooManyRequests
from authsvc.message import Message
from authsvc.ratelimit.limiter import Quota
from authsvc.ratelimit.rate import Rate
from authsvc.web import problems
from authsvc.web.problems import Problem
from authsvc.web.request import Request

Headers = Sequence[tuple[str, str]]

_log = logging.getLogger(__name__)
_to_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Answer:
    """Status, body, and the headers of the body and of this answer alone. Without a body, `media_type` is None."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        *,
        media_type: str | None = "application/json",
        status: int = 200,
        headers: Headers = (),
        cache_control: str = "no-store",
    ) -> None:
        self.body, self.status = body, status
        self.headers = [*headers, ("Cache-Control", cache_control)]
        if media_type is not None:
            self.headers += (("Content-Type", media_type), ("Content-Length", str(len(body))))
        elif status != 304:
            self.headers.append(("Content-Length", "0"))


def of_json(members: Mapping[str, object], *, headers: Headers = ()) -> Answer:
    """Return a JSON answer."""
    return Answer(_encoded(members), headers=headers)


def of_problem(
    request: Request,
    problem: Problem,
    message: Message | None = None,
    *,
    retry_after_s: int | None = None,
    headers: Headers = (),
    **members: object,
) -> Answer:
    """Return a refusal, by default with its general meaning, with further members if any, and note it for the log."""
    request.problem, language = problem, request.language
    words = language.problems[problem.name]
    body = problems.to_dict(
        problem,
        title=words.title,
        detail=words.meaning if message is None else message.text(language.details),
        request_id=request.request_id,
        now_ms=request.now_ms,
    )
    if problem.retry == "after":
        headers = (("Retry-After", str(retry_after_s or 5)), *headers)
    media_type = "application/problem+json"
    return Answer(_encoded(body | members), media_type=media_type, status=problem.status, headers=headers)


def of_exception(request: Request, exc: Exception) -> Answer:
    """Return the refusal for an exception. One that is neither ours nor Werkzeug's is a bug, and is logged."""
    if isinstance(exc, HTTPException) and exc.code not in problems.BY_STATUS:
        exc = InvalidRequest("request", "is malformed, or ends before its Content-Length")
    if isinstance(exc, TooManyRequests):
        request.quota = Quota(Rate(exc.limit, exc.window_ms), 0, exc.retry_after_s)
    if isinstance(exc, Refusal):
        is_login = isinstance(exc, NotLoggedIn | NotLoggedInYet)
        headers = (("WWW-Authenticate", 'Bearer realm="authsvc"'),) if is_login else ()
        problem = problems.BY_REFUSAL[type(exc)]
        return of_problem(request, problem, exc.message, retry_after_s=exc.retry_after_s, headers=headers)
    if isinstance(exc, MethodNotAllowed):
        methods = sorted(exc.valid_methods or ())
        accepted = ", ".join(name for name in methods if name not in {"HEAD", "OPTIONS"})
        message = Message("this path does not accept this method; use {accepted}", accepted=accepted)
        return of_problem(request, problems.BY_STATUS[405], message, headers=(("Allow", ", ".join(methods)),))
    if isinstance(exc, HTTPException):
        return of_problem(request, problems.BY_STATUS[exc.code or 500])
    _log.error("request %s failed", request.request_id, exc_info=exc)
    return of_problem(request, problems.BY_STATUS[500])


def _encoded(members: Mapping[str, object]) -> bytes:
    """Return JSON in UTF-8. A lone surrogate of a client stays an escape, which Python writes as JSON does."""
    return _to_text(members).encode(errors="backslashreplace")
