"""
The apps served here and their masterSecrets, the ones in use and the ones just retired.

A replaced secret goes on verifying what it signed until that is dead; it never signs again.
Imports only `payload`, `secret` and `errors`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authsvc.errors import InvalidRequest, UnknownAppkey
from authsvc.payload import MAX_SKEW_MS
from authsvc.secret import Secret


@dataclass(frozen=True, slots=True)
class App:
    """One app as the settings give it. `flag` is the SDK's message roaming flag, 0 or 1."""

    appkey: str
    master_secret: Secret
    previous_master_secret: Secret | None = None
    flag: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class Retired:
    """A masterSecret that signs no more. `retired_ms` is when this process learned of it, Unix milliseconds."""

    master_secret: Secret
    retired_ms: int


@dataclass(frozen=True, slots=True)
class Served:
    """An app with the secrets that still verify."""

    app: App
    retired: tuple[Retired, ...]

    @property
    def appkey(self) -> str:
        return self.app.appkey

    def secrets_for(self, timestamp_ms: int) -> Iterator[str]:
        """
        Yield the secrets that may have signed a payload of this time (Unix ms), newest first.

        A retired one covers only what is older than its retirement, give or take the clocks of the other workers,
        which learn of the new secret a moment sooner or later.
        """
        yield self.app.master_secret.reveal()
        for old in self.retired:
            if timestamp_ms < old.retired_ms + MAX_SKEW_MS:
                yield old.master_secret.reveal()


class Apps:
    """All apps, found by appkey. `replace` swaps them in one step, so a request sees the old ones or the new."""

    def __init__(self, apps: Iterable[App], now_ms: int) -> None:
        self._served: dict[str | None, Served] = {}  # the default app also as None
        self.replace(apps, now_ms)

    def find(self, appkey: str | None) -> Served:
        """
        Return the app with this appkey, or the default app if None is named.

        Raises:
            UnknownAppkey: the appkey is not ours.
            InvalidRequest: none is named and none is the default.
        """
        served = self._served.get(appkey)
        if served is not None:
            return served
        if appkey is not None:
            raise UnknownAppkey
        raise InvalidRequest("appkey", "is required, because several apps are served here and none is the default")

    def fingerprints(self) -> frozenset[tuple[str, str]]:
        """Return the appkey and the fingerprint of each masterSecret that signs now."""
        return frozenset((served.appkey, served.app.master_secret.fingerprint()) for served in self._served.values())

    def replace(self, apps: Iterable[App], now_ms: int) -> None:
        """Serve these apps from now on (Unix ms); a masterSecret that changed is retired and goes on verifying."""
        ours: dict[str | None, Served] = {}
        for app in apps:
            ours[app.appkey] = Served(app, self._retired(app, now_ms))
            if app.default:
                ours[None] = ours[app.appkey]
        self._served = ours

    def _retired(self, app: App, now_ms: int) -> tuple[Retired, ...]:
        retired: dict[Secret, int] = {}
        if app.previous_master_secret is not None:
            retired[app.previous_master_secret] = now_ms
        if app.appkey in self._served:
            before = self._served[app.appkey]
            # What was retired before stays retired since then, however often the settings are read anew.
            retired |= {old.master_secret: old.retired_ms for old in before.retired}
            retired.setdefault(before.app.master_secret, now_ms)
        retired.pop(app.master_secret, None)
        newest_first = sorted(retired.items(), key=lambda item: item[1], reverse=True)
        return tuple(Retired(master_secret, retired_ms) for master_secret, retired_ms in newest_first)
