"""
A short way past Flask for the hot routes in their plain case. Everything else goes to Flask, which answers the plain
case in the same bytes; only a clock can tell. They are:

- `POST /v1/auth-payload` without a body, from a user who has a Bearer token and is under the limit;
- `GET /v1/resource?media_id=` from a user who has a Bearer token, for a URL that this worker remembers;
- `POST /v1/auth-payload/verify` with a short body.

Imports `answers` for what all answers have in common, and the rules.
"""

import json
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from authsvc import answers, origins, signature, tracing, verifying
from authsvc.apps import Apps
from authsvc.callers import Callers
from authsvc.errors import Refusal
from authsvc.escaping import escaped
from authsvc.ids import fresh_id
from authsvc.limiter import Limiter
from authsvc.logs import Action, Audit, Finished
from authsvc.media import Media
from authsvc.store import Store
from authsvc.verifying import Verifiers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ISSUE = "/v1/auth-payload"
VERIFY = "/v1/auth-payload/verify"
RESOURCE = "/v1/resource"
MAX_BYTES = 4096  # of a body; a payload with its holder has fewer than 500

_MEDIA_ID = "media_id="
_NO_BODY = frozenset({None, "", "0"})

_Answer = tuple[str, answers.Headers]  # what is told, in JSON, and with which headers of its own


class _Lane(NamedTuple):
    """
    A route, and what answers it in the plain case: from the environ and the time, Unix ms.

    What it learns of the payload it notes in the audit as it goes, so that the log has it whatever becomes of it.
    """

    method: str
    route: str
    action: Action | None
    answer: Callable[["WSGIEnvironment", int, Audit], _Answer | None]


