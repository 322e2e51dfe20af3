"""Tests of `app`: that each setting arrives where it works, and that changed files do so while the service runs."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from freezegun import freeze_time
from redis import Redis

from authsvc import clock
from authsvc.app import create_app
from authsvc.errors import SettingsError
from authsvc.payloads import signature
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.stores.topology import CLUSTER
from authsvc.telemetry.access_log import RequestLog
from tests.conftest import GuardedClient, Seen
from tests.support import keys, made_up
from tests.support.login_service import LoginService
from tests.support.redis_shapes import PortServer
from tests.support.running import free_port, wait_until
from tests.support.services import RedisServer
from tests.support.vendor_stand_in import Reply, vendor_stand_in

ISSUE, VERIFY = "/v1/auth-payload", "/v1/auth-payload/verify"
NEW_JWT_KEY = made_up.JWT_KEY[::-1]
VERIFIER = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
GATEWAY = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "X-Forwarded-User": "ming"}

Start = Callable[..., FlaskClient]


class Files:
    """The variables of a service with one app, all its secrets in files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {
            "AUTHSVC_APPKEY": made_up.APPKEY,
            "AUTHSVC_JWT_ALGORITHMS": "HS256",
            "AUTHSVC_STORE_URL": f"sqlite://{folder}/app.db",
        }
        self.write("MASTER_SECRET", made_up.MASTER_SECRET)
        self.write("JWT_KEY", made_up.JWT_KEY)
        self.write("VERIFIER_KEYS", made_up.VERIFIER_KEY)

    def write(self, name: str, text: str) -> None:
        """Put a new file in the place of the setting's, as an operator does."""
        new = self.folder / f"{name}.new"
        new.write_text(f"{text}\n")
        self.variables[f"AUTHSVC_{name}_FILE"] = str(new.replace(self.folder / name))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The variables, and the files that they name."""
    return Files(tmp_path)


@pytest.fixture
def start(seen: Seen) -> Iterator[Start]:
    """Start services in this process; give a client of each."""
    apps: list[Flask] = []

    def start(*args: Any, **kwargs: Any) -> FlaskClient:
        app = create_app(*args, **kwargs)
        app.test_client_class = type("Client", (GuardedClient,), {"seen": seen})
        apps.append(app)
        return app.test_client(use_cookies=False)  # a test's own Cookie header counts

    yield start
    for app in apps:
        app.extensions["authsvc"].stop()


def token(claims: Mapping[str, object] = MappingProxyType({}), *, key: str = made_up.JWT_KEY) -> dict[str, str]:
    """Return the Authorization header with a token of these claims."""
    made = jwt.encode({"sub": "ming", "exp": int(time.time()) + 300, **claims}, key, algorithm="HS256")
    return {"Authorization": f"Bearer {made}"}


def issued(client: FlaskClient, **asked: str) -> dict[str, str]:
    answer = client.post(ISSUE, headers=token(), json=asked)
    assert answer.status_code == 200, answer.get_json()
    payload: dict[str, str] = answer.get_json()
    return payload


def is_signed_by(payload: dict[str, str], master_secret: str) -> bool:
    return signature.is_valid(
        payload["signature"],
        appkey=payload["appkey"],
        timestamp_ms=int(payload["timestamp"]),
        random_str=payload["random_str"],
        master_secret=master_secret,
    )


def verified(client: FlaskClient, payload: dict[str, str]) -> int:
    return client.post(VERIFY, headers=VERIFIER, json=payload).status_code


def test_settings_come_from_variables_and_files(start: Start, files: Files) -> None:
    """Without settings in hand the service reads those of the environment, and the files that these name."""
    client = start(variables=files.variables)
    payload = issued(client)
    assert is_signed_by(payload, made_up.MASTER_SECRET)
    assert verified(client, payload) == 200
    assert (files.folder / "app.db").exists()


def test_the_environment_is_read_by_default(start: Start, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server needs no more than `create_app`."""
    for name in [name for name in os.environ if name.startswith("AUTHSVC_")]:
        monkeypatch.delenv(name)  # of the suite itself
    for name, value in files.variables.items():
        monkeypatch.setenv(name, value)
    assert start().get("/readyz").status_code == 200


def test_faults_in_the_settings_keep_it_from_starting(files: Files) -> None:
    """All of them are reported."""
    with pytest.raises(SettingsError) as refused:
        create_app(variables=files.variables | {"AUTHSVC_RATE_LIMIT": "many", "AUTHSVC_RATE": "1"})
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["AUTHSVC_RATE", "AUTHSVC_RATE_LIMIT"]


