"""
Every refusal and its help page in English.

Imports `language`.
"""

from authsvc.web.language import Language, PageWords, ProblemText

ENGLISH = Language(
    tag="en",
    name="English",
    page=PageWords(
        meaning="What it means",
        remedy="What to do",
        code="code",
        retry={
            "never": "The same request will be refused again.",
            "now": "Retry at once, with a fresh payload.",
            "after": "Retry after the seconds in `Retry-After`.",
        },
    ),
    details={},
    problems={
        "invalid-request": ProblemText(
            "Invalid request",
            "The body is not a JSON object, or a field is unknown, missing, or of the wrong type or form. `detail`"
            " names the field and the rule.",
            "Send the fields that `/openapi.yaml` lists, as JSON with `Content-Type: application/json`. A timestamp is"
            " in milliseconds: 13 digits. User, time and signature are never taken from a body that asks for a"
            " payload: a page that sent more to the signing route it had before, or whose request wrapper adds a field"
            " to every body, leaves it out; an empty body will do. docs/recipes/other-answer.md shows such pages.",
        ),
        "invalid-random-str": ProblemText(
            "Invalid random_str",
            "A random_str is 20 to 36 characters of A-Z a-z 0-9 _ -.",
            "Leave it out: authsvc makes one from the system's random source. If you must send your own, generate it"
            " for every request anew, with `crypto.getRandomValues`.",
        ),
        "not-logged-in": ProblemText(
            "Not logged in",
            "Payloads are for logged-in users of the app. The request has no credential that this service is set up to"
            " accept, or a bad one; `detail` names the reason.",
            "Log the user in to the app, then send the request again. Developers: a page sends its cookie with"
            " `credentials: 'include'` and its token as `Authorization: Bearer`; docs/login.md has a recipe for each"
            " way of logging in.",
        ),
        "not-logged-in-yet": ProblemText(
            "Not logged in yet",
            "The credential begins in the future by this host's clock: a token's `iat` or `nbf`, or the time of a"
            " session cookie, is more than 5 seconds ahead.",
            "If it stays, the clock of the login service or of this host is wrong: compare `server_time_ms` with yours."
            " Operators: `AUTHSVC_JWT_LEEWAY_S` allows more.",
        ),
        "cross-site": ProblemText(
            "Cross-site request refused",
            "The request carries a login that the browser adds by itself, and comes from a page of another origin.",
            "Where the page and the service share an origin, check that the reverse proxy forwards the Host header."
            " Where another site of yours has the page, have the operator add its origin to `AUTHSVC_ALLOWED_ORIGINS`.",
        ),
        "unknown-appkey": ProblemText(
            "Unknown appkey",
            "This service does not serve this appkey.",
            "Compare it with the vendor's console and with `AUTHSVC_APPKEY` or the apps file; leave it out for the"
            " default app.",
        ),
        "invalid-media-id": ProblemText(
            "Invalid media_id",
            "A media_id is 1 to 255 characters of A-Z a-z 0-9 _ . / - without '..' and without a leading '//'.",
            "Send it exactly as the vendor's message or profile has it; in a path or a query, percent-encoded once.",
        ),
        "unknown-media": ProblemText(
            "Unknown media",
            "The vendor does not know this media_id.",
            "Check that it belongs to this app; show a placeholder. authsvc asks the vendor again after ten seconds at"
            " the earliest.",
        ),
        "account-taken": ProblemText(
            "Account taken",
            "The IM account of this user exists already, and this service has no record of registering it: somebody"
            " else registered the username, or the store that had the record is lost. A login to it would fail, or be"
            " somebody else's.",
            "Operators: look in the vendor's console whose account it is. Delete one that somebody registered who is"
            " not its user; if all that exist are your users', `AUTHSVC_ACCOUNT_ADOPT=true` gives each our password"
            " when its user logs in. Turn registration by the SDK off there, or set"
            " `AUTHSVC_ACCOUNT_NAMES=derived`.",
        ),
        "vendor-refused": ProblemText(
            "Vendor refused",
            "The vendor does not accept this service's credentials, or its answer is unusable: an HTML page, a"
            " redirect, or a URL on a host that is not allowed. The user's own login is not the cause.",
            "Operators: `authsvc check` tries the masterSecret with the vendor; compare `AUTHSVC_VENDOR_URL` and"
            " `AUTHSVC_MEDIA_HOSTS`.",
        ),
        "vendor-busy": ProblemText(
            "Vendor busy",
            "The vendor's REST API is unavailable, or this app's share of calls is used up: the vendor's own limit, or"
            " `AUTHSVC_VENDOR_BUDGET`, which keeps below it.",
            "A URL that is known already is still served, and payloads are issued and verified. Request many media ids"
            " at once with `POST /v1/resources`, and keep a URL until `expires_at_ms`.",
        ),
        "vendor-slow": ProblemText(
            "Vendor slow",
            "The vendor's REST API did not answer in time.",
            "Only media and IM accounts depend on it; payloads are issued and verified without it.",
        ),
        "replayed": ProblemText(
            "Replayed",
            "A payload is good once, and a random_str is signed once. This one was used before.",
            "Get a fresh payload for every `JIM.init`; do not keep one, and do not share one between tabs."
            " docs/recipes/kept-payload.md shows a page that did.",
        ),
        "bad-signature": ProblemText(
            "Bad signature",
            "The signature is not the MD5 of these fields under the app's masterSecret: a field was changed on the way,"
            " or another secret signed it.",
            "Send the payload on exactly as it came, timestamp included. If all are refused, the masterSecret here and"
            " the one in the vendor's console differ: `authsvc verify` names the rule that fails.",
        ),
        "expired": ProblemText(
            "Expired",
            "A payload is valid for 10 minutes from its timestamp, to the millisecond. One that is older than the"
            " store's data counts as expired too, because the record of its use may be lost.",
            "Get a fresh payload right before `JIM.init`, after the socket is open; docs/recipes/kept-payload.md shows"
            " a page that kept one. If fresh ones expire, a clock is wrong: compare `server_time_ms` with yours.",
        ),
        "not-yet-valid": ProblemText(
            "Not yet valid",
            "The timestamp is more than 30 seconds in the future.",
            "Get a fresh payload; authsvc sets its timestamp by its own clock. If it happens again, two servers' clocks"
            " differ.",
        ),
        "too-many-requests": ProblemText(
            "Too many requests",
            "This user has reached the rate limit for this app; `RateLimit-Policy` has the limit.",
            "One payload per `JIM.init` is enough; look for a loop that initialises again and again.",
        ),
        "temporarily-unavailable": ProblemText(
            "Temporarily unavailable",
            "Something that this answer depends on is unavailable: the store, without which nobody can know that a"
            " payload is used once, the login service's keys, or the app that knows who is logged in. Nothing is"
            " accepted unchecked meanwhile.",
            "Operators: `/readyz` shows the store; the log, or `authsvc check`, shows the keys and the app.",
        ),
        "not-ready": ProblemText(
            "Not ready",
            "This instance should get no new traffic: one of the checks in the answer is not ok.",
            "Operators: `store` must take a write, and the log has the reason why it does not; `clock` compares this"
            " host with the store's, `background` is the thread that watches secret files, and `draining` means that"
            " the instance is stopping. `secrets` names settings whose files cannot be used now; the instance serves"
            " with what it had before.",
        ),
        "no-such-route": ProblemText(
            "No such route",
            "authsvc has nothing at this path.",
            "Compare the path with `/openapi.yaml`. Behind a gateway, check which prefix it strips.",
        ),
        "method-not-allowed": ProblemText(
            "Method not allowed",
            "The path exists, but not with this method; the `Allow` header lists those it has.",
            "Payloads are issued and verified by POST, so that nothing on the way keeps a copy. A page that used GET"
            " changes the method alone: its cookie or token goes along as before, and the body may be empty."
            " docs/recipes/other-answer.md shows such pages.",
        ),
        "body-too-large": ProblemText(
            "Body too large",
            "The body is larger than 64 KiB.",
            "No request to authsvc needs more than a few hundred bytes; send only the fields that `/openapi.yaml`"
            " lists.",
        ),
        "internal-error": ProblemText(
            "Internal error",
            "authsvc failed unexpectedly. The fault is ours; the log has the details under the request id.",
            "If it stays, give the request id to the operator of this service.",
        ),
    },
)
