"""
The apps of this service and their masterSecrets, those in use and those just retired.

A retired secret never signs again, but verifies what it signed until that expires. The store has the time at which each
secret signed last, so that all workers use the same time, however late they start.
Imports only `payload`, `secret`, `store` and `errors`.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from authsvc.errors import InvalidRequest, StoreUnavailable, UnknownAppkey
from authsvc.payloads.payload import MAX_AGE_MS, MAX_SKEW_MS
from authsvc.secret import Secret
from authsvc.stores.store import Store

NOTE_EVERY_MS = 10_000  # each time one write to the store for each app and worker
KEEP_MS = 2 * MAX_AGE_MS  # a secret that has not signed for that long verifies nothing, with a note or without


@dataclass(frozen=True, slots=True)
class App:
    """One app of the settings. `flag` is the SDK's message roaming flag, 0 or 1."""

    appkey: str
    master_secret: Secret
    previous_master_secret: Secret | None = None
    flag: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class Retired:
    """A masterSecret that signs no more. `retired_ms` is the last time at which it may have signed, Unix ms."""

    master_secret: Secret
    retired_ms: int


@dataclass(frozen=True, slots=True)
class Served:
    """An app with the secrets that still verify."""

    app: App
    retired: tuple[Retired, ...]
    appkey: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "appkey", self.app.appkey)

    def secrets_for(self, timestamp_ms: int) -> Iterator[str]:
        """
        Yield the secrets that may have signed a payload of this time (Unix ms), newest first.

        A retired one covers only payloads from before its retirement, plus the difference of the hosts' clocks.
        """
        yield self.app.master_secret.reveal()
        for old in self.retired:
            if timestamp_ms < old.retired_ms + MAX_SKEW_MS:
                yield old.master_secret.reveal()


class Apps:
    """All apps, by appkey. `replace` swaps them in one step: a request sees the old ones or the new ones."""

    def __init__(self, apps: Iterable[App], now_ms: int) -> None:
        self._served: dict[str | None, Served] = {}  # the default app also as None
        self.replace(apps, now_ms)

    def find(self, appkey: str | None) -> Served:
        """
        Return the app with this appkey, or the default app if None is named.

        Raises:
            UnknownAppkey: no app has this appkey.
            InvalidRequest: the appkey is None, and no app is the default.
        """
        served = self._served.get(appkey)
        if served is not None:
            return served
        if appkey is not None:
            raise UnknownAppkey
        raise InvalidRequest("appkey", "is required, because this service has several apps and no default app")

    def fingerprints(self) -> frozenset[tuple[str, str]]:
        """Return the appkey and the fingerprint of each masterSecret that signs now."""
        return frozenset((served.appkey, served.app.master_secret.fingerprint()) for served in self._served.values())

    def replace(self, apps: Iterable[App], now_ms: int) -> None:
        """
        Serve these apps from now on (Unix ms). A masterSecret that has changed is retired, and still verifies.

        The previous masterSecret of the settings verifies as soon as the store has the time at which it signed last.
        """
        self._serve(Served(app, self._retired(app, now_ms)) for app in apps)
        self._noted_ms: int | None = None

    def reconcile(self, store: Store, now_ms: int) -> None:
        """
        Note in the store that the masterSecrets in use sign now, and read until when the retired ones did.

        It does so after the apps have changed, and every NOTE_EVERY_MS. If the store is unavailable, it does so at the
        next call.
        """
        if self._noted_ms is not None and abs(now_ms - self._noted_ms) < NOTE_EVERY_MS:
            return
        with suppress(StoreUnavailable):
            for served in self._all():
                store.put(_note(served, served.app.master_secret), str(now_ms), keep_ms=KEEP_MS)
            self.learn(store)
            self._noted_ms = now_ms

    def learn(self, store: Store) -> None:
        """Read from the store until when the retired masterSecrets signed, in any worker. Raises StoreUnavailable."""
        self._serve([_learned(served, store) for served in self._all()])

    def _all(self) -> list[Served]:
        return [served for appkey, served in self._served.items() if appkey is not None]

    def _serve(self, served: Iterable[Served]) -> None:
        ours: dict[str | None, Served] = {}
        for one in served:
            ours[one.appkey] = one
            if one.app.default:
                ours[None] = one
        self._served = ours

    def _retired(self, app: App, now_ms: int) -> tuple[Retired, ...]:
        retired: dict[Secret, int] = {}
        if app.appkey in self._served:
            before = self._served[app.appkey]
            # A secret keeps the time of its retirement, however often the settings are read.
            retired = {old.master_secret: old.retired_ms for old in before.retired}
            retired[before.app.master_secret] = now_ms
        if app.previous_master_secret is not None:
            # At the start this time is unknown, and an expired payload must not become valid again.
            retired.setdefault(app.previous_master_secret, 0)
        retired.pop(app.master_secret, None)
        newest_first = sorted(retired.items(), key=lambda item: item[1], reverse=True)
        return tuple(Retired(master_secret, retired_ms) for master_secret, retired_ms in newest_first)


def _learned(served: Served, store: Store) -> Served:
    retired = []
    for old in served.retired:
        signed_ms = store.get(_note(served, old.master_secret))
        until_ms = 0 if signed_ms is None else int(signed_ms) + NOTE_EVERY_MS
        retired.append(replace(old, retired_ms=max(old.retired_ms, until_ms)))
    return replace(served, retired=tuple(retired))


def _note(served: Served, master_secret: Secret) -> str:
    """Return the store's key for the time at which a masterSecret signed last, Unix milliseconds."""
    return f"secret:{served.appkey}:{master_secret.fingerprint()}"
