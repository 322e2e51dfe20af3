"""The one call with which a page boots: SDK, payload and login, for each of its apps."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from authsvc.app import create_app
from authsvc.payloads import signature
from authsvc.payloads.apps import App
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.vendor.accounts import CLAIM_MS
from tests.conftest import Clock, bearer_of
from tests.support import made_up
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, vendor_stand_in

SECRETS = {made_up.APPKEY: made_up.MASTER_SECRET, made_up.OTHER_APPKEY: made_up.OTHER_MASTER_SECRET}


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor that registers everybody."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: Reply.json([{}], status=201)
        yield stand_in


@pytest.fixture
def booting(settings: Settings, store: Store, clock: Clock, stand_in: VendorStandIn) -> Iterator[FlaskClient]:
    """A client of a service with two apps and IM accounts."""
    app = create_app(
        settings.model_copy(
            update={
                "apps": tuple(
                    App(appkey, Secret(secret), flag=flag, default=not flag)
                    for flag, (appkey, secret) in enumerate(SECRETS.items())
                ),
                "account_key": Secret(made_up.ACCOUNT_KEY),
                "vendor_url": stand_in.url,
                "sdk_script": "/static/jmessage-sdk-web.min.js",
                "sdk_integrity": "sha384-made+up",
                "sdk_options": {"debug": True},
            }
        ),
        store=store,
        now_ms=clock,
    )
    yield app.test_client()
    app.extensions["authsvc"].stop()


def boot(client: FlaskClient, user_id: str = "ming", **fields: str | bool) -> dict[str, Any]:
    answer = client.post("/v1/bootstrap", json=fields, headers=bearer_of(user_id))
    assert answer.status_code == 200, answer.get_json()
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def test_all_that_a_page_needs(booting: FlaskClient, clock: Clock) -> None:
    """The SDK as it is set, a good payload of this moment with the app's flag, and a login."""
    found = boot(booting)
    assert found["sdk"] == {
        "script": "/static/jmessage-sdk-web.min.js",
        "integrity": "sha384-made+up",
        "options": {"debug": True},
    }
    init = found["init"]
    assert (init["appkey"], init["flag"], init["timestamp"]) == (made_up.APPKEY, 0, str(clock.now_ms))
    assert (found["server_time_ms"], found["expires_in_ms"]) == (clock.now_ms, 600_000)
    assert found["login"].keys() == {"username", "password", "is_md5"}
    assert found["login"]["username"] == "ming"


def test_the_payload_is_accepted(booting: FlaskClient, verifier: dict[str, str]) -> None:
    """What bootstrap issues is verified as any payload is, once."""
    init = boot(booting)["init"]
    del init["flag"]
    statuses = [booting.post("/v1/auth-payload/verify", json=init, headers=verifier).status_code for _ in range(2)]
    assert statuses == [200, 409]


def test_several_apps_on_one_page(booting: FlaskClient) -> None:
    """Each call is for one app: its appkey, its secret, its flag, its own password."""
    found = [boot(booting, appkey=appkey) for appkey in SECRETS]
    for flag, (payload, (appkey, secret)) in enumerate(zip(found, SECRETS.items(), strict=True)):
        init = payload["init"]
        assert (init["appkey"], init["flag"]) == (appkey, flag)
        assert signature.is_valid(
            init["signature"],
            appkey=appkey,
            timestamp_ms=int(init["timestamp"]),
            random_str=init["random_str"],
            master_secret=secret,
        )
    assert found[0]["login"]["password"] != found[1]["login"]["password"]


def test_without_accounts_or_sdk(client: FlaskClient, bearer: dict[str, str]) -> None:
    """What is not set is null, and the payload is there all the same; the vendor is not asked."""
    found = client.post("/v1/bootstrap", headers=bearer).get_json()
    assert (found["login"], found["sdk"]) == (None, {"script": None, "integrity": None, "options": {}})
    assert "signature" in found["init"]


def test_a_slow_registration_does_not_age_the_payload(
    booting: FlaskClient, clock: Clock, stand_in: VendorStandIn
) -> None:
    """The payload is issued when the vendor has answered, not when the page asked."""

    def reply_to(_: Asked) -> Reply:
        clock.now_ms += 2_500
        return Reply.json([{}], status=201)

    stand_in.reply = reply_to
    asked_ms = clock.now_ms
    assert boot(booting)["server_time_ms"] == asked_ms + 2_500


def test_a_login_that_the_vendor_refused(booting: FlaskClient, stand_in: VendorStandIn) -> None:
    """Asked to renew it, the service registers the account anew, and answers as ever; asked again, it only answers."""
    before = boot(booting)["login"]
    assert boot(booting)["login"] == before
    assert len(stand_in.asked) == 1
    for _ in range(2):
        assert boot(booting, renew_login=True)["login"] == before
        assert len(stand_in.asked) == 2
    assert boot(booting, renew_login=False)["login"] == before


def test_nothing_to_renew(client: FlaskClient, bearer: dict[str, str]) -> None:
    """Without accounts it makes no difference; and it is a boolean."""
    assert client.post("/v1/bootstrap", headers=bearer, json={"renew_login": True}).get_json()["login"] is None
    refused = client.post("/v1/bootstrap", headers=bearer, json={"renew_login": "yes"})
    assert (refused.status_code, refused.get_json()["detail"]) == (400, "renew_login: must be true or false")


def test_an_outage_stops_only_those_who_are_new(booting: FlaskClient, clock: Clock, stand_in: VendorStandIn) -> None:
    """A known user boots while the vendor is unavailable; a new one gets Retry-After."""
    before = boot(booting)
    stand_in.reply = lambda _: Reply(503)
    assert boot(booting)["login"] == before["login"]
    refused = booting.post("/v1/bootstrap", headers=bearer_of("ana-new"))
    assert (refused.status_code, refused.get_json()["code"]) == (503, 882005)
    assert int(refused.headers["Retry-After"]) >= 1
    stand_in.reply = lambda _: Reply.json([{}], status=201)
    clock.now_ms += CLAIM_MS
    assert boot(booting, "ana-new")["login"]["username"] == "ana-new"


def test_refused_credentials_are_no_401(booting: FlaskClient, stand_in: VendorStandIn) -> None:
    """The vendor's 401 is about this service and not about the user, who must not be sent to log in again."""
    stand_in.reply = lambda _: Reply.json(
        {"error": {"code": 899008, "message": "Basic authentication failed"}}, status=401
    )
    refused = booting.post("/v1/bootstrap", headers=bearer_of("ana-new"))
    assert (refused.status_code, refused.get_json()["code"], refused.get_json()["retry"]) == (502, 889004, "never")
