"""
What `authsvc check` tries before traffic does. Imports `config`, `stores`, `vendor` and `payload`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from authsvc import stores
from authsvc.apps import App
from authsvc.breaker import Breaker
from authsvc.budget import Budget
from authsvc.config import Settings
from authsvc.errors import StoreAway, VendorBusy, VendorRefused, VendorSlow
from authsvc.payload import MAX_SKEW_MS
from authsvc.secret import Secret
from authsvc.store import Store
from authsvc.vendor import Credentials, Vendor

ADVISED_LENGTH = 16
UNIQUIFIER_FIELDS = frozenset({"_user_id", "fs_uniquifier"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `words` say what was seen, and for a note or a failure what to do."""

    grade: Literal["ok", "note", "FAIL"]
    name: str
    words: str


def findings(settings: Settings, now_ms: Callable[[], int], *, candidate: App | None = None) -> Iterator[Finding]:
    """
    Yield a line for each thing tried, as it is tried.

    Args:
        candidate: an app whose masterSecret is to be proven before it is used.
    """
    yield Finding(
        "ok",
        "settings",
        f"{len(settings.apps)} app(s), {settings.rate_limit} a user and app",
    )
    yield from _notes(settings)
    store = stores.open_store(settings.store_url.reveal())
    budget = Budget(settings.vendor_budget, store)
    vendor = Vendor(settings.vendor_url, budget=budget, breaker=Breaker(), now_ms=now_ms)
    try:
        yield from _store(store, now_ms)
        yield from _vendor(vendor, settings.apps, candidate, now_ms)
    finally:
        vendor.close()
        store.close()


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
    if settings.session_key and settings.account_key and settings.session_user_field in UNIQUIFIER_FIELDS:
        yield Finding(
            "note",
            "SESSION_USER_FIELD",
            f"{settings.session_user_field} is Flask-Security's fs_uniquifier, if your app uses that: it changes with"
            " the password, and then the user gets another IM account; name an id that stays",
        )
    if not settings.verifier_keys:
        yield Finding("note", "VERIFIER_KEYS", "not set: nobody can call the verify route")


def _store(store: Store, now_ms: Callable[[], int]) -> Iterator[Finding]:
    try:
        pulse = store.ping()
    except StoreAway as exc:
        yield Finding("FAIL", "store", f"took no write: {exc.__cause__}; see AUTHSVC_STORE_URL")
        return
    yield Finding("ok", "store", "took a write")
    yield _clock("clock", pulse.clock_ms - now_ms(), "the store's")
    if pulse.worry is not None:
        # A failure, because nothing shows it when a claim is evicted and its payload accepted again.
        yield Finding("FAIL", "memory", f"{pulse.worry}: claims may be evicted; set it to noeviction")


def _vendor(vendor: Vendor, apps: Iterable[App], candidate: App | None, now_ms: Callable[[], int]) -> Iterator[Finding]:
    told = [(f"appkey {app.appkey}", app) for app in apps]
    if candidate is not None:
        told.append((f"appkey {candidate.appkey}, new masterSecret", candidate))
    skew_ms = None
    for name, app in told:
        try:
            vendor_ms = vendor.clock_ms(Credentials(app.appkey, app.master_secret.reveal()))
        except VendorRefused as exc:
            yield Finding("FAIL", name, f"{exc.detail}; compare the masterSecret with the vendor's console")
        except (VendorBusy, VendorSlow) as exc:
            yield Finding("FAIL", name, f"{exc.detail}; see AUTHSVC_VENDOR_URL and the way out of this network")
        else:
            yield Finding("ok", name, "the vendor accepts the credentials")
            skew_ms = None if vendor_ms is None else vendor_ms - now_ms()
    if skew_ms is not None:
        yield _clock("vendor clock", skew_ms, "the vendor's")


def _clock(name: str, skew_ms: int, whose: str) -> Finding:
    if abs(skew_ms) > MAX_SKEW_MS:
        return Finding("FAIL", name, f"{skew_ms} ms off {whose}; payloads expire early or late: set up NTP")
    return Finding("ok", name, f"{skew_ms} ms off {whose}")
