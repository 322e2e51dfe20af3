"""Verifying: the order of the checks, the limits of time, holders, and what a forgery can use up."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from authsvc.errors import (
    BadSignature,
    Expired,
    InvalidRequest,
    NotLoggedIn,
    NotYetValid,
    Refusal,
    Replayed,
    StoreUnavailable,
    UnknownAppkey,
)
from authsvc.payloads import payload, verifying
from authsvc.payloads.apps import App, Apps
from authsvc.payloads.payload import AuthPayload
from authsvc.payloads.verifying import Verifiers
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.conftest import Clock
from tests.support import made_up

RANDOM_STR = "made-up-random-string-01"


@pytest.fixture
def apps(clock: Clock) -> Apps:
    """One app."""
    return Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], clock.now_ms)


def signed(
    timestamp_ms: int,
    *,
    appkey: str = made_up.APPKEY,
    secret: str = made_up.MASTER_SECRET,
    random_str: str = RANDOM_STR,
) -> AuthPayload:
    return payload.issue(appkey=appkey, master_secret=secret, random_str=random_str, now_ms=timestamp_ms)


def verify(
    presented: AuthPayload, apps: Apps, store: Store, now_ms: int, *, holder: str | None = None
) -> type[Refusal] | None:
    """Return what was refused, or None."""
    try:
        verifying.verify(presented, holder=holder, apps=apps, store=store, now_ms=now_ms)
    except Refusal as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize(
    ("age_ms", "refusal"),
    [
        (-30_001, NotYetValid),
        (-30_000, None),
        (0, None),
        (9_999, None),
        (599_999, Expired),  # older than the store, which was born ten seconds ago
        (600_000, Expired),
        (600_001, Expired),
    ],
)
def test_limits_of_time(apps: Apps, store: Store, clock: Clock, age_ms: int, refusal: type[Refusal] | None) -> None:
    """To the millisecond."""
    assert verify(signed(clock.now_ms - age_ms), apps, store, clock.now_ms) is refusal


@pytest.mark.parametrize(("age_ms", "refusal"), [(599_999, None), (600_000, Expired)])
def test_the_end_of_a_life(apps: Apps, store: Store, clock: Clock, age_ms: int, refusal: type[Refusal] | None) -> None:
    """With a store that remembers long enough a payload is good until its last millisecond."""
    timestamp_ms = clock.now_ms
    clock.now_ms += age_ms
    assert verify(signed(timestamp_ms), apps, store, clock.now_ms) is refusal


def test_good_once(apps: Apps, store: Store, clock: Clock) -> None:
    """Whoever presents it without naming a holder does so once, until it is expired."""
    presented = signed(clock.now_ms)
    assert verify(presented, apps, store, clock.now_ms) is None
    for later_ms in (0, 1, 599_999):
        assert verify(presented, apps, store, clock.now_ms + later_ms) is Replayed
    assert verify(presented, apps, store, clock.now_ms + 600_000) is Expired


def test_a_holder_may_repeat(apps: Apps, store: Store, clock: Clock) -> None:
    """The same one as often as it likes while the payload lives; no other, and nobody without a name."""
    presented = signed(clock.now_ms)
    for later_ms in (0, 5_000, 20_000, 599_999):
        assert verify(presented, apps, store, clock.now_ms + later_ms, holder="socket-1") is None
    assert verify(presented, apps, store, clock.now_ms, holder="socket-2") is Replayed
    assert verify(presented, apps, store, clock.now_ms) is Replayed
    assert verify(presented, apps, store, clock.now_ms + 600_000, holder="socket-1") is Expired


def test_a_holder_cannot_take_over(apps: Apps, store: Store, clock: Clock) -> None:
    """What was used without a holder is used, whatever a holder calls itself."""
    presented = signed(clock.now_ms)
    assert verify(presented, apps, store, clock.now_ms) is None
    for holder in ("socket-1", "once:", "once"):
        assert verify(presented, apps, store, clock.now_ms, holder=holder) is Replayed


def test_what_is_good_once_is_the_payload(apps: Apps, store: Store, clock: Clock) -> None:
    """jchat-web logs in, registers and logs in again with one randomStr: each timestamp makes a payload of its own."""
    for timestamp_ms in (clock.now_ms, clock.now_ms + 1, clock.now_ms - 1):
        assert verify(signed(timestamp_ms), apps, store, clock.now_ms) is None
        assert verify(signed(timestamp_ms), apps, store, clock.now_ms) is Replayed
        assert verify(signed(timestamp_ms), apps, store, clock.now_ms, holder="socket-1") is Replayed


@pytest.mark.parametrize("holder", ["", "x" * 129, "a b", "a\n", "é", "\0"])
def test_no_holder(apps: Apps, store: Store, clock: Clock, holder: str) -> None:
    """A name that is none is refused, and the payload is not used up."""
    presented = signed(clock.now_ms)
    assert verify(presented, apps, store, clock.now_ms, holder=holder) is InvalidRequest
    assert verify(presented, apps, store, clock.now_ms, holder="x" * 128) is None


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"appkey": made_up.OTHER_APPKEY, "secret": "wrong", "age_ms": 600_000}, UnknownAppkey),
        ({"secret": "wrong", "age_ms": 600_000}, BadSignature),
        ({"secret": "wrong", "age_ms": -40_000}, BadSignature),
        ({"age_ms": 600_000}, Expired),
        ({"age_ms": -30_001}, NotYetValid),
    ],
)
def test_the_first_rule_that_is_broken(
    apps: Apps, store: Store, clock: Clock, changes: dict[str, object], refusal: type[Refusal]
) -> None:
    """Appkey, signature, time, replay: the first one names the refusal, though the payload was already used too."""
    assert verify(signed(clock.now_ms), apps, store, clock.now_ms) is None
    fields = dict(changes)
    age_ms = fields.pop("age_ms", 0)
    assert isinstance(age_ms, int)
    presented = signed(clock.now_ms - age_ms, **fields)  # type: ignore[arg-type] # texts
    assert verify(presented, apps, store, clock.now_ms) is refusal


def test_forgeries_use_up_nothing(apps: Apps, store: Store, clock: Clock) -> None:
    """After any number of refusals for another reason the good one is still good."""
    for presented, refusal in (
        (signed(clock.now_ms, secret="wrong"), BadSignature),
        (signed(clock.now_ms - 600_000), Expired),
        (signed(clock.now_ms + 30_001), NotYetValid),
        (signed(clock.now_ms, appkey=made_up.OTHER_APPKEY), UnknownAppkey),
    ):
        assert verify(presented, apps, store, clock.now_ms) is refusal
    assert verify(signed(clock.now_ms), apps, store, clock.now_ms) is None


def test_a_retired_secret(apps: Apps, store: Store, clock: Clock) -> None:
    """It verifies what it signed before it was replaced, and nothing that it signs later."""
    old = signed(clock.now_ms)
    apps.replace([App(made_up.APPKEY, Secret(made_up.OTHER_MASTER_SECRET))], clock.now_ms)
    assert verify(old, apps, store, clock.now_ms) is None
    clock.now_ms += 60_000
    late = signed(clock.now_ms, random_str="made-up-random-string-02")
    assert verify(late, apps, store, clock.now_ms) is BadSignature


def test_store_unavailable(apps: Apps, clock: Clock) -> None:
    """What cannot be remembered is not accepted."""
    away = open_store("unix:///nonexistent/redis.sock")
    assert verify(signed(clock.now_ms), apps, away, clock.now_ms) is StoreUnavailable


def test_a_store_that_was_born_later(apps: Apps, store: Store, clock: Clock) -> None:
    """A payload from before the store's records counts as expired; the refusal has their start."""
    records = f"the store's records, which begin at {clock.now_ms - 10_000}"
    with pytest.raises(Expired, match=f"^timestamp: the payload is older than {records}; get a fresh one$"):
        verifying.verify(signed(clock.now_ms - 10_000), holder=None, apps=apps, store=store, now_ms=clock.now_ms)
    younger = signed(clock.now_ms - 9_999, random_str="made-up-random-string-02")
    assert verify(younger, apps, store, clock.now_ms) is None


