"""
The checks of `authsvc check`: the settings and everything that they point to.

Imports `model`, `stores`, `client`, `token_keys`, `auth_request`, `availability`, `ids` and `payload`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from authsvc import stores
from authsvc.auth import token_keys
from authsvc.auth.auth_request import LoginUrl, Presented
from authsvc.errors import (
    KeysUnavailable,
    LoginUnavailable,
    NotLoggedIn,
    StoreUnavailable,
    VendorBusy,
    VendorRefused,
    VendorSlow,
)
from authsvc.ids import fresh_id
from authsvc.outbound import proxies
from authsvc.outbound.availability import cause
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.payloads.apps import App
from authsvc.payloads.payload import MAX_SKEW_MS
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.vendor import usernames
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Credentials, Vendor

ADVISED_LENGTH = 16
UNIQUIFIER_FIELDS = frozenset({"_user_id", "fs_uniquifier"})
# As Flask, PHP, Java, Express, Django and Laravel name them.
_SESSION_COOKIES = ("session", "PHPSESSID", "JSESSIONID", "connect.sid", "sessionid", "laravel_session")
_MAX_LISTED = 5  # keys of a JWKS URL


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `words` are the result, and for a note or a failure the remedy."""

    grade: Literal["ok", "note", "FAIL"]
    name: str
    words: str


def findings(
    settings: Settings, now_ms: Callable[[], int], *, candidate: App | None = None, is_offline: bool = False
) -> Iterator[Finding]:
    """
    Yield a line for each check, as it is made.

    Args:
        candidate: an app whose masterSecret is checked before it is used.
        is_offline: check only the settings and the store.
    """
    yield Finding(
        "ok",
        "settings",
        f"{len(settings.apps)} app(s), {settings.rate_limit} a user and app",
    )
    yield from _notes(settings)
    store = stores.open_store(settings.store_url.reveal())
    try:
        yield from _store(store, settings.store_place, now_ms)
        if is_offline:
            yield Finding("note", "offline", "only the settings and the store are checked")
            return
        yield from _vendor(settings, store, candidate, now_ms)
        if settings.jwt_jwks_url is not None:
            yield _jwks(settings.jwt_jwks_url, settings.jwt_algorithms)
        if settings.login_url is not None:
            yield _login(settings, settings.login_url)
    finally:
        store.close()


def _notes(settings: Settings) -> Iterator[Finding]:
    lists: dict[str, tuple[Secret, ...]] = {
        "AUTHSVC_SESSION_KEY": settings.session_key,
        "AUTHSVC_GATEWAY_SECRET": settings.gateway_secret,
        "AUTHSVC_VERIFIER_KEYS": settings.verifier_keys,
    }
    for name, secrets in lists.items():
        if any(len(secret.reveal()) < ADVISED_LENGTH for secret in secrets):
            yield Finding("note", name, f"shorter than {ADVISED_LENGTH} characters; generate one: openssl rand -hex 32")
    if (settings.jwt_key or settings.jwt_jwks_url) and not settings.jwt_audience:
        yield Finding(
            "note",
            "AUTHSVC_JWT_AUDIENCE",
            "not set: a token for another service is accepted, unless it has an aud",
        )
    if settings.session_key and settings.account_key and settings.session_user_field in UNIQUIFIER_FIELDS:
        yield Finding(
            "note",
            "AUTHSVC_SESSION_USER_FIELD",
            f"{settings.session_user_field} is Flask-Security's fs_uniquifier, if your app uses that: it changes with"
            " the password, and the user then gets another IM account; name a permanent id",
        )
    if not settings.verifier_keys:
        yield Finding("note", "AUTHSVC_VERIFIER_KEYS", "not set: nobody can call the verify route")


def _store(store: Store, place: str, now_ms: Callable[[], int]) -> Iterator[Finding]:
    try:
        pulse = store.ping()
    except StoreUnavailable as exc:
        yield Finding("FAIL", "store", f"write failed: {cause(exc)} ({place}); see AUTHSVC_STORE_URL")
        return
    yield Finding("ok", "store", f"write succeeded ({place})")
    yield _clock("clock", pulse.clock_ms - now_ms(), "the store's")
    if pulse.worry is not None:
        # A failure, because an evicted claim makes its payload valid again, and nothing shows it.
        yield Finding("FAIL", "memory", f"{pulse.worry}: claims may be evicted; set it to noeviction")


