"""
The settings: every field with its default, its rule and its one line of help; frozen once checked.

`loader` reads them from the environment. One module, because the order of the fields is the order of their checks, and
that of the documentation. Imports `types` and `apps_file` for the values, `token_keys` and `stores` for the checks.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from authsvc import stores
from authsvc.auth import jwks, token_keys, token_purpose
from authsvc.payloads.apps import App
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.settings import apps_file
from authsvc.settings.types import (
    PREFIX,
    CookieName,
    FilePath,
    HeaderName,
    HeaderNames,
    HostPort,
    Hosts,
    Integrity,
    JsonObject,
    KeyLines,
    MemberPath,
    Origins,
    RateText,
    SecretLines,
    SecretText,
    SecretWords,
    Text,
    VendorUrl,
    Words,
    check_appkey,
    check_master_secret,
    default_store,
)

MIN_ACCOUNT_KEY = 32


class AppSettings(BaseModel):
    """
    The apps and the store: all that `authsvc sign` and `authsvc verify` need.

    The environment variable of a field is its name in capitals after `AUTHSVC_`. The order matters: a rule over several
    settings belongs to the last of them, so that its fault is reported together with those of all the others.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, arbitrary_types_allowed=True
    )

    appkey: Text | None = Field(None, description="The app's appkey, when there is one app.")
    master_secret: SecretText | None = Field(None, description="Its masterSecret.")
    previous_master_secret: SecretText | None = Field(
        None,
        description="The previous masterSecret: verifies what workers with this store have signed with it.",
    )
    flag: int = Field(0, ge=0, le=1, description="The SDK's message roaming flag, 0 or 1.")
    apps_file: FilePath | None = Field(
        None, description="TOML file with many apps, instead of the four above; see below."
    )
    apps: tuple[App, ...] = Field((), description="", exclude=True)
    store_url: SecretText = Field(
        default_factory=default_store,
        description="`sqlite:///path`, or a `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or"
        " `redis+cluster://`; see docs/store.md.",
    )

    @field_validator("appkey")
    @classmethod
    def _check_appkey(cls, value: str | None) -> str | None:
        if value is not None:
            check_appkey(value)
        return value

    @field_validator("master_secret", "previous_master_secret")
    @classmethod
    def _check_master_secret(cls, value: Secret | None) -> Secret | None:
        if value is not None:
            check_master_secret(value)
        return value

    @field_validator("apps", mode="before")
    @classmethod
    def _gather_apps(cls, value: object, info: ValidationInfo) -> object:
        given = info.data
        if value or "apps_file" not in given:
            return value  # set by the caller, or its fault is reported already
        if given["apps_file"] is not None:
            if any(given.get(name) for name in ("appkey", "master_secret", "previous_master_secret")):
                raise ValueError(
                    "AUTHSVC_APPS_FILE: replaces AUTHSVC_APPKEY and AUTHSVC_MASTER_SECRET; set only one of the two"
                )
            return apps_file.read(given["apps_file"])
        missing = [name for name in ("appkey", "master_secret") if name in given and given[name] is None]
        if missing:
            raise ValueError(
                "\n".join(f"{PREFIX}{name.upper()}: is required, unless AUTHSVC_APPS_FILE is set" for name in missing)
            )
        if not {"appkey", "master_secret", "previous_master_secret", "flag"} <= given.keys():
            return value  # the same
        return (
            App(given["appkey"], given["master_secret"], given["previous_master_secret"], given["flag"], default=True),
        )

    @field_validator("store_url")
    @classmethod
    def _check_store_url(cls, value: Secret) -> Secret:
        if not value.reveal():
            raise ValueError("is required, because this user has no home directory for the default")
        stores.check_url(value.reveal())
        return value

    @property
    def store_place(self) -> str:
        """The kind and the address of the store, without a password; and who shares it, if it is the default."""
        place = stores.place(self.store_url.reveal())
        if "store_url" in self.model_fields_set:
            return place
        return f"{place}, the default that every authsvc of this user shares unless AUTHSVC_STORE_URL is set"


