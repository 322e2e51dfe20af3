"""
The ways of logging in that the settings set up, in the order in which they are tried.

Imports the ways of `auth`, and `model`, `stores`, `clock` and `errors`.
"""

import logging
from collections.abc import Callable

from authsvc import clock, stores
from authsvc.auth.ask_app import AppCookie, AppLogin, AppToken
from authsvc.auth.auth_request import LoginUrl
from authsvc.auth.authenticator import Way
from authsvc.auth.bearer import Assertion, Bearer, TokenCookie
from authsvc.auth.gateway import Gateway
from authsvc.auth.session_cookie import SessionCookie
from authsvc.auth.tokens import TokenRules, Tokens
from authsvc.errors import SettingsError
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store

_log = logging.getLogger(__name__)


def check_ways(settings: Settings, *, twins_pass: bool) -> None:
    """Raise SettingsError if nobody could log in behind a server that lets header twins pass; see `create_app`."""
    header = settings.gateway_user_header
    if twins_pass and settings.gateway_secret and "-" in header:
        reason = (
            f"AUTHSVC_GATEWAY_USER_HEADER: {header} cannot be believed under granian, where {header.replace('-', '_')}"
            " passes for it; use gunicorn, a signed assertion (AUTHSVC_JWT_HEADER), or a header without a hyphen"
        )
        if not (settings.jwt_key or settings.jwt_jwks_url or settings.session_key or settings.login_url):
            raise SettingsError([reason])
        _log.warning("%s", reason)


def ways_of(settings: Settings) -> list[str]:
    """Return what a request may bring to be that of a logged-in user, in the order in which it is looked for."""
    store = stores.open_store(settings.store_url.reveal())
    found = ways(settings, tokens(settings), store, app_login(settings, clock.now_ms), twins_pass=False)
    return [way.brings for way in found]


def ways(
    settings: Settings, tokens: Tokens | None, store: Store, app_login: AppLogin | None, *, twins_pass: bool
) -> list[Way]:
    """Return the ways of logging in that are set up, in the order in which they are tried."""
    ways: list[Way] = []
    single_use = store if settings.jwt_single_use else None
    if tokens is not None:
        ways.append(Bearer(tokens, single_use=single_use))
    if tokens is not None and settings.jwt_cookie is not None:
        ways.append(TokenCookie(tokens, cookie=settings.jwt_cookie, single_use=single_use))
    if settings.session_key:
        ways.append(
            SessionCookie(
                _revealed(settings.session_key),
                cookie=settings.session_cookie,
                user_field=settings.session_user_field,
                max_age_s=settings.session_max_age_s,
            )
        )
    if tokens is not None and settings.jwt_header is not None:
        ways.append(Assertion(tokens, header=settings.jwt_header, single_use=single_use))
    if settings.gateway_secret:
        ways.append(
            Gateway(_revealed(settings.gateway_secret), user_header=settings.gateway_user_header, twins_pass=twins_pass)
        )
    if app_login is not None:
        ways += [AppToken(app_login), AppCookie(app_login)]
    return ways


def app_login(
    settings: Settings, now_ms: Callable[[], int], on_call: Callable[[str, str, float], object] = lambda *_: None
) -> AppLogin | None:
    if settings.login_url is None:
        return None
    url = LoginUrl(settings.login_url, user_header=settings.login_user_header, user_field=settings.login_user_field)
    return AppLogin(url, cache_s=settings.login_cache_s, now_ms=now_ms, on_call=on_call)


def token_settings(settings: Settings) -> tuple[object, ...]:
    return tuple(value for name, value in settings if name.startswith("jwt_"))


def tokens(settings: Settings) -> Tokens | None:
    rules = TokenRules(
        settings.jwt_algorithms,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway_s=settings.jwt_leeway_s,
        user_claim=settings.jwt_user_claim,
        allowed_types=frozenset(settings.jwt_allowed_types),
    )
    if settings.jwt_key is not None:
        return Tokens.with_key(rules, settings.jwt_key.reveal())
    if settings.jwt_jwks_url is not None:
        return Tokens.with_jwks(rules, settings.jwt_jwks_url)
    return None


def _revealed(secrets: tuple[Secret, ...]) -> tuple[str, ...]:
    return tuple(secret.reveal() for secret in secrets)
