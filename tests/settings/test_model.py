"""The rules of the settings, one by one and over several, and how their faults read."""

import json
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from authsvc.errors import SettingsError
from authsvc.payloads.apps import App
from authsvc.secret import Secret
from authsvc.settings.loader import SECRETS, load
from authsvc.settings.model import AppSettings, Settings
from tests.support import keys, made_up

APP = {"AUTHSVC_APPKEY": made_up.APPKEY, "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET}
LOGIN = {"AUTHSVC_SESSION_KEY": made_up.SESSION_KEY}
JWT = {"AUTHSVC_JWT_KEY": made_up.JWT_KEY, "AUTHSVC_JWT_ALGORITHMS": "HS256"}


def faults(variables: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(variables, Settings)
    assert not any(canary in str(raised.value) for canary in made_up.CANARIES)
    return raised.value.faults


NOBODY = (
    "AUTHSVC_JWT_KEY, AUTHSVC_JWT_JWKS_URL, AUTHSVC_SESSION_KEY, AUTHSVC_GATEWAY_SECRET, "
    "AUTHSVC_LOGIN_URL: none is set, so nobody can log in; set at least one"
)
NO_ALGORITHMS = (
    "AUTHSVC_JWT_ALGORITHMS: is required with AUTHSVC_JWT_KEY or AUTHSVC_JWT_JWKS_URL, such as HS256 or RS256"
)


@pytest.mark.parametrize(
    ("variables", "reported"),
    [
        (
            {},
            [
                "AUTHSVC_APPKEY: is required, unless AUTHSVC_APPS_FILE is set",
                "AUTHSVC_MASTER_SECRET: is required, unless AUTHSVC_APPS_FILE is set",
                NOBODY,
            ],
        ),
        (APP, [NOBODY]),
        *[
            (
                LOGIN | {"AUTHSVC_APPS_FILE": "/x", name: "made-up"},
                ["AUTHSVC_APPS_FILE: replaces AUTHSVC_APPKEY and AUTHSVC_MASTER_SECRET; set only one of the two"],
            )
            for name in ("AUTHSVC_APPKEY", "AUTHSVC_MASTER_SECRET", "AUTHSVC_PREVIOUS_MASTER_SECRET")
        ],
        (
            APP | {"AUTHSVC_JWT_KEY": made_up.JWT_KEY},
            [NO_ALGORITHMS],
        ),
        (
            APP | JWT | {"AUTHSVC_JWT_JWKS_URL": "https://login.example/jwks"},
            ["AUTHSVC_JWT_JWKS_URL: replaces AUTHSVC_JWT_KEY; set only one of the two"],
        ),
        (
            APP | LOGIN | {"AUTHSVC_JWT_HEADER": "X-Jwt"},
            ["AUTHSVC_JWT_HEADER: needs AUTHSVC_JWT_KEY or AUTHSVC_JWT_JWKS_URL, to verify the token"],
        ),
        (
            APP | LOGIN | {"AUTHSVC_JWT_COOKIE": "access_token"},
            ["AUTHSVC_JWT_COOKIE: needs AUTHSVC_JWT_KEY or AUTHSVC_JWT_JWKS_URL, to verify the token"],
        ),
        (APP | {"AUTHSVC_SESSION_KEY": "a\nbase64:?"}, ["AUTHSVC_SESSION_KEY: is not base64 after base64:"]),
        (APP | LOGIN | {"AUTHSVC_ACCOUNT_ADOPT": "true"}, ["AUTHSVC_ACCOUNT_ADOPT: needs AUTHSVC_ACCOUNT_KEY"]),
        (
            APP | LOGIN | {"AUTHSVC_ACCOUNT_KEY": "k" * 31},
            ["AUTHSVC_ACCOUNT_KEY: is shorter than 32 characters; generate one: openssl rand -hex 32"],
        ),
    ],
)
def test_rules_over_several(variables: dict[str, str], reported: list[str]) -> None:
    """Each fault is a sentence with the remedy."""
    assert faults(variables) == reported


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPKEY", "a b"),
        ("APPKEY", "x" * 65),
        ("APPKEY", "a&b"),
        ("MASTER_SECRET", "a b"),
        ("MASTER_SECRET", "x" * 129),
        ("PREVIOUS_MASTER_SECRET", "\ufeffx"),
        ("FLAG", "2"),
        ("FLAG", "yes"),
        ("APPS_FILE", "/nonexistent/apps.toml"),
        ("STORE_URL", "sqlite://relative.db"),
        ("RATE_LIMIT", "0/minute"),
        ("VENDOR_BUDGET", "lots"),
        ("ALLOWED_ORIGINS", "https://a.example/path"),
        ("JWT_ALGORITHMS", "none"),
        ("JWT_ALGORITHMS", "HS256,RS256"),
        ("JWT_KEY", "tiny"),
        ("JWT_LEEWAY_S", "301"),
        ("JWT_LEEWAY_S", "-1"),
        ("JWT_SINGLE_USE", "perhaps"),
        ("JWT_HEADER", "X Y"),
        ("JWT_COOKIE", "a=b"),
        ("JWT_USER_CLAIM", ""),
        ("JWT_ALLOWED_TYPES", "access"),
        ("JWT_KEY", "base64:not_base64+at_all_and_long_enough_for_hs256"),
        ("SESSION_KEY", "base64:?"),
        ("SESSION_COOKIE", "a b"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_HEADERS", "X-A,X B?"),
        ("ALLOWED_HEADERS", "*"),
        ("VENDOR_URL", "app://localhost"),
        ("SESSION_MAX_AGE_S", "0"),
        ("GATEWAY_USER_HEADER", "X_User"),
        ("LOGIN_URL", "app.example/auth/check"),
        ("LOGIN_URL", "https://user:x@app.example/auth/check"),
        ("LOGIN_URL", ""),
        ("LOGIN_USER_HEADER", "X_User"),
        ("LOGIN_USER_FIELD", "data..userId"),
        ("LOGIN_USER_FIELD", "data. userId"),
        ("LOGIN_CACHE_S", "61"),
        ("LOGIN_CACHE_S", "-1"),
        ("DRAIN_DELAY_S", "301"),
        ("LOG_LEVEL", "debug"),
        ("VENDOR_URL", "api.im.jpush.cn"),
        ("VENDOR_URL", "https://user:x@api.im.jpush.cn"),
        ("VENDOR_URL", "https://api.im.jpush.cn/v1"),
        ("MEDIA_HOSTS", "http://dl.im.jiguang.cn"),
        ("MEDIA_HOSTS", "*.*.jiguang.cn"),
        ("SDK_INTEGRITY", "md5-x"),
        ("SDK_OPTIONS", "debug"),
        ("SDK_OPTIONS", "[1]"),
    ],
)
def test_a_bad_value(name: str, value: str) -> None:
    """Each is refused under its own name, and the value is not repeated if it may be a secret."""
    reported = faults(APP | LOGIN | JWT | {f"AUTHSVC_{name}": value})
    assert any(fault.startswith(f"AUTHSVC_{name}: ") for fault in reported), reported
    if name.lower() in SECRETS:
        assert not any(value in fault for fault in reported)


def test_a_login_url_is_enough() -> None:
    """The app that it leads to is a way to log in."""
    url = {"AUTHSVC_LOGIN_URL": "http://127.0.0.1:5000/auth/check?of=authsvc"}
    settings = load(APP | url | {"AUTHSVC_LOGIN_USER_FIELD": "data.userId"}, Settings)
    assert settings.login_url == url["AUTHSVC_LOGIN_URL"]
    assert (settings.login_user_field, settings.login_user_header, settings.login_cache_s) == (
        "data.userId",
        "X-User",
        5,
    )


def test_a_jwks_url_is_enough() -> None:
    """With its algorithms it is a way to log in."""
    jwks = {"AUTHSVC_JWT_JWKS_URL": "https://login.example/jwks", "AUTHSVC_JWT_ALGORITHMS": "RS256"}
    assert load(APP | jwks, Settings).jwt_jwks_url == "https://login.example/jwks"
    assert faults(APP | jwks | {"AUTHSVC_JWT_ALGORITHMS": "HS256"})


@pytest.mark.parametrize(
    "keys_from", [JWT, {"AUTHSVC_JWT_JWKS_URL": "https://login.example/jwks", "AUTHSVC_JWT_ALGORITHMS": "RS256"}]
)
def test_a_signed_assertion(keys_from: dict[str, str]) -> None:
    """Its header may be named when there is a key to verify it with, or a URL of keys."""
    assert load(APP | keys_from | {"AUTHSVC_JWT_HEADER": "X-Jwt"}, Settings).jwt_header == "X-Jwt"


def test_further_settings_of_tokens_and_pages() -> None:
    """Names of types as a library writes them; origins of apps; headers by name; a cookie; keys that are bytes."""
    settings = load(
        APP
        | JWT
        | {
            "AUTHSVC_JWT_ALLOWED_TYPES": "ID, logout+jwt",
            "AUTHSVC_JWT_USER_CLAIM": "https://app.example/id",
            "AUTHSVC_JWT_COOKIE": "access_token",
            "AUTHSVC_SESSION_KEY": "a key with spaces\nbase64:4OHi4w==",
            "AUTHSVC_ALLOWED_ORIGINS": "https://app.example capacitor://localhost",
            "AUTHSVC_ALLOWED_HEADERS": "X-App-Version, X-Csrf-Token",
        },
        Settings,
    )
    assert settings.jwt_allowed_types == ("id", "logout")
    assert settings.jwt_user_claim == "https://app.example/id"
    assert settings.jwt_cookie == "access_token"
    assert settings.session_key == (Secret("a key with spaces"), Secret("base64:4OHi4w=="))
    assert settings.allowed_origins == {"https://app.example", "capacitor://localhost"}
    assert settings.allowed_headers == ("X-App-Version", "X-Csrf-Token")


def test_the_shortest_account_key() -> None:
    """32 characters are enough."""
    assert load(APP | LOGIN | {"AUTHSVC_ACCOUNT_KEY": "k" * 32}, Settings).account_key == Secret("k" * 32)


def test_a_public_key() -> None:
    """In PEM form, for the algorithms of its kind."""
    rsa = {"AUTHSVC_JWT_KEY": keys.public_pem(keys.rsa()), "AUTHSVC_JWT_ALGORITHMS": "RS256"}
    assert load(APP | rsa, Settings).jwt_algorithms == ("RS256",)
    assert faults(APP | rsa | {"AUTHSVC_JWT_ALGORITHMS": "HS256"})


def test_many_apps(tmp_path: Path) -> None:
    """From the apps file, instead of the variables."""
    path = tmp_path / "apps.toml"
    path.write_text(
        f'[apps.{made_up.APPKEY}]\nmaster_secret = "{made_up.MASTER_SECRET}"\n'
        f'[apps.{made_up.OTHER_APPKEY}]\nmaster_secret = "{made_up.OTHER_MASTER_SECRET}"\n'
    )
    settings = load(LOGIN | {"AUTHSVC_APPS_FILE": str(path)}, Settings)
    assert [app.appkey for app in settings.apps] == [made_up.APPKEY, made_up.OTHER_APPKEY]
    path.write_text("[apps]\n")
    assert faults(LOGIN | {"AUTHSVC_APPS_FILE": str(path)})


def test_apps_in_hand() -> None:
    """Who has the apps already hands them over as they are."""
    apps = (App(made_up.APPKEY, Secret(made_up.MASTER_SECRET)),)
    assert AppSettings(apps=apps).apps == apps


def test_previous_secret() -> None:
    """It goes into the app."""
    settings = load(APP | LOGIN | {"AUTHSVC_PREVIOUS_MASTER_SECRET": made_up.OTHER_MASTER_SECRET}, Settings)
    assert settings.apps[0].previous_master_secret == Secret(made_up.OTHER_MASTER_SECRET)


def test_frozen(settings: Settings) -> None:
    """Settings do not change; new ones are read."""
    with pytest.raises(ValidationError):
        settings.flag = 1  # type: ignore[misc] # which is the point
    assert settings.apps[0].appkey == made_up.APPKEY


def test_no_secret_has_a_default() -> None:
    """A missing one is reported."""
    for name in SECRETS - {"store_url"}:
        assert Settings.model_fields[name].default in (None, ()), name


def test_masked(settings: Settings) -> None:
    """The whole of the settings can be printed, dumped and pickled without a secret in it."""
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        json.dumps(settings.model_dump(), default=str),
        pickle.dumps(settings).decode("latin-1"),
    ]
    for text in shown:
        assert not any(canary in text for canary in made_up.CANARIES)


def test_place_of_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file; of the default one also who shares it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    place = f"SQLite file {tmp_path}/store.db"
    own = load(APP | {"AUTHSVC_STORE_URL": f"sqlite:///{tmp_path}/store.db"}, AppSettings)
    assert own.store_place == place
    shared = "the default that every authsvc of this user shares unless AUTHSVC_STORE_URL is set"
    assert load(APP, AppSettings).store_place == f"{place}, {shared}"


def test_every_setting_is_described() -> None:
    """The table in docs/settings.md is made of these."""
    for name, field in Settings.model_fields.items():
        assert field.description or name == "apps"
    assert set(AppSettings.model_fields) < set(Settings.model_fields)
