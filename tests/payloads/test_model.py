"""
Issuing and verifying against a plain model, through clocks that step, stores that are lost and secrets that change.

hypothesis draws the steps. `MODEL_STEPS` makes the long form: about so many steps for SQLite, in two tests that may run
at once, and an eighth of that for Redis, from a random seed; without it they are a few thousand and always the same.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from authsvc.errors import BadSignature, Expired, NotYetValid, Refusal, Replayed, StoreUnavailable, UnknownAppkey
from authsvc.ids import fresh_id
from authsvc.payloads import issuing, payload, verifying
from authsvc.payloads.apps import App, Apps
from authsvc.payloads.payload import AuthPayload
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.store import Store
from tests.support import made_up
from tests.support.services import RedisServer

Named = tuple[str, int]
"""A payload of the one app: its random_str and its timestamp, Unix ms."""
ALONE, IN_PAIRS = "/v1/auth-payload", "/v1/signature"
CLIENTS_OWN = st.integers(1, 3).map("a-clients-own-random-{}".format)
BEGIN_MS = 1_700_000_000_000
STEPS = int(os.environ.get("MODEL_STEPS", "4000"))
STEPS_EACH = 80  # in one history
IS_LONG = "MODEL_STEPS" in os.environ
PARTS = 2 if IS_LONG else 1
SECRETS = (made_up.MASTER_SECRET, made_up.OTHER_MASTER_SECRET, "a-third-made-up-secret00")
WORKERS = st.integers(0, 1)
HOLDERS = st.sampled_from([None, "socket-1", "socket-2"])
AHEAD_MS = st.sampled_from([-600_000, -599_999, -30_000, -1, 0, 1, 30_000, 30_001])
LEAPS_MS = st.sampled_from([1, 999, 29_999, 30_000, 30_001, 300_000, 599_999, 600_000, 660_000, 3_600_000])


class Place(Protocol):
    """Where a store is, and what can happen to it there; whether it forgets by the workers' clock or one of its own."""

    forgets: bool

    @property
    def url(self) -> str: ...

    def clear(self) -> None: ...

    def take_away(self) -> None: ...

    def give_back(self) -> None: ...


class FilePlace:
    """A SQLite file; while it is unavailable, another file is in its folder's place."""

    forgets = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "store"
        self._elsewhere = folder / "elsewhere"

    @property
    def url(self) -> str:
        return f"sqlite://{self._folder}/store.db"

    def clear(self) -> None:
        for path in self._folder.glob("store.db*"):
            path.unlink()

    def take_away(self) -> None:
        self._folder.rename(self._elsewhere)
        self._folder.touch()

    def give_back(self) -> None:
        self._folder.unlink()
        self._elsewhere.rename(self._folder)


class RedisPlace:
    """A real Redis, which saves what it has and ends when it goes. A run takes less time than it keeps anything."""

    forgets = False

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url

    def clear(self) -> None:
        with self._server.client() as client:
            client.flushall()

    def take_away(self) -> None:
        with self._server.client() as client:
            client.save()
        self._server.kill()

    def give_back(self) -> None:
        self._server.start()