@pytest.mark.parametrize("age_ms", [-30_000, 0, 9_999])
def test_a_claim_outlives_its_payload(apps: Apps, store: Store, clock: Clock, tmp_path: Path, age_ms: int) -> None:
    """It is kept until a minute after the payload is dead, twice what two hosts' clocks may differ, and no longer."""
    presented = signed(clock.now_ms - age_ms)
    assert verify(presented, apps, store, clock.now_ms) is None
    with closing(sqlite3.connect(tmp_path / "store.db")) as file:
        kept = file.execute("SELECT expires_ms FROM entry WHERE key LIKE 'verify:%'").fetchall()
    assert kept == [(presented.timestamp_ms + 660_000,)]


def test_the_details_of_refusals(apps: Apps, store: Store, clock: Clock) -> None:
    """What callers show to who has to mend it."""
    presented = signed(clock.now_ms)
    for holder, detail in (
        (" ", "holder: must be 1 to 128 printable ASCII characters without spaces"),
        ("socket-1", None),
        ("socket-2", "the payload was already used"),
    ):
        try:
            verifying.verify(presented, holder=holder, apps=apps, store=store, now_ms=clock.now_ms)
            found = None
        except Refusal as refusal:
            found = refusal.detail
        assert found == detail


def verifiers() -> Verifiers:
    return Verifiers([Secret("first-made-up-key"), Secret("second-made-up-key-密")])


