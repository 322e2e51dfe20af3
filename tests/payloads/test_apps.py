"""Which app is meant, and which of its masterSecrets may have signed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authsvc.errors import InvalidRequest, UnknownAppkey
from authsvc.outbound.availability import Availability
from authsvc.payloads.apps import NOTE_EVERY_MS, App, Apps
from authsvc.payloads.payload import MAX_SKEW_MS
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.instrumented import InstrumentedStore
from authsvc.stores.store import Store
from tests.support.made_up import APPKEY, OTHER_APPKEY

T = 1_750_000_000_000


def app(secret: str, previous: str | None = None, *, appkey: str = APPKEY, default: bool = False) -> App:
    return App(appkey, Secret(secret), Secret(previous) if previous else None, default=default)


def secrets(apps: Apps, timestamp_ms: int) -> list[str]:
    return list(apps.find(APPKEY).secrets_for(timestamp_ms))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A SQLite store, whose clock the entries outlive."""
    with closing(open_store(f"sqlite://{tmp_path}/store.db", now_ms=lambda: T)) as store:
        yield store


def test_found_by_appkey() -> None:
    """Each app by its own."""
    apps = Apps([app("one"), app("two", appkey=OTHER_APPKEY)], T)
    assert apps.find(OTHER_APPKEY).appkey == OTHER_APPKEY
    with pytest.raises(UnknownAppkey):
        apps.find("x")
    with pytest.raises(UnknownAppkey):
        apps.find("")


def test_the_default_app() -> None:
    """Meant when none is named; without one the appkey is required."""
    assert Apps([app("one"), app("two", appkey=OTHER_APPKEY, default=True)], T).find(None).appkey == OTHER_APPKEY
    with pytest.raises(InvalidRequest, match="appkey: is required"):
        Apps([app("one"), app("two", appkey=OTHER_APPKEY)], T).find(None)


def test_a_replaced_secret_verifies_what_it_signed() -> None:
    """Newest first; a retired one covers what is older than its retirement, give or take the clocks."""
    apps = Apps([app("one")], T)
    apps.replace([app("two")], T + 1_000)
    apps.replace([app("three")], T + 2_000)
    assert secrets(apps, T) == ["three", "two", "one"]
    assert secrets(apps, T + 1_000 + MAX_SKEW_MS - 1) == ["three", "two", "one"]
    assert secrets(apps, T + 1_000 + MAX_SKEW_MS) == ["three", "two"]
    assert secrets(apps, T + 2_000 + MAX_SKEW_MS) == ["three"]


def test_retired_once() -> None:
    """Reading the same settings again does not let a retired secret cover more."""
    apps = Apps([app("one")], T)
    for later_ms in (1_000, 50_000, 90_000):
        apps.replace([app("two")], T + later_ms)
    assert secrets(apps, T + 1_000 + MAX_SKEW_MS) == ["two"]


def test_back_to_an_old_secret() -> None:
    """A secret that is in use again is not retired; the one tried meanwhile is."""
    apps = Apps([app("one")], T)
    apps.replace([app("two")], T + 1_000)
    apps.replace([app("one")], T + 2_000)
    assert secrets(apps, T) == ["one", "two"]


def test_the_previous_secret_of_the_settings(store: Store) -> None:
    """It verifies what it signed in another worker, and nothing before that is known; named once if it was in use."""
    Apps([app("one")], T).reconcile(store, T)
    apps = Apps([app("two", "one")], T + 1_000)
    assert secrets(apps, T) == ["two"]
    apps.reconcile(store, T + 1_000)
    assert secrets(apps, T + NOTE_EVERY_MS + MAX_SKEW_MS - 1) == ["two", "one"]
    assert secrets(apps, T + NOTE_EVERY_MS + MAX_SKEW_MS) == ["two"]
    assert secrets(Apps([app("one", "one")], T), T) == ["one"]
    apps = Apps([app("one")], T)
    apps.replace([app("two", "one")], T + 1_000)
    assert secrets(apps, T) == ["two", "one"]


def test_a_worker_that_starts_later_makes_no_secret_good_again(store: Store) -> None:
    """The end of a retired secret is when it signed last, for each worker, whenever that starts and however often."""
    Apps([app("one")], T).reconcile(store, T)
    for later_ms in (1_000, 3_600_000, 90 * 86_400_000):
        apps = Apps([app("two", "one")], T + later_ms)
        for _ in range(3):
            apps.reconcile(store, T + later_ms)
            apps.replace([app("two", "one")], T + later_ms)
            assert secrets(apps, T + later_ms + NOTE_EVERY_MS + MAX_SKEW_MS - 1_000) == ["two"]


