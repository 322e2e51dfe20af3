"""Whether a process can serve, and what is missing if not."""

from pathlib import Path

import pytest

from authsvc.payloads.payload import MAX_SKEW_MS
from authsvc.stores import open_store
from authsvc.stores.store import Store
from authsvc.telemetry.health import Readiness, is_ready
from tests.conftest import Clock
from tests.support.services import RedisServer


def readiness(store: Store, **wrong: bool) -> Readiness:
    return Readiness(
        store,
        broken_files=lambda: ("AUTHSVC_JWT_KEY_FILE",) if wrong.get("broken") else (),
        is_at_work=lambda: not wrong.get("ended", False),
        is_draining=lambda: wrong.get("draining", False),
        is_vendor_unavailable=lambda: wrong.get("vendor", False),
    )


def test_ready(store: Store, clock: Clock) -> None:
    """All is well."""
    checks = readiness(store).checks(clock.now_ms)
    assert set(checks.values()) == {"ok"}
    assert is_ready(checks)


@pytest.mark.parametrize(("wrong", "name", "word"), [("ended", "background", "ended"), ("draining", "draining", "yes")])
def test_not_ready(store: Store, clock: Clock, wrong: str, name: str, word: str) -> None:
    """Each by its name."""
    checks = readiness(store, **{wrong: True}).checks(clock.now_ms)
    assert checks[name] == word
    assert not is_ready(checks)


def test_ready_without_the_vendor(store: Store, clock: Clock) -> None:
    """It is reported, and does not decide."""
    checks = readiness(store, vendor=True).checks(clock.now_ms)
    assert checks["vendor"] == "unavailable"
    assert is_ready(checks)


def test_ready_though_a_secret_file_is_broken(store: Store, clock: Clock) -> None:
    """The setting is named, and does not count: with the same file no other instance would be better off."""
    checks = readiness(store, broken=True).checks(clock.now_ms)
    assert checks["secrets"] == "AUTHSVC_JWT_KEY_FILE"
    assert is_ready(checks)


def test_ready_though_claims_may_be_evicted(redis_server: RedisServer, clock: Clock) -> None:
    """It is reported, and does not decide: all other instances have it too."""
    store = open_store(redis_server.url)
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    checks = readiness(store).checks(clock.now_ms)
    store.close()
    assert checks["memory"] == "maxmemory-policy is allkeys-lru"
    assert is_ready(checks)


def test_store_unavailable(clock: Clock) -> None:
    """Then nothing is known of its clock and memory either."""
    checks = readiness(open_store("unix:///nonexistent/redis.sock")).checks(clock.now_ms)
    assert (checks["store"], checks["clock"], checks["memory"]) == ("unavailable", "unknown", "unknown")
    assert not is_ready(checks)


@pytest.mark.parametrize("skew_ms", [-MAX_SKEW_MS - 1, -MAX_SKEW_MS, 0, MAX_SKEW_MS, MAX_SKEW_MS + 1])
def test_clock(tmp_path: Path, clock: Clock, skew_ms: int) -> None:
    """Thirty seconds off the store's is the most that payloads bear."""
    now_ms = clock.now_ms
    store = open_store(f"sqlite://{tmp_path}/other.db", now_ms=lambda: now_ms + skew_ms)
    checks = readiness(store).checks(now_ms)
    store.close()
    assert is_ready(checks) is (abs(skew_ms) <= MAX_SKEW_MS)
    assert checks["clock"] == ("ok" if abs(skew_ms) <= MAX_SKEW_MS else f"{skew_ms} ms off the store's")