@dataclass
class Model:
    """What is promised, in the plainest way: it forgets nothing but with the store."""

    now_ms: int = BEGIN_MS
    latest_ms: int = BEGIN_MS
    current: str = SECRETS[0]
    retired: dict[str, int] = field(default_factory=dict)
    born_ms: int | None = None
    signed: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Which route has signed each of a client's own random_strs, and when last."""
    pairs: dict[tuple[str, int], int] = field(default_factory=dict)
    """When each pair of a page's own random_str and timestamp was signed."""
    claims: dict[Named, str] = field(default_factory=dict)
    """Who holds each payload."""
    vague: set[Named] = field(default_factory=set)
    """The payloads of which a clock that went ahead and came back may have made the store forget who holds them."""
    accepted: dict[Named, str] = field(default_factory=dict)

    def step(self, leap_ms: int) -> None:
        self.now_ms += leap_ms
        self.latest_ms = max(self.latest_ms, self.now_ms)

    def reload(self, secret: str) -> None:
        if secret != self.current:
            self.retired.setdefault(self.current, self.now_ms)
            self.retired.pop(secret, None)
            self.current = secret

    def lose_the_store(self) -> None:
        self.born_ms = None
        self.signed.clear()
        self.pairs.clear()
        self.claims.clear()
        self.vague.clear()

    def use_the_store(self, earliest_ms: int = 0) -> int:
        """Return the birth mark, which the first use sets: nothing from before it is good any more."""
        if self.born_ms is None:
            born_ms = self.born_ms = max(self.now_ms, earliest_ms)
            self.accepted = {key: claimant for key, claimant in self.accepted.items() if key[1] <= born_ms}
        return self.born_ms

    def is_forgotten(self, dead_ms: int) -> bool:
        return self.latest_ms >= dead_ms + 60_000

    def is_signed(self, seen: AuthPayload) -> bool:
        secret = next(secret for secret in SECRETS if is_signed_by(seen, secret))
        return secret == self.current or seen.timestamp_ms < self.retired.get(secret, 0) + 30_000

    def expected(self, seen: AuthPayload, claimant: str, *, is_away: bool, forgets: bool) -> set[type[Refusal] | None]:
        """Return what the service may answer, None for an acceptance, and make the claim that it makes."""
        age_ms = self.now_ms - seen.timestamp_ms
        if not self.is_signed(seen):
            return {BadSignature}
        if age_ms >= 600_000:
            return {Expired}
        if age_ms < -30_000:
            return {NotYetValid}
        if is_away:
            return {StoreUnavailable}
        born_ms = self.use_the_store()
        named = (seen.random_str, seen.timestamp_ms)
        holder = self.claims.setdefault(named, claimant)
        if forgets and self.is_forgotten(seen.timestamp_ms + 600_000):
            self.vague.add(named)
        if seen.timestamp_ms <= born_ms:
            return {Expired}
        if named in self.vague:
            return {None, Expired, Replayed}
        return {None if holder == claimant else Replayed}

    def may_sign(
        self, random_str: str, route: str, *, forgets: bool, timestamp_ms: int = 0
    ) -> set[type[Refusal] | None]:
        """Return what the service may answer to who brings a random_str, and for the second route a timestamp."""
        by, signed_ms = self.signed.get(random_str, (route, self.now_ms))
        pair_ms = self.pairs.get((random_str, timestamp_ms))
        is_known = random_str in self.signed and (by == ALONE or route == ALONE)
        kept_ms = [*([signed_ms] if is_known else []), *([] if pair_ms is None or route == ALONE else [pair_ms])]
        if not kept_ms:
            return {None}
        if forgets and self.is_forgotten(max(kept_ms) + 600_000):
            return {None, Replayed}
        return {Replayed}

    def sign(self, random_str: str, route: str, *, timestamp_ms: int = 0) -> None:
        """Remember what was signed; a clock that goes back makes nothing be forgotten earlier."""
        by, signed_ms = self.signed.get(random_str, (route, self.now_ms))
        self.signed[random_str] = (route, max(self.now_ms, signed_ms if by == route else 0))
        if route == IN_PAIRS:
            pair = (random_str, timestamp_ms)
            self.pairs[pair] = max(self.now_ms, self.pairs.get(pair, 0))


