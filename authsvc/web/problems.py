"""
How each refusal looks outside: its name, status, code, what a client may do next, and its help page.

The one table from `errors` to HTTP. Imports only `errors`, and nothing of Flask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

from authsvc import errors
from authsvc.errors import Refusal

Retry = Literal["never", "now", "after"]


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One kind of refusal (RFC 9457).

    `code` is the vendor's where its SDK has one, 889xxx are ours. `retry` is "never", "now" with a fresh payload, or
    "after" the seconds in Retry-After. `timed` ones tell the server's time.
    """

    name: str
    status: int
    code: int
    title: str
    meaning: str
    remedy: str
    retry: Retry = "never"
    timed: bool = False


_NO_ROUTE = Problem(
    "no-such-route",
    404,
    880002,
    "No such route",
    "No resource of authsvc has this path.",
    "Compare the path with /openapi.yaml. Behind a gateway, check which prefix it strips.",
)
_NO_METHOD = Problem(
    "method-not-allowed",
    405,
    880002,
    "Method not allowed",
    "The path exists, but not with this method; the Allow header names those it has.",
    "Payloads are issued and verified by POST, so that nothing on the way keeps a copy.",
)
_TOO_LARGE = Problem(
    "body-too-large",
    413,
    880002,
    "Body too large",
    "The body is larger than 64 KiB.",
    "No request to authsvc needs more than a few hundred bytes; send only the fields that /openapi.yaml lists.",
)
_OURS = Problem(
    "internal-error",
    500,
    882001,
    "Internal error",
    "authsvc failed in a way that it does not know. The fault is ours; the log has the details under the request id.",
    "Try again a little later. If it stays, give the request id to whoever operates this service.",
    retry="after",
)
_AWAY = Problem(
    "temporarily-unavailable",
    503,
    882005,
    "Temporarily unavailable",
    "Something that this answer depends on is away: the store, without which a payload's single use cannot be"
    " assured, the login service's keys, or the app that is asked who is logged in. Nothing is waved through"
    " meanwhile.",
    "Try again after the seconds in Retry-After. Operators: /readyz names what is away.",
    retry="after",
)
_BUSY = Problem(
    "vendor-busy",
    503,
    882005,
    "Vendor busy",
    "The vendor's REST API is away or has trouble, or this app's share of calls is spent: the vendor's own limit, or"
    " AUTHSVC_VENDOR_BUDGET, which keeps below it.",
    "Try again after the seconds in Retry-After; a URL that is known already is still served. Ask for many media ids at"
    " once with POST /v1/resources, and keep a URL until expires_at_ms. Issuing and verifying payloads go on.",
    retry="after",
)
_NOT_READY = Problem(
    "not-ready",
    503,
    882005,
    "Not ready",
    "This instance should get no new traffic: one of the checks in the answer is not ok.",
    "Operators: `store` must take a write, and the log says why it does not; `clock` compares this host with the"
    " store's, `background` is the thread that watches secret files, and `draining` means that it was asked to stop."
    " `secrets` names settings whose files cannot be used now; the instance serves with what it had before.",
    retry="after",
)

BY_STATUS: Mapping[int, Problem] = {404: _NO_ROUTE, 405: _NO_METHOD, 413: _TOO_LARGE, 500: _OURS}
NOT_READY = _NOT_READY