def _vendor(settings: Settings, store: Store, candidate: App | None, now_ms: Callable[[], int]) -> Iterator[Finding]:
    where = _where(settings.vendor_url)
    named = [(f"appkey {app.appkey}", app) for app in settings.apps]
    if candidate is not None:
        named.append((f"appkey {candidate.appkey}, new masterSecret", candidate))
    budget = Budget(settings.vendor_budget, store)
    vendor = Vendor(settings.vendor_url, budget=budget, breaker=CircuitBreaker(), now_ms=now_ms)
    skew_ms = None
    for name, app in named:
        try:
            vendor_ms = vendor.clock_ms(Credentials(app.appkey, app.master_secret.reveal()))
        except VendorRefused as exc:
            advice = "compare the masterSecret with the vendor's console, and AUTHSVC_VENDOR_URL"
            yield Finding("FAIL", name, f"{exc.detail} ({where}); {advice}")
        except (VendorBusy, VendorSlow) as exc:
            why = f"{exc.what}: {cause(exc)}" if exc.__cause__ else str(exc.what)
            yield Finding("FAIL", name, f"{why} ({where}); see AUTHSVC_VENDOR_URL and the route out of this network")
        else:
            yield Finding("ok", name, f"the vendor accepts the credentials ({where})")
            skew_ms = None if vendor_ms is None else vendor_ms - now_ms()
            if settings.account_key is not None and app is not candidate:
                yield _registration(vendor, app, settings.account_names)
    vendor.close()
    if skew_ms is not None:
        yield _clock("vendor clock", skew_ms, "the vendor's")


def _registration(vendor: Vendor, app: App, names: usernames.Style) -> Finding:
    name = f"appkey {app.appkey}, registration"
    try:
        is_on = vendor.is_sdk_registering(Credentials(app.appkey, app.master_secret.reveal()))
    except (VendorRefused, VendorBusy, VendorSlow):
        is_on = None
    remedy = "turn it off (PUT /v1/sdkregister/status?status=0)"
    if is_on is None:
        return Finding("note", name, f"the vendor does not show whether its SDK registers users; {remedy}")
    if not is_on:
        return Finding("ok", name, "the vendor's SDK registers no users")
    if names == "derived":
        return Finding("note", name, f"the vendor's SDK registers users, with names that are not ours; {remedy}")
    words = f"the vendor's SDK registers users: anybody can register a user's name in advance; {remedy}, or set"
    return Finding("note", name, f"{words} AUTHSVC_ACCOUNT_NAMES=derived")  # the vendor's default


def _jwks(url: str, algorithms: Iterable[str]) -> Finding:
    name, where, needed = "AUTHSVC_JWT_JWKS_URL", _where(url), ", ".join(algorithms)
    try:
        published = token_keys.published_keys(url, tuple(algorithms))
    except KeysUnavailable as exc:
        return Finding("FAIL", name, f"no keys: {cause(exc)} ({where})")
    usable = [jwk for jwk, is_usable in published if is_usable]
    others = [_shape(jwk) for jwk, is_usable in published if not is_usable]
    words = f"{len(usable)} of {len(published)} key(s) can verify {needed} ({where})"
    if others:
        more = f" and {len(others) - _MAX_LISTED} more" if len(others) > _MAX_LISTED else ""
        words += f"; not {'; '.join(others[:_MAX_LISTED])}{more}"
    return Finding("ok" if usable else "FAIL", name, words if usable else f"{words}; see AUTHSVC_JWT_ALGORITHMS")


def _login(settings: Settings, url: str) -> Finding:
    name, where = "AUTHSVC_LOGIN_URL", _where(url)
    app = LoginUrl(url, user_header=settings.login_user_header, user_field=settings.login_user_field)
    made_up = fresh_id()
    cookie = "; ".join(f"{session}={made_up}" for session in _SESSION_COOKIES)
    refusal = ""
    try:
        for presented in (Presented(), Presented(cookie, f"Bearer {made_up}")):
            try:
                app.ask(presented)
            except NotLoggedIn as exc:
                refusal = exc.detail
            else:
                who = "a made-up login" if presented.cookie else "a request without a login"
                return Finding("FAIL", name, f"the app accepts {who}, so anybody could log in ({where})")
    except LoginUnavailable as exc:
        why = f"{exc.what}: {cause(exc)}" if exc.__cause__ else str(exc.what)
        return Finding("FAIL", name, f"{why} ({where})")
    finally:
        app.close()
    return Finding("ok", name, f"{refusal}, which is right for a made-up login ({where})")


def _shape(jwk: Mapping[str, Any]) -> str:
    """Return the members that decide whether a published key can be used, escaped: the text is not ours."""
    shown = [f"{name} {str(jwk[name])[:60]!a}" for name in ("kid", "kty", "crv", "alg", "use") if name in jwk]
    return " ".join(shown) or "a key without any of these"


def _where(url: str) -> str:
    proxy = proxies.proxy_for(url)
    return url if proxy is None else f"{url} through the proxy {proxy.url}"


def _clock(name: str, skew_ms: int, whose: str) -> Finding:
    if abs(skew_ms) > MAX_SKEW_MS:
        return Finding("FAIL", name, f"{skew_ms} ms off {whose}; payloads expire early or late: set up NTP")
    return Finding("ok", name, f"{skew_ms} ms off {whose}")
