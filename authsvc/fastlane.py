"""
A short way past Flask for the one hot route in its plain case: `POST /v1/auth-payload` without a body, from a user
whose token was verified a moment ago, and who is under the limit. Everything else goes to Flask, which answers the
plain case in the same bytes; only a clock can tell.

Imports `answers` for what all answers have in common, and the rules.
"""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from authsvc import answers, issuing, origins, signature, tracing
from authsvc.apps import Apps
from authsvc.callers import Callers
from authsvc.errors import Refusal
from authsvc.limiter import Limiter
from authsvc.logs import Audit, Finished

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "/v1/auth-payload"
_NO_BODY = frozenset({None, "", "0"})


class FastLane:
    """A WSGI app before another."""

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        apps: Apps,
        callers: Callers,
        limiter: Limiter,
        allowed_origins: frozenset[str],
        now_ms: Callable[[], int],
        tell: Callable[[Finished], None],
    ) -> None:
        self._app = app
        self._apps = apps
        self._callers = callers
        self._limiter = limiter
        self._allowed_origins = allowed_origins
        self._now_ms = now_ms
        self._tell = tell

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer the plain case, or pass the request on untouched."""
        if environ["PATH_INFO"] == ROUTE and environ["REQUEST_METHOD"] == "POST" and _is_plain(environ):
            begun_s, now_ms = time.perf_counter(), self._now_ms()
            user_id = self._callers.recall(environ["HTTP_AUTHORIZATION"], now_ms)
            if user_id is not None:
                try:
                    return self._issue(environ, start_response, user_id, begun_s, now_ms)
                except Refusal:
                    pass  # raised before anything was counted or told: Flask comes to the same, and says it
        return self._app(environ, start_response)

    def _issue(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        user_id: str,
        begun_s: float,
        now_ms: int,
    ) -> Iterable[bytes]:
        served = self._apps.find(None)
        quota = self._limiter.hit(user_id, served.appkey, now_ms)
        random_str, appkey = issuing.fresh_random_str(), served.appkey
        signed = signature.sign(
            appkey=appkey,
            timestamp_ms=now_ms,
            random_str=random_str,
            master_secret=served.app.master_secret.reveal(),
        )
        body = (
            f'{{"appkey":"{appkey}","random_str":"{random_str}","signature":"{signed}","timestamp":"{now_ms}"}}'
        ).encode()
        request_id = answers.request_id(environ.get("HTTP_X_REQUEST_ID"))
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            *answers.issued_headers(now_ms),
            *answers.quota_headers(quota),
            *answers.common_headers(request_id),
        ]
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            headers += origins.cors_headers(origin, self._allowed_origins).items()
        start_response("200 OK", headers)
        self._tell(
            Finished(
                method="POST",
                route=ROUTE,
                status=200,
                asked_ms=now_ms,
                took_s=time.perf_counter() - begun_s,
                request_id=request_id,
                trace_id=tracing.trace_id(environ.get("HTTP_TRACEPARENT")),
                audit=Audit("issued", appkey, user_id, random_str),
            )
        )
        return (body,)


def _is_plain(environ: "WSGIEnvironment") -> bool:
    return (
        "HTTP_AUTHORIZATION" in environ
        and environ.get("CONTENT_LENGTH") in _NO_BODY
        and "HTTP_TRANSFER_ENCODING" not in environ
        and not environ.get("SCRIPT_NAME")
    )