def test_the_first_payload_of_a_new_store_is_good(start: Start, files: Files) -> None:
    """The store is born before the first payload, not by the first verify, which would take that for forgotten."""
    ticks = itertools.count(time.time_ns() // 1_000_000)
    client = start(variables=files.variables, now_ms=lambda: next(ticks))
    assert verified(client, issued(client)) == 200


def test_a_store_that_is_unavailable_at_the_start(start: Start, files: Files) -> None:
    """The service starts and issues without it, shows it on /readyz, and verifies once the store is available."""
    folder = files.folder / "redis"
    folder.mkdir()
    redis = RedisServer(folder)
    client = start(variables=files.variables | {"AUTHSVC_STORE_URL": redis.url})
    early = issued(client)
    assert verified(client, early) == 503
    assert client.get("/readyz").get_json()["checks"]["store"] == "unavailable"
    with redis:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert verified(client, early) == 422  # older than the store's memory
        wait_until(lambda: verified(client, issued(client)) == 200)


def test_a_store_that_comes_and_goes_is_logged(start: Start, files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """One line when it goes, with the cause, and one when it is back: a wrong password is no mere 503."""
    folder = files.folder / "redis"
    folder.mkdir()
    with RedisServer(folder, "--requirepass", "made-up") as redis:
        url = redis.url.replace("unix://", "unix://:wrong@")
        client = start(variables=files.variables | {"AUTHSVC_STORE_URL": url})
        wait_until(lambda: bool(states(caplog)))
        for _ in range(3):
            assert verified(client, issued(client)) == 503
        (line,) = states(caplog)
        assert line.startswith("the store is unavailable: invalid username-password pair")
        assert line.endswith("; see AUTHSVC_STORE_URL")
        assert client.get("/readyz").get_json()["checks"]["store"] == "unavailable"
        with Redis(unix_socket_path=str(redis.socket), password="made-up") as admin:
            admin.config_set("requirepass", "wrong")
        wait_until(lambda: client.get("/readyz").status_code == 200)
        wait_until(lambda: states(caplog) == [line, "the store is available again"])


def states(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "authsvc.outbound.availability"]


def test_a_node_of_a_cluster_names_the_setting(start: Start, files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """Redis alone would answer MOVED or CROSSSLOT to some of the calls, which is no help."""
    with PortServer(files.folder / "node", "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as node:
        client = start(variables=files.variables | {"AUTHSVC_STORE_URL": f"redis://127.0.0.1:{node.port}"})
        store = client.get("/readyz").get_json()["checks"]["store"]
        assert store == f"unavailable: {CLUSTER}"
        wait_until(lambda: bool(states(caplog)))
    assert states(caplog) == [f"the store is unavailable: {CLUSTER}; see AUTHSVC_STORE_URL"]


def test_a_new_master_secret_signs_without_a_restart(start: Start, files: Files) -> None:
    """Within seconds; what the old one signed goes on verifying, once, and the old one signs nothing more."""
    client = start(variables=files.variables)
    old, used = issued(client), issued(client)
    assert verified(client, used) == 200
    files.write("MASTER_SECRET", made_up.OTHER_MASTER_SECRET)
    wait_until(lambda: is_signed_by(issued(client), made_up.OTHER_MASTER_SECRET))
    assert verified(client, issued(client)) == 200
    assert [verified(client, old), verified(client, old), verified(client, used)] == [200, 409, 409]


def test_a_master_secret_that_cannot_be_used_changes_nothing(
    start: Start, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one stays in use, the log has the reason, and a good one is used later."""
    client = start(variables=files.variables)
    files.write("MASTER_SECRET", "")
    wait_until(lambda: "AUTHSVC_MASTER_SECRET_FILE: is empty" in caplog.text)
    assert is_signed_by(issued(client), made_up.MASTER_SECRET)
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["checks"]["secrets"] == "AUTHSVC_MASTER_SECRET_FILE"
    files.write("MASTER_SECRET", made_up.OTHER_MASTER_SECRET)
    wait_until(lambda: is_signed_by(issued(client), made_up.OTHER_MASTER_SECRET))
    assert client.get("/readyz").get_json()["checks"]["secrets"] == "ok"


def test_new_keys_of_users_and_verifiers_replace_the_old(start: Start, files: Files) -> None:
    """All files that changed together come into use together, and what they replace counts no more."""
    client = start(variables=files.variables)
    payload = issued(client)
    files.write("JWT_KEY", NEW_JWT_KEY)
    files.write("VERIFIER_KEYS", "a-new-verifier-key\nand-one-more")
    wait_until(lambda: client.post(ISSUE, headers=token(key=NEW_JWT_KEY)).status_code == 200)
    assert client.post(ISSUE, headers=token()).status_code == 401
    wait_until(lambda: verified(client, payload) == 401)
    new = {"Authorization": "Bearer and-one-more"}
    assert client.post(VERIFY, headers=new, json=payload).status_code == 200


def test_a_new_store_waits_for_a_restart(start: Start, files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """Its payloads would be new there, and the old claims missing; it is logged."""
    files.write("STORE_URL", files.variables.pop("AUTHSVC_STORE_URL"))
    client = start(variables=files.variables)
    payload = issued(client)
    assert verified(client, payload) == 200
    files.write("STORE_URL", f"sqlite://{files.folder}/other.db")
    wait_until(lambda: "AUTHSVC_STORE_URL: the new store is used after a restart" in caplog.messages)
    assert verified(client, payload) == 409
    assert not (files.folder / "other.db").exists()


def test_a_new_account_key(start: Start, files: Files) -> None:
    """Gives everybody another password, without a restart."""
    files.write("ACCOUNT_KEY", made_up.ACCOUNT_KEY)
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: Reply.json([{}], status=201)
        client = start(variables=files.variables | {"AUTHSVC_VENDOR_URL": stand_in.url})

        def password() -> str:
            answer = client.post("/v1/bootstrap", headers=token())
            assert answer.status_code == 200, answer.get_json()
            found: str = answer.get_json()["login"]["password"]
            return found

        before = password()
        assert password() == before
        files.write("ACCOUNT_KEY", made_up.ACCOUNT_KEY[::-1])
        wait_until(lambda: password() != before)


def test_an_apps_file_is_watched_too(start: Start, files: Files) -> None:
    """An app that is added to the file is served without a restart, and one that is taken out is not."""
    apps = files.folder / "apps.toml"
    table = '[apps.{}]\nmaster_secret = "{}"\n'
    first, second = (table.format(*app) for app in APPS)
    apps.write_text(f"{first}default = true\n")
    del files.variables["AUTHSVC_APPKEY"], files.variables["AUTHSVC_MASTER_SECRET_FILE"]
    client = start(variables=files.variables | {"AUTHSVC_APPS_FILE": str(apps)})
    payload = issued(client)
    assert client.post(ISSUE, headers=token(), json={"appkey": made_up.OTHER_APPKEY}).status_code == 404
    apps.write_text(second)
    wait_until(lambda: verified(client, payload) == 404)
    assert is_signed_by(issued(client, appkey=made_up.OTHER_APPKEY), made_up.OTHER_MASTER_SECRET)
    assert client.post(ISSUE, headers=token()).status_code == 400


APPS = ((made_up.APPKEY, made_up.MASTER_SECRET), (made_up.OTHER_APPKEY, made_up.OTHER_MASTER_SECRET))


def test_several_apps_do_not_share_anything(start: Start, files: Files) -> None:
    """Each has its own secret, nonces and limit; without a name the default app is meant."""
    apps = files.folder / "apps.toml"
    apps.write_text("".join(f'[apps.{appkey}]\nmaster_secret = "{secret}"\n' for appkey, secret in APPS))
    with apps.open("a") as file:
        file.write("default = true\n")  # of the last table
    del files.variables["AUTHSVC_APPKEY"], files.variables["AUTHSVC_MASTER_SECRET_FILE"]
    client = start(variables=files.variables | {"AUTHSVC_APPS_FILE": str(apps), "AUTHSVC_RATE_LIMIT": "2/hour"})
    random_str = "0123456789abcdefghij"
    payloads = [issued(client, appkey=appkey, random_str=random_str) for appkey, _ in APPS]
    for payload, (appkey, master_secret) in zip(payloads, APPS, strict=True):
        assert payload["appkey"] == appkey
        assert is_signed_by(payload, master_secret)
        assert verified(client, payload) == 200
    assert verified(client, payloads[0] | {"appkey": made_up.OTHER_APPKEY}) == 422
    assert issued(client)["appkey"] == made_up.OTHER_APPKEY
    assert client.post(ISSUE, headers=token()).status_code == 429
    assert client.post(ISSUE, headers=token(), json={"appkey": made_up.APPKEY}).status_code == 200


def cookie(user_id: str) -> str:
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps({"who": user_id}))


def test_every_way_of_logging_in(start: Start, settings: Settings, store: Store) -> None:
    """A token, a cookie, a gateway's assertion and a gateway's word each count where they are set up."""
    every = {"jwt_header": "X-Assertion", "session_cookie": "app", "session_user_field": "who"}
    client = start(settings.model_copy(update=every), store=store)
    assertion = {"X-Assertion": token()["Authorization"].removeprefix("Bearer ")}
    for headers in (token(), {"Cookie": f"app={cookie('ming')}"}, assertion, GATEWAY):
        assert client.post(ISSUE, headers=headers).status_code == 200
    for headers in ({}, {"Cookie": f"session={cookie('ming')}"}, {"X-Forwarded-User": "ming"}):
        assert client.post(ISSUE, headers=headers).status_code == 401
    detail = client.post(ISSUE).get_json()["detail"]
    assert detail == (
        "the request has no credentials; accepted: Authorization: Bearer <token>, or the cookie app, "
        "or X-Assertion from the gateway, or X-Forwarded-User from the gateway"
    )


@pytest.mark.parametrize(
    ("unset", "headers"),
    [
        ({"jwt_key": None}, token()),
        ({"session_key": ()}, {"Cookie": f"session={cookie('ming')}"}),
        ({"jwt_header": None}, {"X-Assertion": token()["Authorization"]}),
        ({"gateway_secret": ()}, GATEWAY),
    ],
)
def test_a_way_that_is_not_set_up_does_not_count(
    start: Start, settings: Settings, store: Store, unset: dict[str, object], headers: dict[str, str]
) -> None:
    """Its credential is as good as none."""
    client = start(settings.model_copy(update=unset), store=store)
    answer = client.post(ISSUE, headers=headers)
    assert answer.status_code == 401
    assert "has no credentials" in answer.get_json()["detail"]


def test_the_first_way_that_applies_decides(start: Start, settings: Settings, store: Store) -> None:
    """A bad token is refused, whatever good credential comes with it."""
    client = start(settings, store=store)
    assert client.post(ISSUE, headers=GATEWAY).status_code == 200
    assert client.post(ISSUE, headers=GATEWAY | token(key=NEW_JWT_KEY)).status_code == 401


def test_a_server_that_takes_underscores_for_hyphens(start: Start, settings: Settings, store: Store) -> None:
    """There a gateway's plain header is refused, unless its name has no hyphen."""
    assert start(settings, store=store, twins_pass=True).post(ISSUE, headers=GATEWAY).status_code == 401
    renamed = settings.model_copy(update={"gateway_user_header": "User"})
    headers = {"X-Gateway-Secret": made_up.GATEWAY_SECRET, "User": "ming"}
    assert start(renamed, store=store, twins_pass=True).post(ISSUE, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("rules", "claims", "status"),
    [
        ({"jwt_audience": ("authsvc",)}, {}, 401),
        ({"jwt_audience": ("authsvc",)}, {"aud": "authsvc"}, 200),
        ({"jwt_issuer": "https://login.example"}, {}, 401),
        ({"jwt_issuer": "https://login.example"}, {"iss": "https://login.example"}, 200),
        ({}, {"exp": -10}, 401),
        ({"jwt_leeway_s": 300}, {"exp": -10}, 200),
    ],
)
def test_the_rules_for_tokens_arrive(
    start: Start, settings: Settings, store: Store, rules: dict[str, object], claims: dict[str, object], status: int
) -> None:
    """Audience, issuer and leeway are those of the settings; `exp` is from now, in seconds."""
    if isinstance(claims.get("exp"), int):
        claims = claims | {"exp": int(time.time()) + int(str(claims["exp"]))}
    client = start(settings.model_copy(update=rules), store=store)
    assert client.post(ISSUE, headers=token(claims)).status_code == status


def test_a_token_in_a_cookie(start: Start, settings: Settings, store: Store) -> None:
    """It logs in where its cookie is set, by the claim that is set, and with types that are allowed."""
    changes = {"jwt_cookie": "access_token", "jwt_user_claim": "uid", "jwt_allowed_types": ("id",)}
    client = start(settings.model_copy(update=changes), store=store)
    bearer = token({"uid": 7, "typ": "ID"})["Authorization"].removeprefix("Bearer ")
    assert client.post(ISSUE, headers={"Cookie": f"access_token={bearer}"}).status_code == 200
    assert client.post(ISSUE, headers={"Cookie": f"access_token={bearer}", "Origin": "null"}).status_code == 403
    for claims, words in (({}, "no uid"), ({"uid": 7, "typ": "Refresh"}, "type is refresh")):
        answer = client.post(ISSUE, headers=token(claims))
        assert answer.status_code == 401
        assert words in answer.get_json()["detail"]


def test_a_single_use_token_is_good_once(start: Start, settings: Settings, store: Store) -> None:
    """The second request with it is refused; without that setting it is not."""
    client = start(settings.model_copy(update={"jwt_single_use": True}), store=store)
    once = token({"jti": "first"})
    assert [client.post(ISSUE, headers=once).status_code for _ in range(2)] == [200, 401]
    assert start(settings, store=store).post(ISSUE, headers=once).status_code == 200


def test_a_session_counts_for_its_time(start: Start, settings: Settings, store: Store) -> None:
    """AUTHSVC_SESSION_MAX_AGE_S is counted from the cookie's signing."""
    client = start(settings.model_copy(update={"session_user_field": "who", "session_max_age_s": 3600}), store=store)
    for age_s, status in ((3590, 200), (3610, 401)):
        with freeze_time(datetime.now(UTC) - timedelta(seconds=age_s)):
            headers = {"Cookie": f"session={cookie('ming')}"}
        assert client.post(ISSUE, headers=headers).status_code == status


def test_keys_that_were_fetched_outlive_a_change_of_other_settings(start: Start, files: Files) -> None:
    """A new masterSecret does not make the service fetch the keys again, which may be unavailable then."""
    key = keys.rsa()
    pem = keys.private_pem(key)
    token = jwt.encode({"sub": "ming", "exp": int(time.time()) + 300}, pem, algorithm="RS256", headers={"kid": "one"})
    bearer = {"Authorization": f"Bearer {token}"}
    with LoginService() as login_service:
        login_service.publish(keys.jwk(key, "one"))
        del files.variables["AUTHSVC_JWT_KEY_FILE"]
        jwks = {"AUTHSVC_JWT_JWKS_URL": login_service.url, "AUTHSVC_JWT_ALGORITHMS": "RS256"}
        client = start(variables=files.variables | jwks)
        assert client.post(ISSUE, headers=bearer).status_code == 200
        login_service.stop()
        files.write("MASTER_SECRET", made_up.OTHER_MASTER_SECRET)
        wait_until(
            lambda: is_signed_by(client.post(ISSUE, headers=bearer).get_json(), made_up.OTHER_MASTER_SECRET),
        )
        assert len(login_service.requests) == 1


def test_the_workers_share_one_limit(start: Start, settings: Settings, store: Store) -> None:
    """What one worker lets through, another knows of after the next reconciliation."""
    now_ms = clock.now_ms()  # which stands still, or the user's window might end meanwhile
    one, other = [start(settings, store=store, now_ms=lambda: now_ms) for _ in range(2)]
    for _ in range(30):
        assert one.post(ISSUE, headers=token()).status_code == 200
    asked = itertools.count(1)

    def knows_more_than_its_own() -> bool:
        header = other.post(ISSUE, headers=token()).headers["RateLimit"]
        return int(header.removeprefix('"user";r=').partition(";")[0]) < settings.rate_limit.limit - next(asked)

    wait_until(knows_more_than_its_own)


def test_draining_shows(start: Start, settings: Settings, store: Store) -> None:
    """A stopping process shows it on /readyz, and continues to serve."""
    client = start(settings, store=store, is_draining=lambda: True)
    assert client.get("/readyz").get_json()["checks"]["draining"] == "yes"
    assert client.post(ISSUE, headers=token()).status_code == 200


def test_a_background_that_has_ended_shows(app: Flask) -> None:
    """Without its thread a worker would keep an old secret for ever, so it is not ready."""
    app.extensions["authsvc"].stop()
    assert app.test_client().get("/readyz").get_json()["checks"]["background"] == "ended"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_has_ended_shows(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot log any more, for an unexpected reason, is not ready either."""
    monkeypatch.setattr(RequestLog, "lines", lambda _self, done: done.nonsense)
    client = app.test_client()
    assert client.post(ISSUE, headers=token()).status_code == 200
    wait_until(lambda: client.get("/readyz").get_json()["checks"]["background"] == "ended")


def test_settings_in_hand_are_not_watched(start: Start, settings: Settings, files: Files, store: Store) -> None:
    """They name no files; the environment is none of their business."""
    client = start(settings, store=store, variables={"AUTHSVC_NONSENSE": "1"})
    assert client.post(ISSUE, headers=token()).status_code == 200
    other = settings.model_copy(update={"store_url": Secret(f"sqlite://{files.folder}/opened.db")})
    start(other)
    assert (files.folder / "opened.db").exists()
