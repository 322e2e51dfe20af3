"""
The URL of the media behind a media_id: requested from the vendor once, then cached as long as the URL is valid.

Cached in the worker and, for the other workers, in the store. A worker sends one request for an id, however many users
need it at the same time (single flight). Imports `media_url` for the rules, `client`, `bulkhead`, `limiter`, `apps`,
`store`, `ids` and `errors`.
"""

import contextvars
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

from authsvc.errors import Refusal, StoreUnavailable, UnknownMedia, VendorBusy, VendorRefused, VendorSlow
from authsvc.ids import fresh_id
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.payloads.apps import Served
from authsvc.ratelimit.limiter import Limiter
from authsvc.stores.store import Store
from authsvc.vendor import media_url
from authsvc.vendor.client import SLOTS, Credentials, Vendor
from authsvc.vendor.media_url import Resource

MAX_BATCH = 100
MAX_CACHED = 20_000  # in one worker, some 10 MB
MARGIN_MS = 30_000  # a cached URL is returned only if it is valid for this long, so that a page can still load it
DEFAULT_MS = 60_000  # for a URL that names no expiry
UNKNOWN_MS = 10_000  # for an id that is unknown to the vendor
FRESH_MS = 30_000  # between two requests for a fresh URL of one id, by any user
SLACK_S = 0.5  # beyond the vendor's own time, to wait for a thread


_Key = tuple[str, str]


