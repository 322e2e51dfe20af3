"""
What `authsvc check` tries before traffic does. Imports `config`, `stores` and `payload`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from authsvc import stores
from authsvc.config import Settings
from authsvc.errors import StoreAway
from authsvc.payload import MAX_SKEW_MS
from authsvc.secret import Secret

ADVISED_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `words` say what was seen, and for a note or a failure what to do."""

    grade: Literal["ok", "note", "FAIL"]
    name: str
    words: str


def findings(settings: Settings, now_ms: Callable[[], int]) -> Iterator[Finding]:
    """Yield a line for each thing tried, as it is tried."""
    yield Finding(
        "ok",
        "settings",
        f"{len(settings.apps)} app(s), {settings.rate_limit} a user and app",
    )
    yield from _notes(settings)
    yield from _store(settings, now_ms)


def _notes(settings: Settings) -> Iterator[Finding]:
    lists: dict[str, tuple[Secret, ...]] = {
        "SESSION_KEY": settings.session_key,
        "GATEWAY_SECRET": settings.gateway_secret,
        "VERIFIER_KEYS": settings.verifier_keys,
    }
    for name, secrets in lists.items():
        if any(len(secret.reveal()) < ADVISED_LENGTH for secret in secrets):
            yield Finding("note", name, f"shorter than {ADVISED_LENGTH} characters; draw one: openssl rand -hex 32")
    if (settings.jwt_key or settings.jwt_jwks_url) and not settings.jwt_audience:
        yield Finding(
            "note", "JWT_AUDIENCE", "not set: a token made for another service is accepted, unless it has an aud"
        )
    if not settings.verifier_keys:
        yield Finding("note", "VERIFIER_KEYS", "not set: nobody can call the verify route")


def _store(settings: Settings, now_ms: Callable[[], int]) -> Iterator[Finding]:
    store = stores.open_store(settings.store_url.reveal())
    try:
        skew_ms = store.ping() - now_ms()
    except StoreAway as exc:
        yield Finding("FAIL", "store", f"took no write: {exc.__cause__}; see AUTHSVC_STORE_URL")
        return
    finally:
        store.close()
    yield Finding("ok", "store", "took a write")
    if abs(skew_ms) > MAX_SKEW_MS:
        yield Finding("FAIL", "clock", f"{skew_ms} ms off the store's; payloads expire early or late: set up NTP")
    else:
        yield Finding("ok", "clock", f"{skew_ms} ms off the store's")
