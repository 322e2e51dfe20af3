"""
Where the media behind a media_id is right now: asked of the vendor once, then remembered as long as the URL lives.

Remembered in the worker and, for the other workers, in the store. However many ask for the same id at the same time,
a worker asks the vendor once. Imports `media_url` for the rules, `client`, `bulkhead`, `limiter`, `apps`,
`store` and `errors`.
"""

import contextvars
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from authsvc.errors import Refusal, StoreUnavailable, UnknownMedia, VendorBusy, VendorRefused, VendorSlow
from authsvc.ids import fresh_id
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.payloads.apps import Served
from authsvc.ratelimit.limiter import Limiter
from authsvc.stores.store import Store
from authsvc.vendor import media_url
from authsvc.vendor.client import SLOTS, Credentials, Vendor

MAX_BATCH = 100
MAX_REMEMBERED = 20_000  # in one worker, some 10 MB
MARGIN_MS = 30_000  # a URL is handed out only if it lives this much longer, so that a page can still load it
DEFAULT_MS = 60_000  # for a URL that names no expiry
UNKNOWN_MS = 10_000  # for an id that the vendor does not know
FRESH_MS = 30_000  # a fresh URL of one id is asked of the vendor at most once in so long, whoever wants it
SLACK_S = 0.5  # beyond the vendor's own time, for a slot


