"""What `authsvc check` finds."""

from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from authsvc import checking
from authsvc.apps import App
from authsvc.checking import Finding
from authsvc.config import Settings
from authsvc.limiter import Rate
from authsvc.payload import MAX_SKEW_MS
from authsvc.secret import Secret
from tests import made_up
from tests.conftest import Clock
from tests.services import RedisServer
from tests.vendor_stand_in import Told, VendorStandIn, vendor_stand_in


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback that accepts everybody and tells no time."""
    with vendor_stand_in() as stand_in:
        stand_in.tell = lambda _: Told(404)
        yield stand_in


@pytest.fixture
def settings(settings: Settings, stand_in: VendorStandIn, tmp_path: Path) -> Settings:
    """Nothing is wrong with these."""
    return settings.model_copy(
        update={
            "vendor_url": stand_in.url,
            "store_url": Secret(f"sqlite://{tmp_path}/store.db"),
            "jwt_audience": ("authsvc",),
        }
    )


def found(settings: Settings, clock: Clock, candidate: App | None = None) -> dict[str, Finding]:
    every = list(checking.findings(settings, clock, candidate=candidate))
    shown = "".join(f"{one.name}{one.words}" for one in every)
    assert not any(canary in shown for canary in made_up.CANARIES)
    return {one.name: one for one in every}


def test_all_is_well(settings: Settings, clock: Clock) -> None:
    """A line for the settings, the store, its clock and each app."""
    every = found(settings, clock)
    assert {one.grade for one in every.values()} == {"ok"}
    assert list(every) == ["settings", "store", "clock", f"appkey {made_up.APPKEY}"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"session_key": (Secret("short"),)}, "SESSION_KEY"),
        ({"gateway_secret": (Secret("short"), Secret("x" * 40))}, "GATEWAY_SECRET"),
        ({"verifier_keys": (Secret("short"),)}, "VERIFIER_KEYS"),
        ({"verifier_keys": ()}, "VERIFIER_KEYS"),
        ({"jwt_audience": ()}, "JWT_AUDIENCE"),
        ({"account_key": Secret(made_up.ACCOUNT_KEY)}, "SESSION_USER_FIELD"),
        (
            {"account_key": Secret(made_up.ACCOUNT_KEY), "session_user_field": "fs_uniquifier"},
            "SESSION_USER_FIELD",
        ),
    ],
)
def test_notes(settings: Settings, clock: Clock, changes: dict[str, object], name: str) -> None:
    """What works and could be better is noted, and no failure."""
    every = found(settings.model_copy(update=changes), clock)
    assert every[name].grade == "note"
    assert "FAIL" not in {one.grade for one in every.values()}


def test_an_id_that_stays(settings: Settings, clock: Clock) -> None:
    """There is nothing to note of a session's field of the app's own."""
    changes = {"account_key": Secret(made_up.ACCOUNT_KEY), "session_user_field": "uid"}
    assert {one.grade for one in found(settings.model_copy(update=changes), clock).values()} == {"ok"}


def test_store_away(settings: Settings, clock: Clock) -> None:
    """With the reason and where to look; the vendor is tried all the same."""
    every = found(settings.model_copy(update={"store_url": Secret("unix:///nonexistent/redis.sock")}), clock)
    assert every["store"].grade == "FAIL"
    assert "AUTHSVC_STORE_URL" in every["store"].words
    assert every[f"appkey {made_up.APPKEY}"].grade == "ok"
    assert "clock" not in every


def test_store_that_may_evict(settings: Settings, clock: Clock, redis_server: RedisServer) -> None:
    """A failure, with the setting to change; it works until memory is short, and then nothing shows it."""
    settings = settings.model_copy(update={"store_url": Secret(redis_server.url)})
    assert "memory" not in found(settings, clock)
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "volatile-ttl")
    every = found(settings, clock)
    assert every["store"].grade == "ok"
    assert every["memory"].grade == "FAIL"
    assert every["memory"].words.startswith("maxmemory-policy is volatile-ttl")


@pytest.mark.parametrize("off_s", [-40, 0, 40])
def test_clock_against_the_vendors(settings: Settings, clock: Clock, stand_in: VendorStandIn, off_s: int) -> None:
    """A clock that is off is why signatures expire at birth."""
    date = formatdate(clock.now_ms / 1000 + off_s, usegmt=True)
    stand_in.tell = lambda _: Told(404, headers={"Date": date})
    one = found(settings, clock)["vendor clock"]
    assert one.grade == ("ok" if abs(off_s) * 1000 <= MAX_SKEW_MS else "FAIL")
    assert "off the vendor's" in one.words


def test_clock_against_the_stores(settings: Settings, clock: Clock) -> None:
    """The same, where several hosts share a store; SQLite's is this host's own, some seconds ago."""
    clock.now_ms -= 60_000
    assert found(settings, clock)["clock"].grade == "FAIL"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told(401), "refuses this service's credentials"),
        (Told(503), "trouble of its own"),
        (Told(429), "rate limit is spent"),
    ],
)
def test_vendor(settings: Settings, clock: Clock, stand_in: VendorStandIn, told: Told, words: str) -> None:
    """Each failure with what to do about it."""
    stand_in.tell = lambda _: told
    one = found(settings, clock)[f"appkey {made_up.APPKEY}"]
    assert one.grade == "FAIL"
    assert words in one.words
    assert "; compare the masterSecret" in one.words or "; see AUTHSVC_VENDOR_URL" in one.words


def test_vendor_frozen(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """It takes the vendor's time, and not for ever."""
    stand_in.freeze()
    assert found(settings, clock)[f"appkey {made_up.APPKEY}"].grade == "FAIL"


def test_a_candidate(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """A masterSecret that nobody uses yet is tried beside those in use."""
    stand_in.tell = lambda asked: Told(401) if made_up.OTHER_MASTER_SECRET in asked.credentials else Told(404)
    candidate = App(made_up.APPKEY, Secret(made_up.OTHER_MASTER_SECRET))
    every = found(settings, clock, candidate)
    assert every[f"appkey {made_up.APPKEY}"].grade == "ok"
    assert every[f"appkey {made_up.APPKEY}, new masterSecret"].grade == "FAIL"


def test_it_costs_one_call_an_app(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """And none when the budget is spent."""
    found(settings.model_copy(update={"vendor_budget": Rate(1, 3_600_000)}), clock)
    found(settings.model_copy(update={"vendor_budget": Rate(1, 3_600_000)}), clock)
    assert len(stand_in.asked) == 1
