"""Which app is meant, and which of its masterSecrets may have signed."""

import pytest

from authsvc.apps import App, Apps
from authsvc.errors import InvalidRequest, UnknownAppkey
from authsvc.payload import MAX_SKEW_MS
from authsvc.secret import Secret
from tests.made_up import APPKEY, OTHER_APPKEY

T = 1_750_000_000_000


def app(secret: str, previous: str | None = None, *, appkey: str = APPKEY, default: bool = False) -> App:
    return App(appkey, Secret(secret), Secret(previous) if previous else None, default=default)


def secrets(apps: Apps, timestamp_ms: int) -> list[str]:
    return list(apps.find(APPKEY).secrets_for(timestamp_ms))


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


def test_the_previous_secret_of_the_settings() -> None:
    """It counts as retired when it is first read, and is named once though it was just in use."""
    assert secrets(Apps([app("two", "one")], T), T + MAX_SKEW_MS - 1) == ["two", "one"]
    assert secrets(Apps([app("two", "one")], T), T + MAX_SKEW_MS) == ["two"]
    assert secrets(Apps([app("one", "one")], T), T) == ["one"]
    apps = Apps([app("one")], T)
    apps.replace([app("two", "one")], T + 1_000)
    assert secrets(apps, T) == ["two", "one"]


def test_an_app_that_is_taken_away() -> None:
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


def test_all_that_were_retired_verify() -> None:
    """What the settings call previous, and what served before, in whatever order they went."""
    apps = Apps([app("first")], T)
    apps.replace([app("second")], T + 1)
    apps.replace([app("third", "elsewhere")], T + 2)
    assert set(secrets(apps, T)) == {"first", "second", "third", "elsewhere"}
