"""
How each refusal looks to programs: its name, status, code, and what a client may do next.

The one table from `errors` to HTTP; `english` and `chinese` have the words. Imports only `errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from authsvc import errors
from authsvc.errors import Refusal

Retry = Literal["never", "now", "after"]


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One kind of refusal (RFC 9457).

    `code` is the vendor's where its SDK has one, 889xxx are ours. `retry` is "never", "now" with a fresh payload, or
    "after" the seconds in Retry-After. `timed` ones have the server's time.
    """

    name: str
    status: int
    code: int
    retry: Retry = "never"
    timed: bool = False


NOT_READY = Problem("not-ready", 503, 882005, retry="after")
_UNAVAILABLE = Problem("temporarily-unavailable", 503, 882005, retry="after")

BY_STATUS: Mapping[int, Problem] = {
    404: Problem("no-such-route", 404, 880002),
    405: Problem("method-not-allowed", 405, 880002),
    413: Problem("body-too-large", 413, 880002),
    500: Problem("internal-error", 500, 882001, retry="after"),
}
BY_REFUSAL: Mapping[type[Refusal], Problem] = {
    errors.InvalidRequest: Problem("invalid-request", 400, 880002),
    errors.InvalidRandomStr: Problem("invalid-random-str", 400, 880003),
    errors.NotLoggedIn: Problem("not-logged-in", 401, 882004),
    errors.NotLoggedInYet: Problem("not-logged-in-yet", 401, 882004, retry="after", timed=True),
    errors.CrossSite: Problem("cross-site", 403, 889005),
    errors.UnknownAppkey: Problem("unknown-appkey", 404, 880101),
    errors.InvalidMediaId: Problem("invalid-media-id", 400, 880003),
    errors.UnknownMedia: Problem("unknown-media", 404, 880005),
    errors.AccountTaken: Problem("account-taken", 409, 889006),
    errors.VendorRefused: Problem("vendor-refused", 502, 889004),
    errors.VendorBusy: Problem("vendor-busy", 503, 882005, retry="after"),
    errors.VendorSlow: Problem("vendor-slow", 504, 882005, retry="after"),
    errors.Replayed: Problem("replayed", 409, 889001, retry="now"),
    errors.BadSignature: Problem("bad-signature", 422, 880102, retry="now"),
    errors.Expired: Problem("expired", 422, 880106, retry="now", timed=True),
    errors.NotYetValid: Problem("not-yet-valid", 422, 889002, retry="now", timed=True),
    errors.TooManyRequests: Problem("too-many-requests", 429, 889003, retry="after"),
    errors.StoreUnavailable: _UNAVAILABLE,
    errors.KeysUnavailable: _UNAVAILABLE,
    errors.LoginUnavailable: _UNAVAILABLE,
}
BY_NAME: Mapping[str, Problem] = {
    problem.name: problem for problem in (*BY_REFUSAL.values(), *BY_STATUS.values(), NOT_READY)
}


def to_dict(problem: Problem, *, title: str, detail: str, request_id: str, now_ms: int) -> dict[str, object]:
    """Return the members of an application/problem+json body."""
    members: dict[str, object] = {
        "type": f"/problems/{problem.name}",
        "title": title,
        "status": problem.status,
        "detail": detail,
        "request_id": request_id,
        "retry": problem.retry,
        "code": problem.code,
        "message": detail,
    }
    return members | ({"server_time_ms": now_ms} if problem.timed else {})
