"""Issuing: a random_str of ours, or a client's that is signed once."""

import re
from pathlib import Path

import pytest

from authsvc import issuing, payload
from authsvc.apps import App, Apps, Served
from authsvc.errors import InvalidRandomStr, Replayed, StoreAway
from authsvc.secret import Secret
from authsvc.store import Store
from authsvc.stores import open_store
from tests import made_up
from tests.conftest import Clock

RANDOM_STR = "made-up-random-string-01"


def served(appkey: str = made_up.APPKEY) -> Served:
    return Apps([App(appkey, Secret(made_up.MASTER_SECRET))], 0).find(appkey)


APP = served()


@pytest.fixture
def away() -> Store:
    """A store that is nowhere."""
    return open_store("unix:///nonexistent/redis.sock")


def test_our_own_random_str(away: Store, clock: Clock) -> None:
    """128 random bits, another each time, that need no memory."""
    issued = [issuing.issue(APP, random_str=None, store=away, now_ms=clock.now_ms) for _ in range(100)]
    assert all(re.fullmatch("[0-9a-f]{32}", one.random_str) for one in issued)
    assert len({one.random_str for one in issued}) == 100
    for one in issued:
        payload.check_signature(one, [made_up.MASTER_SECRET])
        payload.check_time(one, clock.now_ms)


def test_a_clients_random_str_is_signed_once(store: Store, clock: Clock) -> None:
    """Once for an app; for another app it is another one."""
    assert issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms).random_str == RANDOM_STR
    with pytest.raises(Replayed, match="random_str: was signed before"):
        issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)
    other = served(made_up.OTHER_APPKEY)
    assert issuing.issue(other, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms).random_str == RANDOM_STR


def test_signed_again_when_no_payload_with_it_can_live(store: Store, clock: Clock) -> None:
    """Ten minutes and the skew of two clocks on either side later the random_str is free."""
    issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)
    clock.now_ms += payload.MAX_AGE_MS + 2 * payload.MAX_SKEW_MS - 1
    with pytest.raises(Replayed):
        issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)
    clock.now_ms += 60_000
    for number in range(2_000):  # a store forgets in passing
        store.add(f"other-{number}", "x", keep_ms=1)
    again = issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)
    assert again.random_str == RANDOM_STR


@pytest.mark.parametrize("random_str", ["", "x" * 19, "x" * 37, "x" * 20 + "&", "made-up=random-string-1"])
def test_a_bad_random_str(away: Store, clock: Clock, random_str: str) -> None:
    """Refused before the store is asked."""
    with pytest.raises(InvalidRandomStr):
        issuing.issue(APP, random_str=random_str, store=away, now_ms=clock.now_ms)


def test_store_away(away: Store, clock: Clock) -> None:
    """Whether a client's was signed before cannot be known, so it is not signed."""
    with pytest.raises(StoreAway):
        issuing.issue(APP, random_str=RANDOM_STR, store=away, now_ms=clock.now_ms)


def test_the_store_is_in_a_folder_of_the_test(tmp_path: Path, store: Store) -> None:
    """Nothing here touches the user's own store."""
    store.ping()
    assert (tmp_path / "store.db").exists()