def test_a_secret_that_no_worker_signed_with(store: Store) -> None:
    """What the store does not know of, or no longer, is older than what it remembers of payloads: it is dead."""
    apps = Apps([app("two", "one")], T)
    apps.reconcile(store, T)
    assert secrets(apps, T) == ["two"]


def test_others_go_on_signing_with_it(store: Store) -> None:
    """While an instance has not learned of the new secret, what it signs is good everywhere; and then until the end."""
    late, early = Apps([app("one")], T), Apps([app("two", "one")], T)
    for at_ms in range(T, T + 5 * NOTE_EVERY_MS, NOTE_EVERY_MS):
        late.reconcile(store, at_ms)
        early.reconcile(store, at_ms)
        assert secrets(early, at_ms + NOTE_EVERY_MS - 1) == ["two", "one"]
    assert secrets(early, at_ms + NOTE_EVERY_MS + MAX_SKEW_MS) == ["two"]
    third = Apps([app("one")], T)
    third.replace([app("two")], T + 1_000)
    third.reconcile(store, at_ms)
    assert secrets(third, at_ms + NOTE_EVERY_MS + MAX_SKEW_MS - 1) == ["two", "one"]
    assert secrets(third, at_ms + NOTE_EVERY_MS + MAX_SKEW_MS) == ["two"]


def test_apps_are_noted_apart(store: Store) -> None:
    """The note of one app's secret is not that of another's, even for an equal secret; the default app has one note."""
    both = [app("one", appkey=OTHER_APPKEY), app("two", default=True)]
    Apps(both, T).reconcile(store, T)
    apps = Apps([app("new", "one", default=True), app("new", "one", appkey=OTHER_APPKEY)], T)
    apps.reconcile(store, T)
    assert secrets(apps, T) == ["new"]
    assert list(apps.find(OTHER_APPKEY).secrets_for(T)) == ["new", "one"]
    assert apps.find(None) is apps.find(APPKEY)


def test_noted_now_and_then(store: Store) -> None:
    """At once when the apps have changed, and then every ten seconds; again at once after the store was unavailable."""
    calls: list[str] = []
    counted = InstrumentedStore(
        store, lambda operation, *_: calls.append(operation), Availability("the store", "AUTHSVC_STORE_URL")
    )
    apps = Apps([app("one")], T)
    apps.reconcile(open_store("unix:///nonexistent/redis.sock"), T)
    for at_ms, noted in (
        (0, 1),
        (1, 1),
        (NOTE_EVERY_MS - 1, 1),
        (NOTE_EVERY_MS, 2),
        (NOTE_EVERY_MS + 1, 2),
        (-NOTE_EVERY_MS, 3),  # the clock was set back
    ):
        apps.reconcile(counted, T + at_ms)
        assert calls == ["put"] * noted
    apps.replace([app("two")], T)
    apps.reconcile(counted, T - NOTE_EVERY_MS)
    assert calls == ["put"] * 4 + ["get"]


def test_a_removed_app() -> None:
    """It is not served any more, and a new one is."""
    apps = Apps([app("one")], T)
    apps.replace([app("two", appkey=OTHER_APPKEY)], T + 1)
    with pytest.raises(UnknownAppkey):
        apps.find(APPKEY)
    assert apps.find(OTHER_APPKEY).appkey == OTHER_APPKEY


def test_fingerprints() -> None:
    """Of the secrets that sign, by appkey; those that only verify have none."""
    one, two = Secret("one").fingerprint(), Secret("two").fingerprint()
    assert Apps([app("two", "one")], T).fingerprints() == {(APPKEY, two)}
    assert one != two


def test_all_that_were_retired_verify(store: Store) -> None:
    """What the settings call previous, and what served before, in whatever order they went."""
    Apps([app("elsewhere")], T).reconcile(store, T)
    apps = Apps([app("first")], T)
    apps.replace([app("second")], T + 1)
    apps.replace([app("third", "elsewhere")], T + 2)
    apps.reconcile(store, T + 2)
    assert set(secrets(apps, T)) == {"first", "second", "third", "elsewhere"}