@pytest.mark.parametrize("authorization", ["Bearer first-made-up-key", "bearer second-made-up-key-密"])
def test_a_verifier(authorization: str) -> None:
    """The holder of any of the keys; the scheme's case does not matter."""
    verifiers().check(authorization)


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (None, "^a verifier key is required: Authorization: Bearer <one of AUTHSVC_VERIFIER_KEYS>$"),
        ("", "is required"),
        ("Bearer", "is required"),
        ("Bearer ", "is required"),
        ("Basic first-made-up-key", "is required"),
        ("Bearer first-made-up-ke", "^the Bearer token is not one of AUTHSVC_VERIFIER_KEYS$"),
        ("Bearer first-made-up-key ", "not one of"),
        ("Bearer FIRST-made-up-key", "not one of"),
    ],
)
def test_no_verifier(authorization: str | None, words: str) -> None:
    """Other requests get the expected header, or that the key is wrong."""
    with pytest.raises(NotLoggedIn, match=words):
        verifiers().check(authorization)


def test_without_keys_nobody_verifies() -> None:
    """And keys can be replaced."""
    some = Verifiers(())
    with pytest.raises(NotLoggedIn):
        some.check("Bearer x")
    some.replace([Secret("x")])
    some.check("Bearer x")


@pytest.mark.parametrize(
    ("header", "in_body", "holder"),
    [(None, None, None), (None, "socket-1", "socket-1"), ("socket-1", None, "socket-1"), ("", None, "")],
)
def test_holder_in_one_place(header: str | None, in_body: str | None, holder: str | None) -> None:
    """The verifier names the holder in the header, or in a body of its own."""
    assert verifying.holder_of(header, in_body) == holder


@pytest.mark.parametrize(
    ("header", "in_body", "detail"),
    [
        (
            "socket-1",
            "",
            "holder: must not be in the body together with the header X-Holder, which the verifier sets",
        ),
        ("socket-1,socket-2", None, "X-Holder: contains a comma or was sent twice"),
    ],
)
def test_ambiguous_holder_rejected(header: str, in_body: str | None, detail: str) -> None:
    """A body with a second holder is the page's, which must not choose; a header with two names none."""
    with pytest.raises(InvalidRequest) as refused:
        verifying.holder_of(header, in_body)
    assert refused.value.detail == detail