class Machine(RuleBasedStateMachine):
    """Two workers, the store between them, and the model."""

    place: ClassVar[Place]
    report: ClassVar["staticmethod[[], None]"]
    presented = Bundle("presented")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.is_away = False
        self.fresh: set[str] = set()
        self.number = 0
        self.place.clear()
        self.stores = [self.opened(), self.opened()]
        self.apps = [Apps([app_of(SECRETS[0])], BEGIN_MS) for _ in self.stores]

    def opened(self) -> Store:
        return open_store(self.place.url, now_ms=lambda: self.model.now_ms)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        if self.is_away:
            self.place.give_back()
        self.report()

    @rule(target=presented, worker=WORKERS)
    def issue(self, worker: int) -> AuthPayload:
        """With a random_str of ours it never fails, is of this moment, by the newest secret, and like no other."""
        out = self.issued(worker, None)
        assert out.timestamp_ms == self.model.now_ms
        assert is_signed_by(out, self.model.current)
        assert out.random_str not in self.fresh
        self.fresh.add(out.random_str)
        return out

    @rule(target=presented, worker=WORKERS, random_str=CLIENTS_OWN)
    def issue_with_a_clients_random_str(self, worker: int, random_str: str) -> MultipleResults[AuthPayload]:
        """It is signed once while the payload could live, and not at all without the store."""
        return self.signs(random_str, ALONE, lambda: self.issued(worker, random_str))

    @rule(target=presented, worker=WORKERS, random_str=CLIENTS_OWN, ahead_ms=st.sampled_from([-30_000, -1, 0, 30_000]))
    def sign_a_pair(self, worker: int, random_str: str, ahead_ms: int) -> MultipleResults[AuthPayload]:
        """A page's own timestamp with its own random_str once; with another timestamp again; and by one route only."""
        now_ms = self.model.now_ms
        served, store, timestamp_ms = self.apps[worker].find(None), self.stores[worker], now_ms + ahead_ms
        return self.signs(
            random_str,
            IN_PAIRS,
            lambda: issuing.sign_chosen(
                served, timestamp_ms=timestamp_ms, random_str=random_str, store=store, now_ms=now_ms
            ),
            timestamp_ms=timestamp_ms,
        )

    @rule(target=presented, ahead_ms=AHEAD_MS, secret=st.sampled_from(SECRETS))
    def issue_elsewhere(self, ahead_ms: int, secret: str) -> AuthPayload:
        """Another host signs, by a clock of its own and with whatever secret it has."""
        return self.signed(fresh_id(), ahead_ms, secret)

    @rule(target=presented, seen=presented, ahead_ms=AHEAD_MS)
    def issue_the_same_random_str(self, seen: AuthPayload, ahead_ms: int) -> AuthPayload:
        """Another payload has it too."""
        return self.signed(seen.random_str, ahead_ms, self.model.current)

    @rule(seen=presented, worker=WORKERS, holder=HOLDERS)
    def verify(self, seen: AuthPayload, worker: int, holder: str | None) -> None:
        """By either worker, with a holder or without."""
        self.check(seen, worker, holder)

    @rule(seen=presented, holder=HOLDERS)
    def verify_everywhere(self, seen: AuthPayload, holder: str | None) -> None:
        """One after the other."""
        for worker in (0, 1, 0):
            self.check(seen, worker, holder)

    @rule(seen=presented, worker=WORKERS, how=st.integers(0, 4))
    def verify_tampered(self, seen: AuthPayload, worker: int, how: int) -> None:
        """What was changed is refused at any time and with any store, and uses nothing up."""
        other = "0" if seen.signature[7] != "0" else "1"
        tampered = (
            seen._replace(signature=seen.signature[:7] + other + seen.signature[8:]),
            seen._replace(timestamp_ms=seen.timestamp_ms + 1),
            seen._replace(random_str=f"{seen.random_str}x"),
            seen._replace(random_str=seen.random_str.swapcase()),
            seen._replace(appkey=made_up.OTHER_APPKEY),
        )[how]
        found = self.verified(tampered, worker, None)
        assert found is (UnknownAppkey if how == 4 else BadSignature) or tampered == seen

    @rule(leap_ms=LEAPS_MS)
    def step_forward(self, leap_ms: int) -> None:
        """The clock goes on, or is set."""
        self.model.step(leap_ms)

    @rule(leap_ms=LEAPS_MS)
    def step_back(self, leap_ms: int) -> None:
        """The clock is set back."""
        self.model.step(-leap_ms)

    @rule(seen=presented, after_ms=st.integers(-1, 1), holder=HOLDERS)
    def expire(self, seen: AuthPayload, after_ms: int, holder: str | None) -> None:
        """The clock goes to the end of a payload's life, give or take a millisecond, and it is presented."""
        self.model.step(seen.timestamp_ms + 600_000 + after_ms - self.model.now_ms)
        self.check(seen, 0, holder)

    @rule(secret=st.sampled_from(SECRETS))
    def reload(self, secret: str) -> None:
        """Every worker learns of a new secret, or of an old one that came back."""
        self.model.reload(secret)
        for apps in self.apps:
            apps.replace([app_of(secret)], self.model.now_ms)

    @precondition(lambda self: not self.is_away)
    @rule()
    def lose_the_store(self) -> None:
        """It loses all data, and the workers do not notice."""
        self.place.clear()
        self.model.lose_the_store()

    @precondition(lambda self: not self.is_away and self.model.born_ms is not None)
    @rule()
    def the_store_goes(self) -> None:
        """It cannot be reached."""
        self.place.take_away()
        self.is_away = True

    @precondition(lambda self: self.is_away)
    @rule()
    def the_store_returns(self) -> None:
        """With what it had; a Redis that was restarted may have lost its last moments, so it counts as born anew."""
        self.place.give_back()
        self.is_away = False
        for store in self.stores:
            store.close()
        self.stores = [self.opened(), self.opened()]
        if not self.place.forgets:
            before_ms, self.model.born_ms = self.model.born_ms, None
            self.model.use_the_store(before_ms or 0)
            self.stores[0].ping()

    def signed(self, random_str: str, ahead_ms: int, secret: str) -> AuthPayload:
        now_ms = self.model.now_ms + ahead_ms
        return payload.issue(appkey=made_up.APPKEY, master_secret=secret, random_str=random_str, now_ms=now_ms)

    def signs(
        self, random_str: str, route: str, by_route: Callable[[], AuthPayload], *, timestamp_ms: int = 0
    ) -> MultipleResults[AuthPayload]:
        """Have it signed, and hold the answer to the model."""
        if self.is_away:
            with pytest.raises(StoreUnavailable):
                by_route()
            return multiple()
        self.model.use_the_store()
        expected = self.model.may_sign(random_str, route, forgets=self.place.forgets, timestamp_ms=timestamp_ms)
        try:
            out = by_route()
        except Replayed:
            assert Replayed in expected
            return multiple()
        assert None in expected
        self.model.sign(random_str, route, timestamp_ms=timestamp_ms)
        return multiple(out)

    def issued(self, worker: int, random_str: str | None) -> AuthPayload:
        served = self.apps[worker].find(None)
        return issuing.issue(served, random_str=random_str, store=self.stores[worker], now_ms=self.model.now_ms)

    def verified(self, seen: AuthPayload, worker: int, holder: str | None) -> type[Refusal] | None:
        apps, store = self.apps[worker], self.stores[worker]
        try:
            verifying.verify(seen, holder=holder, apps=apps, store=store, now_ms=self.model.now_ms)
        except Refusal as refusal:
            return type(refusal)
        return None

    def check(self, seen: AuthPayload, worker: int, holder: str | None) -> None:
        """Verify, and hold the answer to the model; whatever happens to the clock, nothing is accepted twice."""
        self.number += 1
        claimant = holder or f"nobody-{self.number}"
        expected = self.model.expected(seen, claimant, is_away=self.is_away, forgets=self.place.forgets)
        found = self.verified(seen, worker, holder)
        if found is None:
            first = self.model.accepted.setdefault((seen.random_str, seen.timestamp_ms), claimant)
            assert first == claimant, "accepted twice"
        assert found in expected


