"""Issuing: a random_str of ours, or a client's that is signed once."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from authsvc.errors import Expired, InvalidRandomStr, NotYetValid, Replayed, StoreUnavailable
from authsvc.payloads import issuing, payload
from authsvc.payloads.apps import App, Apps, Served
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.conftest import Clock
from tests.support import made_up

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
    with pytest.raises(Replayed, match="random_str: was already signed"):
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


def test_store_unavailable(away: Store, clock: Clock) -> None:
    """Whether a client's was signed before cannot be known, so it is not signed."""
    with pytest.raises(StoreUnavailable):
        issuing.issue(APP, random_str=RANDOM_STR, store=away, now_ms=clock.now_ms)


def test_the_store_is_in_a_folder_of_the_test(tmp_path: Path, store: Store) -> None:
    """Nothing here touches the user's own store."""
    store.ping()
    assert (tmp_path / "store.db").exists()


def chosen(store: Store, clock: Clock, *, age_ms: int = 0, random_str: str = RANDOM_STR) -> str:
    """Have a time and a random_str of the page's own signed."""
    return issuing.sign_chosen(
        APP, timestamp_ms=clock.now_ms - age_ms, random_str=random_str, store=store, now_ms=clock.now_ms
    ).signature


@pytest.mark.parametrize("age_ms", [-30_000, 0, 30_000])
def test_a_page_may_choose_what_is_of_now(store: Store, clock: Clock, age_ms: int) -> None:
    """What is signed is the page's own time, up to 30 s from ours."""
    signed = chosen(store, clock, age_ms=age_ms)
    assert (
        signed
        == payload.issue(
            appkey=made_up.APPKEY,
            master_secret=made_up.MASTER_SECRET,
            random_str=RANDOM_STR,
            now_ms=clock.now_ms - age_ms,
        ).signature
    )


@pytest.mark.parametrize(("age_ms", "refusal"), [(-30_001, NotYetValid), (30_001, Expired), (600_000, Expired)])
def test_no_other_time_is_signed(store: Store, clock: Clock, age_ms: int, refusal: type[Exception]) -> None:
    """Nobody can collect payloads for later; the refusal has the difference of the times."""
    difference = f"{-age_ms} ms in the future" if age_ms < 0 else f"{age_ms} ms old"
    remedy = "at most 30000 ms are allowed; check the browser's clock"
    with pytest.raises(refusal, match=f"^timestamp: is {difference}; {remedy}$"):
        chosen(store, clock, age_ms=age_ms)


def test_a_pair_is_signed_once(store: Store, clock: Clock) -> None:
    """For as long as its time would be signed; another time or another random_str makes another pair."""
    first_ms = clock.now_ms + 30_000
    chosen(store, clock, age_ms=-30_000)
    for later_ms in (0, 30_000, 60_000):
        clock.now_ms = first_ms - 30_000 + later_ms
        with pytest.raises(Replayed, match="timestamp, randomStr: this pair was already signed"):
            chosen(store, clock, age_ms=clock.now_ms - first_ms)
    chosen(store, clock)
    chosen(store, clock, age_ms=clock.now_ms - first_ms, random_str="another-random-string-01")


def test_one_randomstr_is_signed_with_many_timestamps(store: Store, clock: Clock) -> None:
    """jchat-web has one for all its pages, for as long as somebody uses it."""
    for _ in range(3):
        clock.now_ms += payload.MAX_AGE_MS
        chosen(store, clock)


@pytest.mark.parametrize("later_ms", [0, 1, payload.MAX_AGE_MS + 2 * payload.MAX_SKEW_MS - 1])
def test_what_one_route_has_signed_the_other_refuses(store: Store, clock: Clock, later_ms: int) -> None:
    """In both orders, while a payload could be valid; the refusal has the remedy, and other apps are independent."""
    issuing.issue(APP, random_str="made-up-random-string-02", store=store, now_ms=clock.now_ms)
    chosen(store, clock)
    clock.now_ms += 300_000
    chosen(store, clock)  # the last of the pairs is what counts
    clock.now_ms += later_ms
    with pytest.raises(Replayed, match=r"^random_str: was already signed; send a new one, or none$"):
        issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)
    if later_ms < payload.MAX_AGE_MS + 2 * payload.MAX_SKEW_MS - 300_000:
        with pytest.raises(
            Replayed, match=r"^randomStr: was already signed by POST /v1/auth-payload; generate another one"
        ):
            chosen(store, clock, random_str="made-up-random-string-02")
    other = served(made_up.OTHER_APPKEY)
    issuing.issue(other, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms)


def test_the_vendors_default_is_refused_by_name(store: Store, clock: Clock) -> None:
    """jchat-web's own randomStr is too short; the refusal names the field as jchat-web does, and nothing is used up."""
    with pytest.raises(
        InvalidRandomStr, match=r"^randomStr: must be 20 to 36 characters long, this one has 3; it is set in jchat-web"
    ):
        chosen(store, clock, random_str="404")


def test_nothing_chosen_is_signed_without_memory(away: Store, clock: Clock) -> None:
    """Whether it was signed before cannot be known."""
    with pytest.raises(StoreUnavailable):
        chosen(away, clock)


def test_a_claim_lasts_as_long_as_its_payload(store: Store, clock: Clock, tmp_path: Path) -> None:
    """And a minute longer, for clocks that differ; the refusals say what to send instead."""
    chosen(store, clock)
    issuing.issue(APP, random_str="made-up-random-string-02", store=store, now_ms=clock.now_ms)
    with closing(sqlite3.connect(tmp_path / "store.db")) as file:
        kept = file.execute("SELECT expires_ms FROM entry WHERE key LIKE 'signed:%' OR key LIKE 'pair:%'").fetchall()
    assert kept == [(clock.now_ms + 660_000,)] * 3
    with pytest.raises(Replayed, match=r"^random_str: was already signed; send a new one, or none$"):
        issuing.issue(APP, random_str="made-up-random-string-02", store=store, now_ms=clock.now_ms)
    with pytest.raises(
        Replayed, match=r"^timestamp, randomStr: this pair was already signed; read the clock again for each request$"
    ):
        chosen(store, clock)


def test_an_issued_payload_is_of_its_app(store: Store, clock: Clock) -> None:
    """It names the app that it is signed for."""
    assert issuing.issue(APP, random_str=None, store=store, now_ms=clock.now_ms).appkey == made_up.APPKEY
    assert issuing.issue(APP, random_str=RANDOM_STR, store=store, now_ms=clock.now_ms).appkey == made_up.APPKEY
