"""
The handlers of all routes under `/v1/`: payloads to issue and to verify, all that a page needs at its start, and media.

Imports `answer`, `request`, `json_body`, `presented`, `problems`, `escaping` and `errors`, and the rules of the rooms
above: `authenticator`, `limiter`, `apps`, `issuing`, `verifying`, `payload`, `accounts`, `media`, `media_url`, `store`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authsvc.auth.authenticator import Authenticator
from authsvc.errors import InvalidRequest, Refusal
from authsvc.escaping import escaped
from authsvc.payloads import issuing, payload, verifying
from authsvc.payloads.apps import Apps
from authsvc.ratelimit.limiter import Limiter
from authsvc.stores.store import Store
from authsvc.vendor.accounts import Accounts
from authsvc.vendor.media import MAX_BATCH, Media
from authsvc.vendor.media_url import Resource
from authsvc.web import json_body, problems
from authsvc.web.answer import Answer, of_json
from authsvc.web.presented import read_json
from authsvc.web.request import Request

_ISSUE_FIELDS = frozenset({"appkey", "random_str"})
_BOOTSTRAP_FIELDS = frozenset({"appkey", "renew_login"})
_EXPIRES_IN = ("X-Expires-In-Ms", str(payload.MAX_AGE_MS))


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers, and what they use. `sdk` is the member of the same name in the answer of bootstrap."""

    authenticator: Authenticator
    apps: Apps
    verifiers: verifying.Verifiers
    limiter: Limiter
    accounts: Accounts | None
    media: Media
    sdk: Mapping[str, object]
    store: Store
    now_ms: Callable[[], int]

    def auth_payload(self, request: Request) -> Answer:
        request.action = "issued"
        request.user_id = user_id = self.authenticator.authenticate(request, request.now_ms)
        fields = request.fields(_ISSUE_FIELDS, may_be_empty=True)
        # Nearly all requests have no body; two calls less for each.
        served = self.apps.find(json_body.text(fields, "appkey") if fields else None)
        request.appkey = appkey = served.appkey
        request.quota = self.limiter.hit(user_id, appkey, request.now_ms)
        random_str = json_body.text(fields, "random_str") if fields else None
        if random_str is not None:
            request.random_str = escaped(random_str)
        issued = issuing.issue(served, random_str=random_str, store=self.store, now_ms=request.now_ms)
        request.random_str = issued.random_str
        return Answer(issued.to_json().encode(), headers=(("X-Server-Time-Ms", str(request.now_ms)), _EXPIRES_IN))

    def bootstrap(self, request: Request) -> Answer:
        request.action = "issued"
        request.user_id = user_id = self.authenticator.authenticate(request, request.now_ms)
        fields = request.fields(_BOOTSTRAP_FIELDS, may_be_empty=True)
        served = self.apps.find(json_body.text(fields, "appkey"))
        request.appkey, renews = served.appkey, json_body.flag(fields, "renew_login")
        request.quota = self.limiter.hit(user_id, served.appkey, request.now_ms)
        login = None
        if self.accounts is not None:
            log_in = self.accounts.renew if renews else self.accounts.login
            login = log_in(served, user_id, request.now_ms)
        now_ms = self.now_ms()  # the registration with the vendor may have taken a while
        issued = issuing.issue(served, random_str=None, store=self.store, now_ms=now_ms)
        request.random_str = issued.random_str
        return of_json(
            {
                "sdk": self.sdk,
                "init": {**issued.to_dict(), "flag": served.app.flag},
                "server_time_ms": now_ms,
                "expires_in_ms": payload.MAX_AGE_MS,
                "login": login.to_dict() if login else None,
            }
        )

    def verify(self, request: Request) -> Answer:
        request.action = "verified"
        self.verifiers.check(request.header("Authorization"))
        presented, in_body = read_json(request.read(), content_type=request.content_type)
        request.appkey, request.random_str = escaped(presented.appkey), presented.random_str
        holder = verifying.holder_of(request.header(verifying.HOLDER), in_body)
        verifying.verify(presented, holder=holder, apps=self.apps, store=self.store, now_ms=request.now_ms)
        return of_json({"valid": True, "appkey": presented.appkey, "expires_at_ms": presented.expires_at_ms})

    def signature(self, request: Request) -> Answer:
        request.action = "issued"
        request.user_id = user_id = self.authenticator.authenticate(request, request.now_ms)
        fields = request.fields({"timestamp", "appkey", "randomStr"}, may_be_empty=False)
        served = self.apps.find(json_body.required(fields, "appkey"))
        request.appkey = served.appkey
        random_str, timestamp_ms = json_body.required(fields, "randomStr"), payload.parse_timestamp_ms(fields)
        request.random_str = escaped(random_str)
        request.quota = self.limiter.hit(user_id, served.appkey, request.now_ms)
        signed = issuing.sign_chosen(
            served, timestamp_ms=timestamp_ms, random_str=random_str, store=self.store, now_ms=request.now_ms
        )
        return Answer(signed.signature.encode(), media_type="text/plain; charset=utf-8")

    def resource(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        query = request.query({"media_id", "appkey", "fresh"})
        media_id, fresh = json_body.required(query, "media_id"), _is_fresh(query)
        served = self.apps.find(query.get("appkey"))
        return of_json(self.media.resolve(served, user_id, media_id, request.now_ms, fresh=fresh).to_dict())

    def redirect(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        query = request.query({"appkey", "fresh"})
        fresh, served = _is_fresh(query), self.apps.find(query.get("appkey"))
        found = self.media.resolve(served, user_id, request.rest, request.now_ms, fresh=fresh)
        until_ms = found.fresh_until_ms if found.expires_at_ms is None else found.expires_at_ms
        if fresh:
            until_ms = request.now_ms  # no browser may cache it: the next request for a fresh URL needs another one
        cache_control = f"private, max-age={max(0, until_ms - request.now_ms) // 1000}"
        return Answer(b"", media_type=None, status=302, headers=(("Location", found.url),), cache_control=cache_control)

    def resources(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        fields = request.fields({"media_ids", "appkey", "fresh"}, may_be_empty=False)
        media_ids, fresh = json_body.texts(fields, "media_ids", most=MAX_BATCH), json_body.flag(fields, "fresh")
        served = self.apps.find(json_body.text(fields, "appkey"))
        found = self.media.resolve_many(served, user_id, media_ids, request.now_ms, fresh=fresh)
        results = {media_id: _result(request, one) for media_id, one in found.items()}
        # A page that caches the URLs computes their age by this clock, not by its own.
        return of_json({"results": results}, headers=(("X-Server-Time-Ms", str(request.now_ms)),))


def _is_fresh(query: Mapping[str, str]) -> bool:
    value = query.get("fresh", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("fresh", "must be true or false")
    return value == "true"


def _result(request: Request, found: Resource | Refusal) -> dict[str, object]:
    if isinstance(found, Refusal):
        message = found.message.text(request.language.details)
        return {"code": problems.BY_REFUSAL[type(found)].code, "message": message}
    return found.to_dict()
