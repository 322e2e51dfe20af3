"""
One request to the app, a GET of AUTHSVC_LOGIN_URL, and what its answer means.

Gateways do the same and call it auth_request (nginx), forwardAuth (Traefik) or ext_authz (Envoy). How often the app is
asked is decided in the module that imports this one. Imports `http_client`, `tokens` for what a user id is,
`message` and `errors`.
"""

import json
import logging
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authsvc.auth.tokens import checked_user_id
from authsvc.errors import LoginUnavailable, NotLoggedIn
from authsvc.message import Message
from authsvc.outbound.http_client import Answer, BadAnswer, HttpClient, NoAnswer, TooSlow

TOTAL_S = 2.0  # for the request, its second try included
AT_ONCE = 16  # threads of a worker that may wait for the app; the others stay free for everything else
TRIES = 2  # the app may close a kept connection just as it is used
MAX_BYTES = 65_536
ASKED_HEADER = "X-Authsvc-Asks"  # authsvc rejects requests that have it, or it could ask itself in a loop
LOOP = "AUTHSVC_LOGIN_URL points to authsvc itself, not to the app"

_REFUSED = frozenset({401, 403})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DOWN = frozenset({502, 503, 504})  # from a proxy in front of the app
# What HTTP allows in a header, except the value that makes urllib3 omit the header.
_SENDABLE = re.compile(r"(?!@@@SKIP_HEADER@@@$)[\t\x20-\x7e\x80-\xff]*")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Presented:
    """The credentials of a request, unmodified; empty for a header that it does not have."""

    cookie: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    host: str = ""


class LoginUrl:
    """The app's login URL. Safe to use from many threads."""

    def __init__(self, url: str, *, user_header: str, user_field: str | None) -> None:
        """
        Take the URL, and the place of the user's id in its answer.

        Args:
            user_field: the member of a JSON answer, dotted if it is inside others; None for the header.
        """
        self._url = url
        self._path = _path(url)
        self._user_header = user_header
        self._user_field = user_field
        self._client = HttpClient(url, connections=AT_ONCE)
        self._has_warned = False

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def ask(self, presented: Presented, request_id: str = "") -> str:
        """
        Return the id of the user whose credentials these are.

        Args:
            request_id: of the request that has them, for the app's log.

        Raises:
            NotLoggedIn: the app rejects them.
            LoginUnavailable: the app gives no answer now, or an unknown one.
        """
        answer = self._answer(presented, request_id)
        if _is_of_authsvc(answer):
            raise LoginUnavailable(LOOP)
        if answer.status in _REFUSED:
            self._has_warned = False
            raise NotLoggedIn("the app rejects this login (status {status})", status=answer.status)
        if answer.status in _REDIRECTS:
            self._check_form(answer)
            raise NotLoggedIn(
                "the app redirects (status {status}), probably to a login form; it should answer 401",
                status=answer.status,
            )
        if answer.status != 200:
            raise LoginUnavailable(
                "the app answers AUTHSVC_LOGIN_URL with status {status}",
                status=answer.status,
                is_down=answer.status in _DOWN,
            )
        if self._user_field is not None:
            return _from_json(answer, self._user_field)
        return _from_header(answer, self._user_header)

    def _answer(self, presented: Presented, request_id: str) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": "authsvc", ASKED_HEADER: "1"}
        sent = {"Cookie": presented.cookie, "Authorization": presented.authorization}
        if not all(map(_SENDABLE.fullmatch, sent.values())):
            raise NotLoggedIn("Cookie or Authorization contains a character that HTTP does not allow in a header")
        sent |= {"Host": presented.host if _HOST.fullmatch(presented.host) else "", "X-Request-Id": request_id}
        headers |= {name: value for name, value in sent.items() if value}
        deadline_s = time.monotonic() + TOTAL_S
        tries = TRIES
        while True:
            tries -= 1
            try:
                return self._client.ask(
                    "GET",
                    self._url,
                    headers=headers,
                    within_s=max(0.001, deadline_s - time.monotonic()),
                    max_bytes=MAX_BYTES,
                )
            except BadAnswer as exc:
                raise LoginUnavailable("the app's answer from AUTHSVC_LOGIN_URL {what}", what=exc.message) from exc
            except NoAnswer as exc:
                if isinstance(exc, TooSlow) or not tries:
                    raise LoginUnavailable(
                        "the app at AUTHSVC_LOGIN_URL {what}", what=exc.message, is_down=True
                    ) from exc

    def _check_form(self, answer: Answer) -> None:
        """Raise LoginUnavailable if the redirect is to the same path: with https, or with a slash at its end."""
        if _path(answer.headers.get("Location", "")) == self._path:
            raise LoginUnavailable(
                "the app redirects AUTHSVC_LOGIN_URL (status {status}) to another form of it; set that form",
                status=answer.status,
            )
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "the app redirects (status %d) instead of answering 401; this counts as not logged in; if logged-in"
                " users are redirected too, AUTHSVC_LOGIN_URL is wrong",
                answer.status,
            )


def _path(url: str) -> str | None:
    """Return the path of a URL without a slash at its end; None if it is not a URL."""
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return None


def _is_of_authsvc(answer: Answer) -> bool:
    is_problem = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    return is_problem and b'"type":"/problems/' in answer.content


def _from_header(answer: Answer, name: str) -> str:
    value = answer.headers.get(name, "")
    if not value:
        raise _nameless(Message("{name} header", name=name))
    if "," in value:
        raise LoginUnavailable("the app's {name} header contains a comma or was sent twice", name=name)
    try:
        # http.client reads headers as Latin-1.
        user_id = value.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise LoginUnavailable("the app's {name} is not UTF-8 text", name=name) from None
    return checked_user_id(user_id, Message("the app's {name}", name=name))


def _from_json(answer: Answer, dotted: str) -> str:
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise LoginUnavailable("the app answers AUTHSVC_LOGIN_URL with status 200, but the body is not JSON") from None
    for name in dotted.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if found is None or found == "":
        raise _nameless(Message("{name}", name=dotted))
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise LoginUnavailable("the app's {name} is neither a string nor a whole number", name=dotted)
    return checked_user_id(str(found), Message("the app's {name}", name=dotted))


def _nameless(where: Message) -> LoginUnavailable:
    return LoginUnavailable(
        "the app answers AUTHSVC_LOGIN_URL with status 200 and no {where}, which names the user; if nobody is logged"
        " in, it must answer 401",
        where=where,
    )