class SandboxSettings(AppSettings):
    """The settings of `authsvc sandbox`: the apps, and a key for the service's verify route."""

    verifier_keys: SecretWords = Field(
        (), description="Bearer keys that may call the verify route; comma-separated or one a line."
    )


class Settings(SandboxSettings):
    """Every setting of the service."""

    rate_limit: RateText = Field(
        Rate.parse("60/minute"),
        description="Requests allowed for a user and app: a number and `second`, `minute` or `hour`.",
    )
    allowed_origins: Origins = Field(
        frozenset(),
        description="Other origins whose pages may send requests, such as `https://app.example` or `capacitor://localhost`;"
        " comma-separated.",
    )
    allowed_headers: HeaderNames = Field(
        (), description="Headers that such a page may send, besides its token and those of tracing; comma-separated."
    )
    jwt_key: SecretText | None = Field(
        None,
        description="Verifies users' tokens: an HMAC secret, `base64:…` for one that is bytes, or a public key in PEM"
        " form.",
    )
    jwt_jwks_url: Text | None = Field(
        None, description="Instead of a key: the URL at which the login service publishes its keys (JWKS)."
    )
    jwt_algorithms: Words = Field(
        (), description="Algorithms accepted in tokens, such as `HS256` or `RS256,ES256`; required with a key."
    )
    jwt_audience: Words = Field((), description="Audiences (`aud`) of which a token must have one; comma-separated.")
    jwt_issuer: Text | None = Field(None, description="The issuer (`iss`) that a token must have.")
    jwt_leeway_s: int = Field(
        0, ge=0, le=300, description="Seconds that the login service's clock may be off; it may always be 5 ahead."
    )
    jwt_user_claim: Text = Field(
        "sub", description="The claim with the user's id: a string, or a whole number, which is used as text."
    )
    jwt_allowed_types: Words = Field(
        (),
        description="Types of token that may log in though they are not access tokens, such as `id`; comma-separated.",
    )
    jwt_single_use: bool = Field(default=False, description="`true`: each `jti` is accepted once.")
    jwt_header: HeaderName | None = Field(
        None, description="Header in which a gateway passes a signed assertion, such as `X-Pomerium-Jwt-Assertion`."
    )
    jwt_cookie: CookieName | None = Field(
        None, description="Cookie in which a browser sends the token, such as `access_token`."
    )
    session_key: KeyLines = Field(
        (),
        description="The Flask app's SECRET_KEY, to read its session cookie; several lines: all of them verify;"
        " `base64:…` for one that is bytes.",
    )
    session_cookie: CookieName = Field("session", description="Name of that cookie.")
    session_user_field: Text = Field("_user_id", description="Where the session keeps the user's id.")
    session_max_age_s: int = Field(2_678_400, ge=1, description="Seconds after which the cookie expires.")
    gateway_secret: SecretLines = Field(
        (), description="The value of the gateway's `X-Gateway-Secret`; several lines: any of them."
    )
    gateway_user_header: HeaderName = Field(
        "X-Forwarded-User", description="The header in which that gateway names the user."
    )
    login_url: Text | None = Field(
        None, description="The URL at which your app returns the user of a `Cookie` and an `Authorization`."
    )
    login_user_header: HeaderName = Field("X-User", description="The header in which that answer names the user.")
    login_user_field: MemberPath | None = Field(
        None, description="Instead of the header: the member of a JSON answer, such as `data.userId`."
    )
    login_cache_s: int = Field(
        5, ge=0, le=60, description="Seconds for which an answer is cached; 0 asks for each request."
    )
    vendor_url: VendorUrl = Field("https://api.im.jpush.cn", description="The vendor's REST API.")
    vendor_budget: RateText = Field(
        Rate.parse("540/minute"), description="REST calls allowed for an app; the vendor's free plan allows 600."
    )
    media_hosts: Hosts = Field(
        ("*.im.jiguang.cn", "media.file.jpush.cn"),
        description="Hosts allowed in a media URL; comma-separated, `*` matches one label.",
    )
    sdk_script: Text | None = Field(None, description="The URL of the vendor's SDK file, for bootstrap.")
    sdk_integrity: Integrity | None = Field(None, description="Its subresource integrity, `sha384-…`.")
    sdk_options: JsonObject = Field(
        {}, description='Options for `new JMessage(…)`, a JSON object such as `{"debug": true}`.'
    )
    account_key: SecretText | None = Field(
        None, description="Turns IM accounts on. Their passwords are derived from it. 32 characters or more."
    )
    account_adopt: bool = Field(
        default=False,
        description="`true`: set our password for an IM account that already exists, whoever registered it.",
    )
    account_names: Literal["readable", "derived"] = Field(
        "readable",
        description="`readable`: an IM username is the user's id, or a readable form. `derived`: it is derived from the"
        " key, and nobody can guess it.",
    )
    signature_route: bool = Field(
        default=False, description="`true`: serve `POST /v1/signature`, which the vendor's front end jchat-web calls."
    )
    drain_delay_s: int = Field(
        5, ge=0, le=300, description="Seconds to continue serving after SIGTERM, while `/readyz` fails."
    )
    metrics_bind: HostPort | None = Field(
        None, description="The address of `/metrics`, such as `127.0.0.1:9100`; if not set, it is off."
    )
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = Field(
        "INFO",
        description="`DEBUG`, `INFO`, `WARNING` or `ERROR`; from `WARNING` on, successful requests are not logged.",
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="`json`: one object a line; `console`: for people."
    )
    log_users: Literal["hash", "id"] = Field(
        "hash", description="How the log names users: `hash`, keyed by the first app's masterSecret, or `id`."
    )

    @field_validator("jwt_algorithms")
    @classmethod
    def _check_algorithms(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        key, url = info.data.get("jwt_key"), info.data.get("jwt_jwks_url")
        if key and url:
            raise ValueError("AUTHSVC_JWT_JWKS_URL: replaces AUTHSVC_JWT_KEY; set only one of the two")
        if not value:
            if key or url:
                raise ValueError("is required with AUTHSVC_JWT_KEY or AUTHSVC_JWT_JWKS_URL, such as HS256 or RS256")
            return value
        token_keys.check_algorithms(value)
        if key:
            try:
                token_keys.check_key(key.reveal(), value)
            except ValueError as exc:
                raise ValueError(f"AUTHSVC_JWT_KEY: {exc}") from None
        elif url:
            token_keys.check_jwks_url(url, value)
        return value

    @field_validator("jwt_header", "jwt_cookie")
    @classmethod
    def _check_carrier(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not (info.data.get("jwt_key") or info.data.get("jwt_jwks_url")):
            raise ValueError("needs AUTHSVC_JWT_KEY or AUTHSVC_JWT_JWKS_URL, to verify the token")
        return value

    @field_validator("jwt_allowed_types")
    @classmethod
    def _check_allowed_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        types = tuple(map(token_purpose.plain, value))
        token_purpose.check_allowed_types(types)
        return types

    @field_validator("account_key")
    @classmethod
    def _check_account_key(cls, value: Secret | None) -> Secret | None:
        if value is not None and len(value.reveal()) < MIN_ACCOUNT_KEY:
            raise ValueError(f"is shorter than {MIN_ACCOUNT_KEY} characters; generate one: openssl rand -hex 32")
        return value

    @field_validator("account_adopt")
    @classmethod
    def _check_adopt(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 -- pydantic's signature
        if value and "account_key" in info.data and info.data["account_key"] is None:
            raise ValueError("needs AUTHSVC_ACCOUNT_KEY")
        return value

    @field_validator("login_url")
    @classmethod
    def _check_some_login(cls, value: str | None, info: ValidationInfo) -> str | None:
        others = ("jwt_key", "jwt_jwks_url", "session_key", "gateway_secret")
        if value:
            jwks.check_url(value)
        if not value and all(way in info.data and not info.data[way] for way in others):
            raise ValueError(
                "AUTHSVC_JWT_KEY, AUTHSVC_JWT_JWKS_URL, AUTHSVC_SESSION_KEY, AUTHSVC_GATEWAY_SECRET, "
                "AUTHSVC_LOGIN_URL: none is set, so nobody can log in; set at least one"
            )
        return value
