"""
The cache of the keys behind a JWKS URL: fetched when needed, used for a while, and longer while the URL is unavailable.

It fetches and it measures time; the caller makes keys of the JWKs. Imports `http_client`, `availability` and `errors`.
"""

import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from authsvc.errors import KeysUnavailable, NotLoggedIn
from authsvc.outbound.availability import Availability
from authsvc.outbound.http_client import HttpClient, NoAnswer

FRESH_S = 300.0  # age at which a key set is fetched again
STALE_S = 3600.0  # age at which a key set expires, even if the URL is unavailable
RETRY_S = 5.0  # from a failed fetch to the next, so that not every request waits for a URL that hangs
COOL_DOWN_S = 5.0  # from a fetch to the next one for an unknown key id; a new key may be unknown for as long
TIMEOUT_S = 2.0  # for the whole of a fetch
WAITING = 24  # threads of a worker that may wait for a fetch; the others stay free for users whose key is known
MAX_BYTES = 262_144

_URL = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[\x21-\x7e]*)?", re.ASCII | re.IGNORECASE)
_Key = TypeVar("_Key")
_FAILURES = (NoAnswer, ValueError, RecursionError)


def check_url(url: str) -> None:
    """Raise ValueError unless keys can be fetched from this URL. The message does not contain the URL."""
    try:
        is_url = bool(_URL.fullmatch(url)) and urlsplit(url).port != 0
    except ValueError:  # a port over 65535, or no IPv6 address in the brackets; the message contains it
        is_url = False
    if not is_url:
        raise ValueError("must be an http:// or https:// URL, without user name or password")


@dataclass(frozen=True, slots=True)
class _KeySet(Generic[_Key]):
    """The result of a fetch: pairs of key id and key. `fetched_s` is its start, by the monotonic clock."""

    keys: tuple[tuple[object, _Key], ...]
    fetched_s: float

    def find(self, kid: str, serves: Callable[[_Key], bool]) -> _Key | None:
        """Return the key with this id; of several, one that serves (RFC 7517, 4.5)."""
        found = [key for known, key in self.keys if known == kid]
        return next(filter(serves, found), found[0] if found else None)


class Jwks(Generic[_Key]):
    """
    The keys of one URL. Safe to use from many threads.

    A separate thread fetches. A token whose key is in the cache and still usable does not wait for it.
    """

    def __init__(
        self,
        url: str,
        read: Callable[[Mapping[str, Any]], _Key | None],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Take a URL that `check_url` accepts.

        Args:
            read: makes a key of one JWK, or None if the JWK cannot be used.
        """
        self._url = url
        self._client = HttpClient(url, connections=1)
        self._availability = Availability("the JWKS URL", "AUTHSVC_JWT_JWKS_URL")
        self._read = read
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._known: _KeySet[_Key] = _KeySet((), float("-inf"))
        self._failed_s = float("-inf")
        self._fetched: threading.Event | None = None  # set at the end of the fetch that is under way
        self._waiting = threading.BoundedSemaphore(WAITING)

    def find(self, kid: str | None, serves: Callable[[_Key], bool] = lambda _key: True) -> _Key:
        """
        Return the key with this id; without an id, the only key, or the only one that serves.

        Args:
            serves: chooses between keys that have the same id, or none.

        Raises:
            NotLoggedIn: there is no key with this id, or no id and several keys.
            KeysUnavailable: the keys cannot be fetched now, or not again so soon.
        """
        known, asked_s = self._known, self._monotonic_s()
        age_s = asked_s - known.fetched_s
        if age_s >= FRESH_S:
            known = self._newer(known, is_waiting=age_s >= STALE_S)
            if self._monotonic_s() - known.fetched_s >= STALE_S:
                raise KeysUnavailable
        if kid is None:
            # A key id is optional in a token (RFC 7515, 4.1.4), and a single key leaves no choice.
            found = [key for _, key in known.keys if len(known.keys) == 1 or serves(key)]
            if len(found) != 1:
                raise NotLoggedIn("the token has no key id (kid), and the login service publishes several keys")
            return found[0]
        key = known.find(kid, serves)
        if key is None and asked_s - known.fetched_s >= COOL_DOWN_S:
            newer = self._newer(known, is_waiting=True)
            if newer is known:
                raise KeysUnavailable
            known, key = newer, newer.find(kid, serves)
        if key is not None:
            return key
        if known.fetched_s >= asked_s:
            raise NotLoggedIn("the token's key id (kid) is not among the login service's keys")
        # It may be a new key. But a made-up key id must not cause a request to the login service each time.
        left_s = known.fetched_s + COOL_DOWN_S - self._monotonic_s()
        raise KeysUnavailable(
            "the token's key id (kid) was not among the login service's keys at the last fetch",
            retry_after_s=max(1, math.ceil(left_s)),
        )

    def listed(self) -> list[Mapping[str, Any]]:
        """
        Fetch, and return every JWK, usable or not.

        Raises:
            KeysUnavailable: from the failure.
        """
        try:
            return _listed(json.loads(self._download()))
        except _FAILURES as exc:
            raise KeysUnavailable from exc

    def _newer(self, known: _KeySet[_Key], *, is_waiting: bool) -> _KeySet[_Key]:
        """Return a newer key set if there is one, else start to fetch one; with `is_waiting` wait for it."""
        with self._lock:
            if self._known is not known:
                return self._known
            if self._fetched is None:
                if self._monotonic_s() - self._failed_s < RETRY_S:
                    return known
                self._fetched = threading.Event()
                threading.Thread(target=self._fetch, args=(self._fetched,), name="authsvc-jwks", daemon=True).start()
            fetched = self._fetched
        if is_waiting and self._waiting.acquire(blocking=False):
            try:
                fetched.wait(2 * TIMEOUT_S)
            finally:
                self._waiting.release()
        return self._known

    def _fetch(self, fetched: threading.Event) -> None:
        begun_s = self._monotonic_s()
        try:
            keys = self._keys(json.loads(self._download()))
        except _FAILURES as exc:
            self._failed_s = self._monotonic_s()
            self._availability.failed(exc)
        else:
            self._known = _KeySet(keys, begun_s)
            self._availability.succeeded()
        finally:
            self._availability.look()
            with self._lock:
                self._fetched = None
            fetched.set()

    def _download(self) -> bytes:
        headers = {"Accept": "application/json", "User-Agent": "authsvc"}
        try:
            answer = self._client.ask("GET", self._url, headers=headers, within_s=TIMEOUT_S, max_bytes=MAX_BYTES)
        finally:
            self._client.close()  # the next request is minutes later
        if answer.status != 200:
            raise ValueError(f"the answer has the status {answer.status}")
        return answer.content

    def _keys(self, answer: object) -> tuple[tuple[object, _Key], ...]:
        read = ((jwk.get("kid"), self._read(jwk)) for jwk in _listed(answer))
        keys = tuple((kid, key) for kid, key in read if key is not None)
        if not keys:
            raise ValueError("the answer has no key that could verify a token")
        return keys


def _listed(answer: object) -> list[Mapping[str, Any]]:
    jwks = answer.get("keys") if isinstance(answer, dict) else None
    if not isinstance(jwks, list):
        raise ValueError("the answer is not a JSON object with a list of keys")  # noqa: TRY004 -- as if not JSON
    return [jwk for jwk in jwks if isinstance(jwk, dict)]