BY_REFUSAL: Mapping[type[Refusal], Problem] = {
    errors.InvalidRequest: Problem(
        "invalid-request",
        400,
        880002,
        "Invalid request",
        "The body is not a JSON object, or a field is unknown, missing, or of the wrong type or form. `detail` names"
        " the field and the rule.",
        "Send the fields that /openapi.yaml lists, as JSON with Content-Type: application/json. A timestamp is in"
        " milliseconds: 13 digits. User, time and signature are never taken from a body that asks for a payload.",
    ),
    errors.InvalidRandomStr: Problem(
        "invalid-random-str",
        400,
        880003,
        "Invalid random_str",
        "A random_str is 20 to 36 characters of A-Z a-z 0-9 _ -.",
        "Leave it out: authsvc makes one from the system's random source. If you must send your own, draw it anew for"
        " every request, from crypto.getRandomValues.",
    ),
    errors.NotLoggedIn: Problem(
        "not-logged-in",
        401,
        882004,
        "Not logged in",
        "Payloads are for logged-in users of the app. The request has no credential that this service is set up to"
        " accept, or a bad one; `detail` says which.",
        "Log the user in to the app, then ask again. Developers: a page sends its cookie with credentials: 'include'"
        " and its token as Authorization: Bearer; docs/login.md has a recipe for each way.",
    ),
    errors.NotLoggedInYet: Problem(
        "not-logged-in-yet",
        401,
        882004,
        "Not logged in yet",
        "The credential is of a time that has not come yet by this host's clock: a token's iat or nbf, or a session"
        " cookie, more than 5 seconds ahead.",
        "Try again after the seconds in Retry-After. If it stays, the clock of the login service or of this host is"
        " wrong: compare server_time_ms with yours. Operators: AUTHSVC_JWT_LEEWAY_S.",
        retry="after",
        timed=True,
    ),
    errors.CrossSite: Problem(
        "cross-site",
        403,
        889005,
        "Cross-site request refused",
        "The request carries a login that the browser adds by itself, and comes from a page of another origin.",
        "If that page is yours, have the operator add its origin to AUTHSVC_ALLOWED_ORIGINS.",
    ),
    errors.UnknownAppkey: Problem(
        "unknown-appkey",
        404,
        880101,
        "Unknown appkey",
        "The appkey is none of those served here.",
        "Compare it with the vendor's console and with AUTHSVC_APPKEY or the apps file; leave it out for the default.",
    ),
    errors.InvalidMediaId: Problem(
        "invalid-media-id",
        400,
        880003,
        "Invalid media_id",
        "A media_id is 1 to 255 characters of A-Z a-z 0-9 _ . / - without '..' and without a leading '//'.",
        "Pass it on exactly as the vendor's message or profile has it; in a path or a query, percent-encoded once.",
    ),
    errors.UnknownMedia: Problem(
        "unknown-media",
        404,
        880005,
        "Unknown media",
        "The vendor does not know this media_id.",
        "Check that it belongs to this app; show a placeholder. It is asked again after ten seconds at the earliest.",
    ),
    errors.AccountTaken: Problem(
        "account-taken",
        409,
        889006,
        "Account taken",
        "The IM account of this user exists already, and this service does not know it as one that it registered:"
        " somebody else registered the username, or the store that knew it is lost. A login to it would fail, or be"
        " somebody else's.",
        "Operators: see in the vendor's console whose account it is. Delete one that somebody made who is not its user;"
        " if all that exist are your users', AUTHSVC_ACCOUNT_ADOPT=true gives each our password when its user logs in."
        " Turn registration by the SDK off there, or set AUTHSVC_ACCOUNT_NAMES=derived.",
    ),
    errors.VendorRefused: Problem(
        "vendor-refused",
        502,
        889004,
        "Vendor refused",
        "The vendor does not accept this service's credentials, or gave an answer that makes no sense, such as a page"
        " of HTML, a redirect or a URL on a host that is not allowed. The user's own login is not the matter.",
        "Operators: `authsvc check` proves the masterSecret against the vendor; compare AUTHSVC_VENDOR_URL and"
        " AUTHSVC_MEDIA_HOSTS.",
    ),
    errors.VendorBusy: _BUSY,
    errors.VendorSlow: Problem(
        "vendor-slow",
        504,
        882005,
        "Vendor slow",
        "The vendor's REST API did not answer in time.",
        "Try again after the seconds in Retry-After. Issuing and verifying payloads do not depend on it.",
        retry="after",
    ),
    errors.Replayed: Problem(
        "replayed",
        409,
        889001,
        "Replayed",
        "A payload is good once, and a random_str is signed once. This one was used before.",
        "Get a fresh payload for every JIM.init; never keep one, never share one between tabs.",
        retry="now",
    ),
    errors.BadSignature: Problem(
        "bad-signature",
        422,
        880102,
        "Bad signature",
        "The signature is not the MD5 of these fields under the app's masterSecret: a field was changed on the way, or"
        " another secret signed it.",
        "Hand the payload on exactly as it came, timestamp included. If all are refused, the masterSecret here and the"
        " one in the vendor's console differ: `authsvc verify` tells which rule fails.",
        retry="now",
    ),
    errors.Expired: Problem(
        "expired",
        422,
        880106,
        "Expired",
        "A payload lives 10 minutes from its timestamp, to the millisecond. One that is older than the store's memory"
        " counts as expired too, because its use could have been forgotten.",
        "Get a fresh payload right before JIM.init, after the socket is up. If fresh ones expire, a clock is wrong:"
        " compare server_time_ms with yours.",
        retry="now",
        timed=True,
    ),
    errors.NotYetValid: Problem(
        "not-yet-valid",
        422,
        889002,
        "Not yet valid",
        "The timestamp is more than 30 seconds in the future.",
        "Get a fresh payload; authsvc stamps it by its own clock. If it happens again, two servers' clocks differ.",
        retry="now",
        timed=True,
    ),
    errors.TooManyRequests: Problem(
        "too-many-requests",
        429,
        889003,
        "Too many requests",
        "This user has spent the limit of requests for this app; RateLimit-Policy tells the limit.",
        "Wait for the seconds in Retry-After. One payload per JIM.init is enough; look for a loop that re-initialises.",
        retry="after",
    ),
    errors.StoreUnavailable: _AWAY,
    errors.KeysUnavailable: _AWAY,
    errors.LoginUnavailable: _AWAY,
}


def all_problems() -> dict[str, Problem]:
    """Return every problem by its name."""
    return {problem.name: problem for problem in (*BY_REFUSAL.values(), *BY_STATUS.values(), NOT_READY)}


def to_dict(problem: Problem, *, detail: str, request_id: str, now_ms: int) -> dict[str, object]:
    """Return the members of an application/problem+json body."""
    members: dict[str, object] = {
        "type": f"/problems/{problem.name}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "request_id": request_id,
        "retry": problem.retry,
        "code": problem.code,
        "message": detail,
    }
    return members | ({"server_time_ms": now_ms} if problem.timed else {})


def help_page(problem: Problem) -> str:
    """Return the problem's help page, HTML."""
    again = {
        "never": "not by itself: something has to change first",
        "now": "at once, with a fresh payload",
        "after": "after the seconds in Retry-After",
    }[problem.retry]
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(problem.title)} · authsvc</title>
<h1>{escape(problem.title)}</h1>
<p>HTTP {problem.status} · code {problem.code} · <code>/problems/{escape(problem.name)}</code></p>
<h2>What it means</h2>
<p>{escape(problem.meaning)}</p>
<h2>What to do</h2>
<p>{escape(problem.remedy)}</p>
<p>Try again: {again}.</p>
</html>
"""
