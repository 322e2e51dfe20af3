"""
The payload routes: issue one, alone or with all that a page needs at its start; verify one; sign one for jchat-web.

Imports `issuing`, `verifying`, `payload`, `json_body`, `presented`, `apps` and `escaping`.
"""

from authsvc.escaping import escaped
from authsvc.payloads import issuing, payload, verifying
from authsvc.payloads.apps import Served
from authsvc.payloads.payload import MAX_AGE_MS
from authsvc.web import json_body
from authsvc.web.answer import Answer, of_json
from authsvc.web.presented import read_json
from authsvc.web.request import Request
from authsvc.web.services import Services

_ISSUE_FIELDS = frozenset({"appkey", "random_str"})
_BOOTSTRAP_FIELDS = frozenset({"appkey", "renew_login"})
_EXPIRES_IN = ("X-Expires-In-Ms", str(MAX_AGE_MS))


def auth_payload(services: Services, request: Request) -> Answer:
    user_id = _authenticate(services, request)
    fields = request.fields(_ISSUE_FIELDS, may_be_empty=True)
    served = _find(services, request, json_body.text(fields, "appkey"))
    request.quota = services.limiter.hit(user_id, served.appkey, request.now_ms)
    random_str = json_body.text(fields, "random_str")
    request.random_str = None if random_str is None else escaped(random_str)
    issued = issuing.issue(served, random_str=random_str, store=services.store, now_ms=request.now_ms)
    request.random_str = issued.random_str
    return Answer(issued.to_json().encode(), headers=(("X-Server-Time-Ms", str(request.now_ms)), _EXPIRES_IN))


def bootstrap(services: Services, request: Request) -> Answer:
    user_id = _authenticate(services, request)
    fields = request.fields(_BOOTSTRAP_FIELDS, may_be_empty=True)
    served, renews = _find(services, request, json_body.text(fields, "appkey")), json_body.flag(fields, "renew_login")
    request.quota = services.limiter.hit(user_id, served.appkey, request.now_ms)
    login = None
    if services.accounts is not None:
        log_in = services.accounts.renew if renews else services.accounts.login
        login = log_in(served, user_id, request.now_ms)
    now_ms = services.now_ms()  # the registration with the vendor may have taken a while
    issued = issuing.issue(served, random_str=None, store=services.store, now_ms=now_ms)
    request.random_str = issued.random_str
    return of_json(
        {
            "sdk": services.sdk,
            "init": {**issued.to_dict(), "flag": served.app.flag},
            "server_time_ms": now_ms,
            "expires_in_ms": MAX_AGE_MS,
            "login": login.to_dict() if login else None,
        }
    )


def verify(services: Services, request: Request) -> Answer:
    request.action = "verified"
    services.verifiers.check(request.header("Authorization"))
    presented, in_body = read_json(request.read(), content_type=request.content_type)
    request.appkey, request.random_str = escaped(presented.appkey), presented.random_str
    holder = verifying.holder_of(request.header(verifying.HOLDER), in_body)
    verifying.verify(presented, holder=holder, apps=services.apps, store=services.store, now_ms=request.now_ms)
    return of_json({"valid": True, "appkey": presented.appkey, "expires_at_ms": presented.expires_at_ms})


def signature(services: Services, request: Request) -> Answer:
    user_id = _authenticate(services, request)
    fields = request.fields({"timestamp", "appkey", "randomStr"}, may_be_empty=False)
    served = _find(services, request, json_body.required(fields, "appkey"))
    random_str, timestamp_ms = json_body.required(fields, "randomStr"), payload.parse_timestamp_ms(fields)
    request.random_str = escaped(random_str)
    request.quota = services.limiter.hit(user_id, served.appkey, request.now_ms)
    signed = issuing.sign_chosen(
        served, timestamp_ms=timestamp_ms, random_str=random_str, store=services.store, now_ms=request.now_ms
    )
    return Answer(signed.signature.encode(), media_type="text/plain; charset=utf-8")


def _authenticate(services: Services, request: Request) -> str:
    request.action = "issued"
    request.user_id = user_id = services.authenticator.authenticate(request, request.now_ms)
    return user_id


def _find(services: Services, request: Request, appkey: str | None) -> Served:
    served = services.apps.find(appkey)
    request.appkey = served.appkey
    return served
