"""
The ways of logging in that the settings set up, in the order in which they are tried.

Imports the ways of `auth`, and `model`, `store`, `clock`, `secret` and `errors`.
"""

import logging
from collections.abc import Callable

from authsvc import clock
from authsvc.auth.ask_app import AppCookie, AppLogin, AppToken, OnCall
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


class Logins:
    """Builds the ways of logging in. What they fetch and cache outlives a change of settings that are not theirs."""

    def __init__(
        self,
        settings: Settings,
        store: Store | None = None,
        *,
        twins_pass: bool = False,
        now_ms: Callable[[], int] = clock.now_ms,
        on_call: OnCall = lambda *_: None,
    ) -> None:
        """
        Take the settings at the start.

        Args:
            store: for tokens that are good once.
            twins_pass: see `create_app`.
            on_call: takes each request to AUTHSVC_LOGIN_URL: the operation, how it ended, and its time in seconds.
        """
        self._store = store
        self._twins_pass = twins_pass
        self._jwt_settings = _jwt_settings(settings)
        self._tokens = _tokens(settings)
        self._app: AppLogin | None = None
        if settings.login_url is not None:
            url = LoginUrl(
                settings.login_url, user_header=settings.login_user_header, user_field=settings.login_user_field
            )
            self._app = AppLogin(url, cache_s=settings.login_cache_s, now_ms=now_ms, on_call=on_call)

    def close(self) -> None:
        """Close connections."""
        if self._app is not None:
            self._app.close()

    def ways(self, settings: Settings) -> list[Way]:
        """Return the ways that these settings set up; those of AUTHSVC_LOGIN_URL stay as they were at the start."""
        if self._jwt_settings != _jwt_settings(settings):  # else the fetched keys are kept
            self._jwt_settings, self._tokens = _jwt_settings(settings), _tokens(settings)
        tokens, single_use = self._tokens, self._store if settings.jwt_single_use else None
        ways: list[Way] = []
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
                Gateway(
                    _revealed(settings.gateway_secret),
                    user_header=settings.gateway_user_header,
                    twins_pass=self._twins_pass,
                )
            )
        if self._app is not None:
            ways += [AppToken(self._app), AppCookie(self._app)]
        return ways


def check_ways(settings: Settings, *, twins_pass: bool) -> None:
    """Raise SettingsError if nobody can log in behind a server where `twins_pass`; see `create_app`."""
    header = settings.gateway_user_header
    if twins_pass and settings.gateway_secret and "-" in header:
        reason = (
            f"AUTHSVC_GATEWAY_USER_HEADER: {header} is not safe under granian, which does not distinguish it from"
            f" {header.replace('-', '_')}; use gunicorn, a signed assertion (AUTHSVC_JWT_HEADER), or a header without"
            " a hyphen"
        )
        if not (settings.jwt_key or settings.jwt_jwks_url or settings.session_key or settings.login_url):
            raise SettingsError([reason])
        _log.warning("%s", reason)


def ways_of(settings: Settings) -> list[str]:
    """Return the credentials that a request may have, in the order of the ways of logging in."""
    return [str(way.brings) for way in Logins(settings).ways(settings)]


def _jwt_settings(settings: Settings) -> tuple[object, ...]:
    return tuple(value for name, value in settings if name.startswith("jwt_"))


def _tokens(settings: Settings) -> Tokens | None:
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
