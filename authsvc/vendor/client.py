"""
The client of the JMessage REST API, the only one.

Each failure becomes one of our refusals: a 401 of the vendor is about our credentials and is never passed on as a 401.
Nothing is tried more than twice. Imports `answer`, `http_client`, `circuit_breaker`, `budget`, `apps`, `clock`,
`availability` and `errors`.
"""

import base64
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import quote

from authsvc import __version__, clock
from authsvc.errors import TooManyRequests, UnknownMedia, VendorBusy, VendorRefused, VendorSlow
from authsvc.outbound.availability import Availability
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.outbound.http_client import BadAnswer, HttpClient, NoAnswer, TooSlow
from authsvc.payloads.apps import Served
from authsvc.vendor.answer import USER_EXISTS, Answer
from authsvc.vendor.budget import Budget

SLOTS = 16  # calls at once in a worker: a batch of 100 is done in seven times what one call takes
TRY_S = 2.0  # for a request and its whole answer
TOTAL_S = 3.0  # for one call with its second try
TRIES = 2
BACKOFF_S = 0.2  # full jitter: up to this, doubled each time
MAX_BYTES = 65_536

OnCall = Callable[[str, str, float], object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An app's credentials for HTTP Basic."""

    appkey: str
    master_secret: str = field(repr=False)

    @classmethod
    def of(cls, app: Served) -> Self:
        """Return the current ones of an app."""
        return cls(app.appkey, app.app.master_secret.reveal())


class Vendor:
    """
    The API at one base URL. Safe to use from many threads.

    Every method raises `VendorRefused` (our credentials, or an unknown answer), `VendorBusy` (its limit, our budget,
    its fault, or no connection) and `VendorSlow` (no answer within `total_s` seconds). `offset_ms` is this clock less
    the vendor's by its last answer, whose Date has whole seconds: half a second is in doubt.
    """

    def __init__(
        self,
        url: str,
        *,
        budget: Budget,
        breaker: CircuitBreaker,
        now_ms: Callable[[], int] = clock.now_ms,
        total_s: float = TOTAL_S,
        on_call: OnCall = lambda *_: None,
        trace_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """
        Take the API's base URL and what guards it.

        Args:
            on_call: takes each request that was sent: the operation, its outcome, and its time in seconds.
            trace_headers: the headers that make a request part of a trace.
        """
        self.total_s = total_s
        self.offset_ms: int | None = None
        self._on_call = on_call
        self._trace_headers = trace_headers
        self.url = url.rstrip("/")
        self._budget = budget
        self._breaker = breaker
        self._now_ms = now_ms
        self._client = HttpClient(url, connections=SLOTS)
        self._availability = Availability("the vendor", "AUTHSVC_VENDOR_URL")
        self._refused: set[str] = set()

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def is_unavailable(self) -> bool:
        """Return whether the vendor has failed repeatedly and has not answered since."""
        return self._breaker.is_open()

    def resource_url(
        self, credentials: Credentials, media_id: str, *, again: Callable[[], object] = lambda: None
    ) -> str:
        """
        Return the current URL of the media, unmodified.

        Args:
            again: called before a second try; there is none if it raises TooManyRequests.

        Raises:
            UnknownMedia: the vendor does not know it.
        """
        path = f"/v1/resource?mediaId={quote(media_id, safe='')}"
        answer = self._call("GET", path, credentials, again=again)
        if answer.resource_url is not None:
            return answer.resource_url
        if answer.is_unknown_media:
            raise UnknownMedia
        raise VendorRefused("the vendor's answer for this media_id has an unknown form")

    def register(self, credentials: Credentials, username: str, password: str) -> bool:
        """Register an IM account and return True; False if the username already exists."""
        answer = self._call("POST", "/v1/users/", credentials, body=[{"username": username, "password": password}])
        if answer.code == USER_EXISTS:
            return False
        if answer.status == 201 and answer.code is None:
            return True
        raise VendorRefused("the vendor did not register the user ({answer})", answer=answer.message)

    def set_password(self, credentials: Credentials, username: str, password: str) -> None:
        """Give an existing IM account this password."""
        path = f"/v1/users/{quote(username, safe='')}/password"
        answer = self._call("PUT", path, credentials, body={"new_password": password})
        if answer.status != 204:
            raise VendorRefused("the vendor did not set the password ({answer})", answer=answer.message)

    def is_sdk_registering(self, credentials: Credentials) -> bool | None:
        """Return whether anybody with a payload can register usernames by the SDK; None if the answer has neither."""
        answer = self._call("GET", "/v1/sdkregister/status", credentials)
        match answer.body:
            case {"status": 0 | 1 as status} if answer.status == 200:
                return bool(status)
            case _:
                return None

    def clock_ms(self, credentials: Credentials) -> int | None:
        """
        Make one harmless call with these credentials and return the vendor's clock, Unix ms; None if it has no Date.

        Raises:
            VendorRefused: also if the answer is not the vendor's, but that of a captive portal or of another service.
        """
        answer = self._call("GET", "/v1/resource?mediaId=authsvc%2Fcheck", credentials)
        if answer.status in (401, 403):
            raise answer.refusal(credentials.appkey)
        if answer.resource_url is None and not answer.is_error:
            kind = str(answer.headers.get("Content-Type", "no content type"))
            raise VendorRefused(
                "the answer is not from the vendor's API (status {status}, {kind!a})",
                status=answer.status,
                kind=kind[:100],
            )
        return answer.date_ms

    def _call(
        self,
        method: Literal["GET", "PUT", "POST"],
        path: str,
        credentials: Credentials,
        *,
        body: object = None,
        again: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Return the vendor's answer; raise for what concerns the vendor itself, or our credentials."""
        deadline_s = time.monotonic() + self.total_s
        tries = 1 if method == "POST" else TRIES
        while True:
            self._breaker.check()
            self._budget.spend(credentials.appkey, self._now_ms())
            tries -= 1
            begun_s = time.perf_counter()
            try:
                answer = self._ask(method, path, credentials, body, deadline_s)
            except (VendorBusy, VendorSlow) as exc:
                self._on_call(method, type(exc).__name__, time.perf_counter() - begun_s)
                self._breaker.failed()
                self._availability.failed(exc)
                if self._breaker.is_open():
                    self._availability.look()
                pause_s = random.uniform(0, BACKOFF_S)  # noqa: S311 -- full jitter, nobody's secret
                if not tries or self._breaker.is_open() or time.monotonic() + pause_s > deadline_s:
                    raise
                try:
                    again()
                except TooManyRequests:
                    raise exc from exc.__cause__
                time.sleep(pause_s)
            else:
                self._on_call(method, str(answer.status), time.perf_counter() - begun_s)
                self._breaker.succeeded()
                self._availability.succeeded()
                self._availability.look()
                vendor_ms = answer.date_ms
                if vendor_ms is not None:
                    self.offset_ms = self._now_ms() - vendor_ms
                self._check(answer, credentials)
                return answer

    def _ask(self, method: str, path: str, credentials: Credentials, body: object, deadline_s: float) -> Answer:
        basic = base64.b64encode(f"{credentials.appkey}:{credentials.master_secret}".encode()).decode()
        try:
            received = self._client.ask(
                method,
                self.url + path,
                headers={
                    **self._trace_headers(),
                    "Authorization": f"Basic {basic}",
                    "User-Agent": f"authsvc/{__version__}",
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                },
                body=None if body is None else json.dumps(body).encode(),
                within_s=max(0.001, min(TRY_S, deadline_s - time.monotonic())),
                max_bytes=MAX_BYTES,
            )
        except TooSlow as exc:
            raise VendorSlow from exc
        except BadAnswer as exc:
            raise VendorRefused("the vendor's answer {what}", what=exc.message) from exc
        except NoAnswer as exc:
            raise VendorBusy("the vendor {what}", what=exc.message) from exc
        answer = Answer.parse(received.status, received.headers, received.content)
        if answer.is_fault:
            raise VendorBusy("the vendor reports an error of its own ({answer})", answer=answer.message)
        return answer

    def _check(self, answer: Answer, credentials: Credentials) -> None:
        appkey = credentials.appkey
        if answer.is_limit or answer.limit_left == "0":
            self._budget.close(appkey, self._now_ms() + 1000 * answer.limit_reset_s)
        if answer.is_limit:
            raise VendorBusy("the vendor's rate limit is exhausted", retry_after_s=answer.limit_reset_s)
        if answer.is_of_credentials:
            refusal = answer.refusal(appkey)
            if appkey not in self._refused:
                self._refused.add(appkey)
                _log.error("%s; compare the masterSecret with the vendor's console", refusal)
            raise refusal
        if appkey in self._refused:
            self._refused.discard(appkey)
            _log.warning("the vendor accepts the credentials for appkey %s again", appkey)