@dataclass(frozen=True, slots=True)
class Resource:
    """A URL, unmodified; when it expires, if it names a time; and until when memory hands it out. Both Unix ms."""

    url: str
    expires_at_ms: int | None
    fresh_until_ms: int

    def to_dict(self) -> dict[str, object]:
        """Return what is told of it, as the vendor's SDK tells it."""
        return {"code": 0, "message": "success", "url": self.url, "expires_at_ms": self.expires_at_ms}


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
        Take what this stands on.

        Args:
            hosts: those that a URL may name.
            places: for requests that wait for the vendor.
            limiter: of what one user may have the vendor asked for, so that nobody spends everybody's budget.
            on_lookup: is told of each id: "remembered", "joined" (somebody is asking already) or "asked".
        """
        self._vendor = vendor
        self._store = store
        self._hosts = hosts
        self._bulkhead = bulkhead
        self._limiter = limiter
        self._on_lookup = on_lookup
        self._lock = threading.Lock()
        # The sandbox's URLs are not the vendor's, though a store may have seen both.
        self._prefix = f"media:{hashlib.sha256(vendor.url.encode()).hexdigest()[:16]}"
        self._known: OrderedDict[_Key, Resource | int] = OrderedDict()
        self._flights: dict[tuple[_Key, bool], Future[Resource]] = {}  # by key, and whether for a fresh URL
        self._pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="authsvc-vendor")

    def close(self) -> None:
        """Finish what is under way."""
        self._pool.shutdown()

    def resolve(self, app: Served, user_id: str, media_id: str, now_ms: int, *, fresh: bool = False) -> Resource:
        """
        Return where the media is.

        Args:
            fresh: the URL that is remembered has stopped working; ask the vendor for another, once in FRESH_MS for
                each id.

        Raises:
            InvalidMediaId: it is not a media_id.
            UnknownMedia: the vendor does not know it.
            TooManyRequests: this user has had the vendor asked for too many.
            VendorRefused, VendorBusy, VendorSlow: as `Vendor`, or too many are waiting for it.
        """
        found = self.resolve_many(app, user_id, [media_id], now_ms, fresh=fresh)[media_id]
        if isinstance(found, Refusal):
            raise found
        return found

    def resolve_many(
        self, app: Served, user_id: str, media_ids: Sequence[str], now_ms: int, *, fresh: bool = False
    ) -> dict[str, Resource | Refusal]:
        """Return for each id, in their order, where it is or why not; the vendor is asked for several at once."""
        results: dict[str, Resource | Refusal] = {}
        flights: dict[str, Future[Resource]] = {}
        for media_id in media_ids:
            try:
                media_url.check_media_id(media_id)
                found = self._known_or_flight(app, user_id, media_id, now_ms, fresh=fresh)
            except Refusal as refusal:
                results[media_id] = refusal
            else:
                if isinstance(found, Resource):
                    results[media_id] = found
                else:
                    flights[media_id] = found
        results |= self._wait(flights) if flights else {}
        return {media_id: results[media_id] for media_id in media_ids}

    def _known_or_flight(
        self, app: Served, user_id: str, media_id: str, now_ms: int, *, fresh: bool
    ) -> Resource | Future[Resource]:
        key = (app.appkey, media_id)
        with self._lock:
            resource = None if fresh else self._remembered(key, now_ms)
            if resource is not None:
                self._on_lookup("remembered")
                return resource
            known = self._known.get(key)
            if isinstance(known, int) and now_ms < known:
                self._on_lookup("remembered")
                raise UnknownMedia
            if (key, fresh) in self._flights:
                self._on_lookup("joined")
                return self._flights[key, fresh]
            self._limiter.hit(user_id, app.appkey, now_ms)
            self._on_lookup("asked")
            # In the context of the request, so that the call to the vendor is seen as part of its trace.
            flight = self._pool.submit(contextvars.copy_context().run, self._fly, app, user_id, media_id, now_ms, fresh)
            self._flights[key, fresh] = flight
        flight.add_done_callback(lambda _: self._land((key, fresh)))
        return flight

    def _fly(self, app: Served, user_id: str, media_id: str, now_ms: int, fresh: bool) -> Resource:  # noqa: FBT001 -- submit has no names
        """Ask the other workers' memory, then the vendor, and remember the answer. Runs in a thread of the pool."""
        key = (app.appkey, media_id)
        resource = self._before_a_refresh(key, now_ms) if fresh else self._shared(key, now_ms)
        if resource is None:
            again = partial(self._limiter.hit, user_id, app.appkey, now_ms)
            try:
                url = self._vendor.resource_url(Credentials.of(app), media_id, again=again)
            except UnknownMedia:
                self._remember(key, now_ms + UNKNOWN_MS)
                raise
            resource = self._checked(url, now_ms)
            self._share(key, resource, now_ms)
        self._remember(key, resource)
        return resource

    def _before_a_refresh(self, key: _Key, now_ms: int) -> Resource | None:
        """Return None if the vendor is to be asked for a fresh URL, else what memory has, the other workers' first."""
        with suppress(StoreUnavailable):  # then nothing bounds it across workers
            if self._store.add(f"{self._name(key)}:fresh:{now_ms // FRESH_MS}", fresh_id(), keep_ms=2 * FRESH_MS):
                return None
        return self._shared(key, now_ms) or self._remembered(key, now_ms)

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

    def _remembered(self, key: _Key, now_ms: int) -> Resource | None:
        known = self._known.get(key)
        return known if isinstance(known, Resource) and now_ms < known.fresh_until_ms else None

    def _remember(self, key: _Key, found: Resource | int) -> None:
        with self._lock:
            self._known[key] = found
            self._known.move_to_end(key)
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)

    def _shared(self, key: _Key, now_ms: int) -> Resource | None:
        """Return what another worker has stored, checked as what the vendor returns."""
        try:
            stored = _stored(self._store.get(self._name(key)))
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

    def _share(self, key: _Key, resource: Resource, now_ms: int) -> None:
        if resource.fresh_until_ms > now_ms:
            told = {"url": resource.url, "fresh_until_ms": resource.fresh_until_ms}
            with suppress(StoreUnavailable):
                self._store.put(self._name(key), json.dumps(told), keep_ms=resource.fresh_until_ms - now_ms)


def _landed(flight: Future[Resource], deadline_s: float) -> Resource | Refusal:
    try:
        return flight.result(timeout=max(0.0, deadline_s - time.monotonic()))
    except TimeoutError:
        return VendorSlow()
    except Refusal as refusal:
        return refusal


def _stored(text: str | None) -> Resource | None:
    """Return what `_share` has stored; None for anything else that the store may hold."""
    try:
        told = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    match told:
        case {"url": str(url), "fresh_until_ms": int(fresh_until_ms)}:
            return Resource(url, None, fresh_until_ms)
        case _:
            return None
