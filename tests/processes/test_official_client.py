"""The vendor's own Python client beside ours: for the same question both ask the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jmessage import JMessage
from jmessage.resource import Resource as OfficialResource
from jmessage.user import User as OfficialUser

from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.ratelimit.rate import Rate
from authsvc.stores import open_store
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Credentials, Vendor
from tests.support import made_up
from tests.support.vendor_stand_in import Reply, VendorStandIn, vendor_stand_in

OURS = Credentials(made_up.APPKEY, made_up.MASTER_SECRET)


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback."""
    with vendor_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def vendor(stand_in: VendorStandIn, tmp_path: Path) -> Iterator[Vendor]:
    """Our client of it."""
    store = open_store(f"sqlite://{tmp_path}/store.db")
    vendor = Vendor(stand_in.url, budget=Budget(Rate(100, 60_000), store), breaker=CircuitBreaker())
    yield vendor
    vendor.close()
    store.close()


@pytest.fixture
def official(stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[JMessage]:
    """The vendor's client, pointed at the stand-in: its URLs are constants."""
    monkeypatch.setattr(OfficialResource, "URI", f"{stand_in.url}/v1/resource")
    monkeypatch.setattr(OfficialUser, "URI", f"{stand_in.url}/v1/users/")
    client = JMessage(made_up.APPKEY, made_up.MASTER_SECRET)
    yield client
    client._session.close()


@pytest.mark.parametrize(
    "media_id",
    [
        "qiniu/image/j/FB564290B56CBD0BD13215386055D424.png",
        "qiniu/voice/a/CE0ACD035CBF71F8",
        "/avatar",
        "a_b-c.d/e",
        "0",
        "x" * 255,
    ],
)
def test_media(official: JMessage, vendor: Vendor, stand_in: VendorStandIn, media_id: str) -> None:
    """Method, path, decoded query and Authorization are equal."""
    OfficialResource(official).download(media_id)
    vendor.resource_url(OURS, media_id)
    theirs, ours = stand_in.asked
    assert theirs == ours
    assert ours.query == (("mediaId", media_id),)


def test_registering(official: JMessage, vendor: Vendor, stand_in: VendorStandIn) -> None:
    """A new user is registered by the same request, body included."""
    stand_in.reply = lambda _: Reply.json([{"username": "ming"}], status=201)
    users: list[dict[str, str]] = [{"username": "ming", "password": "made-up-password"}]
    OfficialUser(official).register(users)
    vendor.register(OURS, "ming", "made-up-password")
    theirs, ours = stand_in.asked
    assert theirs == ours