class FastLane:
    """A WSGI app before another."""

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        apps: Apps,
        callers: Callers,
        verifiers: Verifiers,
        limiter: Limiter,
        media: Media,
        store: Store,
        allowed_origins: frozenset[str],
        now_ms: Callable[[], int],
        tell: Callable[[Finished], None],
    ) -> None:
        self._app = app
        self._apps = apps
        self._callers = callers
        self._verifiers = verifiers
        self._limiter = limiter
        self._media = media
        self._store = store
        self._allowed_origins = allowed_origins
        self._now_ms = now_ms
        self._tell = tell
        lanes = (
            _Lane("POST", ISSUE, "issued", self._issue),
            _Lane("POST", VERIFY, "verified", self._verify),
            _Lane("GET", RESOURCE, None, self._resolve),
        )
        self._lanes = {(lane.method, lane.route): lane for lane in lanes}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer the plain case, or pass the request on."""
        lane = self._lanes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if (
            lane is not None
            and "HTTP_AUTHORIZATION" in environ
            and "HTTP_TRANSFER_ENCODING" not in environ
            and not environ.get("SCRIPT_NAME")
        ):
            begun_s, now_ms, audit = time.perf_counter(), self._now_ms(), Audit(lane.action)
            try:
                answer = lane.answer(environ, now_ms, audit)
                if answer is not None:
                    return self._send(lane, answer, environ, start_response, now_ms, begun_s, audit)
            except Exception as exc:  # noqa: BLE001 -- a bug, which the one handler for 500 tells of
                environ[answers.RAISED] = exc, audit
            environ[answers.BEGUN] = begun_s
        return self._app(environ, start_response)

    def _issue(self, environ: "WSGIEnvironment", now_ms: int, audit: Audit) -> _Answer | None:
        if environ.get("CONTENT_LENGTH") not in _NO_BODY:
            return None
        user_id = audit.user_id = self._user_id(environ, now_ms, audit)
        if user_id is None:
            return None
        try:
            served = self._apps.find(None)
            appkey = audit.appkey = served.appkey
            quota = self._limiter.hit(user_id, appkey, now_ms)
        except Refusal:
            return None  # nothing was counted or told: Flask comes to the same, and says it
        random_str = fresh_id()
        signed = signature.sign(
            appkey=appkey,
            timestamp_ms=now_ms,
            random_str=random_str,
            master_secret=served.app.master_secret.reveal(),
        )
        audit.random_str = random_str
        return (
            f'{{"appkey":"{appkey}","random_str":"{random_str}","signature":"{signed}","timestamp":"{now_ms}"}}',
            (*answers.issued_headers(now_ms), *answers.quota_headers(quota)),
        )

    def _verify(self, environ: "WSGIEnvironment", now_ms: int, audit: Audit) -> _Answer | None:
        length = environ.get("CONTENT_LENGTH", "")
        if environ.get("CONTENT_TYPE") != "application/json" or not _is_short(length):
            return None
        try:
            self._verifiers.check(environ["HTTP_AUTHORIZATION"])
            text = _read(environ, int(length))
            if text is None:
                return None
            presented, in_body = verifying.read_json(text)
            audit.appkey, audit.random_str = escaped(presented.appkey), presented.random_str
            holder = verifying.holder_of(environ.get("HTTP_X_HOLDER"), in_body)
            verifying.verify(presented, holder=holder, apps=self._apps, store=self._store, now_ms=now_ms)
        except Refusal as refusal:
            # Flask tells it, and does not try again: the claim may have been made.
            environ[answers.RAISED] = refusal, audit
            return None
        told = f'{{"valid":true,"appkey":"{presented.appkey}","expires_at_ms":{presented.expires_at_ms}}}'
        return told, ()

    def _resolve(self, environ: "WSGIEnvironment", now_ms: int, audit: Audit) -> _Answer | None:
        query = environ.get("QUERY_STRING", "")
        if not query.startswith(_MEDIA_ID):
            return None
        if self._user_id(environ, now_ms, audit) is None:
            return None
        # All that a page has to escape in a media_id. Whatever else the query holds is in no id that is remembered.
        media_id = query.removeprefix(_MEDIA_ID).replace("%2F", "/")
        try:
            found = self._media.recall(self._apps.find(None), media_id, now_ms)
        except Refusal:
            return None
        if found is None:
            return None
        return json.dumps(found.to_dict(), separators=(",", ":")), ()

    def _user_id(self, environ: "WSGIEnvironment", now_ms: int, audit: Audit) -> str | None:
        """Return whose Bearer token came with the request; None leaves it to Flask to say what is wrong."""
        try:
            return self._callers.bearer(environ["HTTP_AUTHORIZATION"], now_ms)
        except Refusal as refusal:
            environ[answers.RAISED] = refusal, audit  # Flask tells it, and does not verify again
            return None

    def _send(
        self,
        lane: _Lane,
        answer: _Answer,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        now_ms: int,
        begun_s: float,
        audit: Audit,
    ) -> Iterable[bytes]:
        told, own_headers = answer
        content = told.encode()
        request_id = answers.request_id(environ.get("HTTP_X_REQUEST_ID"))
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
            *own_headers,
            *answers.common_headers(request_id),
        ]
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            headers += origins.cors_headers(origin, self._allowed_origins).items()
        start_response("200 OK", headers)
        traceparent = environ.get("HTTP_TRACEPARENT")
        trace_id = None if traceparent is None else tracing.trace_id(traceparent)
        took_s = time.perf_counter() - begun_s
        about = (audit.action, audit.appkey, audit.user_id, audit.random_str)
        self._tell(Finished(lane.method, lane.route, 200, now_ms, took_s, request_id, trace_id, None, None, *about))
        return [content]  # granian sends a list at once, and anything else by a channel


def _read(environ: "WSGIEnvironment", length: int) -> bytes | None:
    """Return the body, or None if it ends early; Flask, which knows what to say of that, finds as much as came."""
    try:
        text: bytes = environ["wsgi.input"].read(length)
    except OSError:  # the connection broke, or what came is malformed
        text = b""
    if len(text) == length:
        return text
    environ["wsgi.input"] = BytesIO(text)
    return None


def _is_short(length: str) -> bool:
    return length.isascii() and length.isdecimal() and len(length) <= 4 and 0 < int(length) <= MAX_BYTES
