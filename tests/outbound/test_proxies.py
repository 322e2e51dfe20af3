"""The proxy that the environment names for a URL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authsvc.auth.jwks import Jwks
from authsvc.errors import KeysUnavailable, SettingsError, UnknownMedia, VendorBusy
from authsvc.outbound.availability import cause
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.outbound.proxies import Proxy, proxy_for
from authsvc.ratelimit.rate import Rate
from authsvc.stores.store import Store
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Credentials, Vendor
from tests.support import made_up
from tests.support.certificates import NAME, make_certificates
from tests.support.connect_proxy import connect_proxy
from tests.support.vendor_stand_in import UNKNOWN, Reply, VendorStandIn, vendor_stand_in

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, is not the test's."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://a.example/x", Proxy("http://p:3128")),
        ({"https_proxy": "http://p:3128/"}, "https://a.example", Proxy("http://p:3128")),
        ({"HTTPS_PROXY": "p:3128"}, "https://a.example", Proxy("http://p:3128")),
        ({"HTTPS_PROXY": "https://p"}, "https://a.example", Proxy("https://p")),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "https://a.example", Proxy("http://[::1]:3128")),
        ({"HTTPS_PROXY": "http://u:p%40ss@p:1"}, "https://a.example", Proxy("http://p:1", "u:p@ss")),
        ({"HTTPS_PROXY": "http://u@p:1"}, "https://a.example", Proxy("http://p:1", "u:")),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://a.example", None),
        ({"HTTPS_PROXY": ""}, "https://a.example", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.example", Proxy("http://p:3128")),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "b.example,a.example"}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": ".example"}, "https://a.example:444", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://127.0.0.1:8443", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://[::1]:8443", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://localhost", None),
    ],
)
def test_which(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: Proxy | None) -> None:
    """By the URL's scheme, unless NO_PROXY names its host or it is on loopback."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize("proxy", ["socks5://u:{0}@p:1080", "http://u:{0}/@p:x", "http://", "http://u:{0}@p:70000"])
def test_no_proxy_at_all(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """A fault that names the variable and does not repeat it; nor is a password shown by what holds it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(made_up.VERIFIER_KEY))
    with pytest.raises(SettingsError) as refused:
        proxy_for("https://a.example")
    assert refused.value.faults == ["HTTPS_PROXY: must be http:// or https:// and the proxy's host and port"]
    assert made_up.VERIFIER_KEY not in repr(Proxy("http://p", f"u:{made_up.VERIFIER_KEY}"))


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorStandIn]:
    """A vendor by TLS, under a name that only the proxy finds."""
    certificates = make_certificates(tmp_path / "certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with vendor_stand_in(certificates) as stand_in:
        stand_in.reply = lambda _: UNKNOWN
        yield stand_in


def asked(url: str, store: Store) -> None:
    """Ask the vendor there for media that it does not know."""
    vendor = Vendor(url, budget=Budget(Rate.parse("100/minute"), store), breaker=CircuitBreaker())
    with closing(vendor), pytest.raises(UnknownMedia):
        vendor.resource_url(Credentials(made_up.APPKEY, made_up.MASTER_SECRET), "a/b")


@pytest.mark.parametrize("credentials", [None, "somebody:made-up-p@ss"])
def test_the_vendor_by_a_proxy(
    behind: VendorStandIn, store: Store, monkeypatch: pytest.MonkeyPatch, credentials: str | None
) -> None:
    """The proxy gets only the host; the request and the masterSecret go by TLS to the vendor."""
    user = "somebody:made-up-p%40ss@" if credentials else ""
    with connect_proxy(behind.port, credentials) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
        asked(f"https://{NAME}", store)
        assert proxy.asked == [f"CONNECT {NAME}:443"]
    assert [one.credentials for one in behind.asked] == [f"{made_up.APPKEY}:{made_up.MASTER_SECRET}"]


def test_the_vendor_by_a_proxy_without_tls(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is for a vendor's URL without TLS, as a test environment may have."""
    with vendor_stand_in() as stand_in, connect_proxy(stand_in.port) as proxy:
        stand_in.reply = lambda _: UNKNOWN
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        asked(f"http://{NAME}", store)
        assert proxy.asked == [f"GET http://{NAME}/v1/resource?mediaId=a%2Fb"]


def test_a_vendor_that_no_proxy_is_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on loopback is asked directly, whatever the environment names."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: UNKNOWN
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        asked(stand_in.url, store)


def test_a_proxy_that_refuses(behind: VendorStandIn, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor is unavailable with the proxy's cause, and so is the JWKS URL."""
    with connect_proxy(behind.port, "somebody:made-up") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:wrong@127.0.0.1:{proxy.port}")
        vendor = Vendor(f"https://{NAME}", budget=Budget(Rate.parse("100/minute"), store), breaker=CircuitBreaker())
        with closing(vendor), pytest.raises(VendorBusy, match="cannot be reached") as busy:
            vendor.resource_url(Credentials(made_up.APPKEY, made_up.MASTER_SECRET), "a/b")
        with pytest.raises(KeysUnavailable) as away:
            Jwks(f"https://{NAME}/jwks", dict).listed()
    for failure in (busy.value, away.value):
        assert cause(failure) == "Tunnel connection failed: 407 Proxy Authentication Required"


def test_the_jwks_url_by_a_proxy(behind: VendorStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same variable, its password decoded alike."""
    behind.reply = lambda _: Reply.json({"keys": [{"kid": "a"}]})
    with connect_proxy(behind.port, "somebody:made-up-p@ss") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:made-up-p%40ss@127.0.0.1:{proxy.port}")
        assert Jwks(f"https://{NAME}/jwks", dict).listed() == [{"kid": "a"}]
        assert proxy.asked == [f"CONNECT {NAME}:443"]