def app_of(secret: str) -> App:
    return App(made_up.APPKEY, Secret(secret), default=True)


def is_signed_by(seen: AuthPayload, secret: str) -> bool:
    try:
        payload.check_signature(seen, [secret])
    except BadSignature:
        return False
    return True


def made(place: Place, report: Callable[[], None]) -> type[Machine]:
    return type("Machine", (Machine,), {"place": place, "report": staticmethod(report)})


def run(place: Place, steps: int, progress: Callable[[str], None]) -> None:
    """Run so many steps, in histories of `STEPS_EACH` at most."""
    histories, done = max(1, steps // STEPS_EACH), 0

    def report() -> None:
        nonlocal done
        done += 1
        progress(f"{done} of {histories} histories")

    run_state_machine_as_test(
        made(place, report),
        settings=settings(
            max_examples=histories,
            stateful_step_count=STEPS_EACH,
            derandomize=not IS_LONG,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_sqlite(tmp_path: Path, part: int, progress: Callable[[str], None]) -> None:
    """Whatever happens, in whatever order, two workers with a SQLite file behave like the model."""
    run(FilePlace(tmp_path), STEPS // PARTS, progress)


def test_redis(redis_server: RedisServer, progress: Callable[[str], None]) -> None:
    """So do two workers with a Redis."""
    run(RedisPlace(redis_server), STEPS // 8, progress)


def test_a_restart_after_the_clock_went_back(redis_server: RedisServer) -> None:
    """A Redis that was restarted counts as born anew, but never earlier than before. The long form found this."""
    machine = made(RedisPlace(redis_server), lambda: None)()
    machine.issue_with_a_clients_random_str(0, "a-clients-own-random-1")
    seen = machine.issue(0)
    machine.the_store_goes()
    machine.the_store_returns()
    machine.step_back(30_000)
    machine.verify_everywhere(seen, None)
    machine.the_store_goes()
    machine.the_store_returns()
    machine.verify(seen, 0, None)
    machine.teardown()