class Media:
    """Resolves media ids. Safe to use from many threads."""

    def __init__(
        self,
        vendor: Vendor,
        store: Store,
        *,
        hosts: Collection[str],
        bulkhead: Bulkhead,
        limiter: Limiter,
        on_lookup: Callable[[str], object] = lambda _: None,
    ) -> None:
        """
        Take what this depends on.

        Args:
            hosts: those that a URL may have.
            bulkhead: for requests that wait for the vendor.
            limiter: of the requests to the vendor that one user causes, so that nobody exhausts everybody's budget.
            on_lookup: takes the result of each look-up: "cached", "joined" (a request is under way) or "requested".
        """
        self._vendor = vendor
        self._store = store
        self._hosts = hosts
        self._bulkhead = bulkhead
        self._limiter = limiter
        self._on_lookup = on_lookup
        self._lock = threading.Lock()
        # One store may have URLs of the vendor and of the sandbox.
        self._prefix = f"media:{hashlib.sha256(vendor.url.encode()).hexdigest()[:16]}"
        self._cache: OrderedDict[_Key, Resource | int] = OrderedDict()
        self._flights: dict[tuple[_Key, bool], Future[Resource]] = {}  # by key, and whether for a fresh URL
        self._pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="authsvc-vendor")

    def close(self) -> None:
        """Finish the requests that are under way."""
        self._pool.shutdown()

    def resolve(self, app: Served, user_id: str, media_id: str, now_ms: int, *, fresh: bool = False) -> Resource:
        """
        Return the URL of the media.

        Args:
            fresh: the cached URL has stopped working; request another one, once in FRESH_MS for each id.

        Raises:
            InvalidMediaId: it is not a media_id.
            UnknownMedia: the vendor does not know it.
            TooManyRequests: this user has caused too many requests to the vendor.
            VendorRefused, VendorBusy, VendorSlow: as `Vendor`, or too many requests wait for it.
        """
        found = self.resolve_many(app, user_id, [media_id], now_ms, fresh=fresh)[media_id]
        if isinstance(found, Refusal):
            raise found
        return found

    def resolve_many(
        self, app: Served, user_id: str, media_ids: Sequence[str], now_ms: int, *, fresh: bool = False
    ) -> dict[str, Resource | Refusal]:
        """Return the URL of each id, or why there is none, in their order; several requests are sent at once."""
        results: dict[str, Resource | Refusal] = {}
        flights: dict[str, Future[Resource]] = {}
        found: Resource | Refusal | Future[Resource]
        for media_id in media_ids:
            try:
                media_url.check_media_id(media_id)
                found = self._cached_or_flight(app, user_id, media_id, now_ms, fresh=fresh)
            except Refusal as refusal:
                found = refusal
            if isinstance(found, Future):
                flights[media_id] = found
            else:
                results[media_id] = found
        results |= self._wait(flights) if flights else {}
        return {media_id: results[media_id] for media_id in media_ids}

    def _cached_or_flight(
        self, app: Served, user_id: str, media_id: str, now_ms: int, *, fresh: bool
    ) -> Resource | Future[Resource]:
        key = (app.appkey, media_id)
        with self._lock:
            resource = None if fresh else self._cached(key, now_ms)
            if resource is not None:
                self._on_lookup("cached")
                return resource
            known = self._cache.get(key)
            if isinstance(known, int) and now_ms < known:
                self._on_lookup("cached")
                raise UnknownMedia
            if (key, fresh) in self._flights:
                self._on_lookup("joined")
                return self._flights[key, fresh]
            self._limiter.hit(user_id, app.appkey, now_ms)
            self._on_lookup("requested")
            # In the context of the request, so that the call to the vendor is part of its trace.
            flight = self._pool.submit(contextvars.copy_context().run, self._fly, app, user_id, media_id, now_ms, fresh)
            self._flights[key, fresh] = flight
        flight.add_done_callback(lambda _: self._land((key, fresh)))
        return flight

    def _fly(self, app: Served, user_id: str, media_id: str, now_ms: int, fresh: bool) -> Resource:  # noqa: FBT001 -- submit has no names
        """Look in the store, then ask the vendor, and cache the answer. Runs in a thread of the pool."""
        key = (app.appkey, media_id)
        resource = self._before_a_refresh(key, now_ms) if fresh else self._stored(key, now_ms)
        if resource is None:
            again = partial(self._limiter.hit, user_id, app.appkey, now_ms)
            try:
                url = self._vendor.resource_url(Credentials.of(app), media_id, again=again)
            except UnknownMedia:
                self._add(key, now_ms + UNKNOWN_MS)
                raise
            resource = self._checked(url, now_ms)
            self._store_url(key, resource, now_ms)
        self._add(key, resource)
        return resource

    def _before_a_refresh(self, key: _Key, now_ms: int) -> Resource | None:
        """Return None if the vendor is to be asked for a fresh URL, else the URL in the store, or in the cache."""
        with suppress(StoreUnavailable):  # then nothing limits it across workers
            if self._store.add(f"{self._name(key)}:fresh:{now_ms // FRESH_MS}", fresh_id(), keep_ms=2 * FRESH_MS):
                return None
        return self._stored(key, now_ms) or self._cached(key, now_ms)

    def _land(self, flight: tuple[_Key, bool]) -> None:
        with self._lock:
            self._flights.pop(flight, None)

    def _wait(self, flights: Mapping[str, Future[Resource]]) -> dict[str, Resource | Refusal]:
        try:
            with self._bulkhead.slot():
                deadline_s = time.monotonic() + self._vendor.total_s + SLACK_S
                return {media_id: _landed(flight, deadline_s) for media_id, flight in flights.items()}
        except VendorBusy as refusal:
            return dict.fromkeys(flights, refusal)

    def _checked(self, url: str, now_ms: int) -> Resource:
        if not media_url.is_allowed(url, self._hosts):
            raise VendorRefused("the host of the vendor's URL is not in AUTHSVC_MEDIA_HOSTS")
        expires_at_ms = media_url.expires_at_ms(url)
        if expires_at_ms is None:
            return Resource(url, None, now_ms + DEFAULT_MS)
        if expires_at_ms <= now_ms:
            raise VendorRefused("the vendor's URL has already expired; compare this host's clock with the vendor's")
        return Resource(url, expires_at_ms, expires_at_ms - MARGIN_MS)

    def _cached(self, key: _Key, now_ms: int) -> Resource | None:
        known = self._cache.get(key)
        return known if isinstance(known, Resource) and now_ms < known.fresh_until_ms else None

    def _add(self, key: _Key, found: Resource | int) -> None:
        with self._lock:
            self._cache[key] = found
            self._cache.move_to_end(key)
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)

    def _stored(self, key: _Key, now_ms: int) -> Resource | None:
        """Return what another worker has stored, checked like an answer of the vendor."""
        try:
            stored = Resource.from_json(self._store.get(self._name(key)))
            if stored is None:
                return None
            resource = self._checked(stored.url, now_ms)
        except (StoreUnavailable, VendorRefused):
            return None
        fresh_until_ms = min(stored.fresh_until_ms, resource.fresh_until_ms)
        return replace(resource, fresh_until_ms=fresh_until_ms) if now_ms < fresh_until_ms else None

    def _name(self, key: _Key) -> str:
        appkey, media_id = key
        return f"{self._prefix}:{appkey}:{media_id}"

    def _store_url(self, key: _Key, resource: Resource, now_ms: int) -> None:
        if resource.fresh_until_ms > now_ms:
            with suppress(StoreUnavailable):
                self._store.put(self._name(key), resource.to_json(), keep_ms=resource.fresh_until_ms - now_ms)


def _landed(flight: Future[Resource], deadline_s: float) -> Resource | Refusal:
    try:
        return flight.result(timeout=max(0.0, deadline_s - time.monotonic()))
    except TimeoutError:
        return VendorSlow()
    except Refusal as refusal:
        return refusal
