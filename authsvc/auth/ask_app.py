"""
Ask the app: the way of logging in for back ends whose sessions and tokens only they can read (AUTHSVC_LOGIN_URL).

An answer is cached for some seconds, by the digest of the credentials. Requests with the same credentials share one
request to the app (single flight). At most `AT_ONCE` threads wait for the app, and none while the circuit breaker is
open. Imports `authenticator`, `auth_request`, `token_cache`, `bulkhead`, `circuit_breaker`, `availability`, `clock`,
`message` and `errors`.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from authsvc import clock
from authsvc.auth.auth_request import ASKED_HEADER, AT_ONCE, LOOP, LoginUrl, Presented
from authsvc.auth.authenticator import RequestLike
from authsvc.auth.token_cache import TokenCache
from authsvc.errors import LoginUnavailable, NotLoggedIn
from authsvc.message import Message
from authsvc.outbound.availability import Availability
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.outbound.circuit_breaker import CircuitBreaker

SETTLED_S = 5.0  # without a failure, until the log has that the app is available again
REFUSED_MS = 1000  # a refusal is cached no longer: many apps keep the session's id when its user logs in

OnCall = Callable[[str, str, float], object]
# Browsers add these by themselves after the user has entered the password. Any other scheme is set by a script.
_OF_BROWSERS = frozenset({"basic", "digest", "negotiate", "ntlm"})


class AppLogin:
    """The app's answers about logins. Safe to use from many threads."""

    def __init__(
        self,
        url: LoginUrl,
        *,
        cache_s: int,
        now_ms: Callable[[], int] = clock.now_ms,
        on_call: OnCall = lambda *_: None,
    ) -> None:
        """
        Take the URL to ask, and for how many seconds after the request an answer is cached.

        Args:
            on_call: takes each request to the app: the operation, its outcome, and its time in seconds.
        """
        self._url = url
        self._cache_ms = cache_s * 1000
        self._now_ms = now_ms
        self._on_call = on_call
        self._bulkhead = Bulkhead(AT_ONCE, LoginUnavailable)
        self._breaker = CircuitBreaker(LoginUnavailable)
        self._availability = Availability(str(LoginUnavailable.service), "AUTHSVC_LOGIN_URL", settled_s=SETTLED_S)
        self._users = TokenCache[str]()
        self._refusals = TokenCache[Message]()
        self._lock = threading.Lock()
        self._flights: dict[str, Future[str]] = {}

    def close(self) -> None:
        """Close connections."""
        self._url.close()

    def user_id(self, request: RequestLike, cookie: str, authorization: str, now_ms: int) -> str:
        """
        Return the user whose credentials these are; one of the two headers may be empty.

        Raises:
            NotLoggedIn: the app rejects them.
            LoginUnavailable: the app gives no answer now.
        """
        host = request.host
        key = key_of(cookie, authorization, host)
        known = self._known(key, now_ms)
        if known is not None:
            return known
        if request.header(ASKED_HEADER):
            raise LoginUnavailable(LOOP)
        with self._bulkhead.slot():
            presented = Presented(cookie, authorization, host)
            return self._joined(key, lambda asked_ms: self._asked(key, presented, request.request_id, asked_ms))

    def _known(self, key: str, now_ms: int) -> str | None:
        user_id = self._users.find(key, now_ms)
        if user_id is None:
            refusal = self._refusals.find(key, now_ms)
            if refusal is not None:
                raise NotLoggedIn("{refusal}", refusal=refusal)
        return user_id

    def _joined(self, key: str, ask: Callable[[int], str]) -> str:
        """Return the answer to the request that is under way for this key, or call `ask` with the time, Unix ms."""
        with self._lock:
            # An answer may have arrived since, to a question that is younger than this request.
            asked_ms = self._now_ms()
            known = self._known(key, asked_ms)
            if known is not None:
                return known
            flight = self._flights.get(key)
            if flight is None:
                own = self._flights[key] = Future()
        if flight is not None:
            return flight.result()
        try:
            user_id = ask(asked_ms)
        except BaseException as exc:
            own.set_exception(exc)
            raise
        else:
            own.set_result(user_id)
            return user_id
        finally:
            with self._lock:
                del self._flights[key]

    def _asked(self, key: str, presented: Presented, request_id: str, asked_ms: int) -> str:
        self._breaker.check()
        begun_s, outcome = time.perf_counter(), "failed"
        try:
            user_id = self._url.ask(presented, request_id)
            outcome = "user"
        except NotLoggedIn as refusal:
            outcome = "refused"
            self._answered()
            until_ms = asked_ms + min(self._cache_ms, REFUSED_MS)
            self._refusals.add(key, refusal.message, expires_ms=until_ms, now_ms=asked_ms)
            raise
        except LoginUnavailable as exc:
            self._failed(exc)
            raise
        finally:
            self._on_call("GET", outcome, time.perf_counter() - begun_s)
        self._answered()
        self._users.add(key, user_id, expires_ms=asked_ms + self._cache_ms, now_ms=asked_ms)
        return user_id

    def _answered(self) -> None:
        self._breaker.succeeded()
        self._availability.succeeded()
        self._availability.look()

    def _failed(self, failure: LoginUnavailable) -> None:
        if failure.is_down:
            self._breaker.failed()
        else:  # a login on which the app fails must not lock out all others
            self._breaker.succeeded()
        self._availability.failed(failure)
        self._availability.look()


def key_of(cookie: str, authorization: str, host: str) -> str:
    """Return what the app's answer depends on, as a key; no two logins have the same."""
    return f"{len(host)} {len(cookie)} {host}{cookie}{authorization}"


class AppToken:
    """An Authorization header that the page itself sends and the app accepts, such as an opaque token."""

    brings = Message("an Authorization header that the app accepts")
    reads = ("Authorization", "Cookie")
    is_ambient = False

    def __init__(self, login: AppLogin) -> None:
        self._login = login

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        authorization = request.header("Authorization")
        if not authorization or authorization.partition(" ")[0].lower() in _OF_BROWSERS:
            return None
        if request.header("Cookie") is not None:
            return None  # only the app knows which of the two it accepts: see AppCookie
        return self._login.user_id(request, "", authorization, now_ms)


class AppCookie:
    """A cookie that the app accepts, or a password that the browser adds by itself."""

    brings = Message("a cookie that the app accepts")
    reads = ("Authorization", "Cookie")
    is_ambient = True

    def __init__(self, login: AppLogin) -> None:
        self._login = login

    def user_id(self, request: RequestLike, now_ms: int) -> str | None:
        cookie, authorization = request.header("Cookie") or "", request.header("Authorization") or ""
        return self._login.user_id(request, cookie, authorization, now_ms) if cookie or authorization else None
