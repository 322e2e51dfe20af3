"""Which requests count as the site's own."""

import pytest

from authsvc.auth.same_site import MAX_ORIGIN, check_same_site, parse_allowed, parse_origin
from authsvc.errors import CrossSite

ALLOWED = frozenset({"https://app.example"})


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("https://app.example:080", "https://app.example:80"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://127.0.0.1:65535", "http://127.0.0.1:65535"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[2001:DB8:0::1]", "https://[2001:db8::1]"),
        ("https://xn--fiqs8s.example", "https://xn--fiqs8s.example"),
    ],
)
def test_parse_origin_writes_it_as_a_browser_does(text: str, origin: str) -> None:
    """An origin comes out in lower case and without its default port, whatever way it is set."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "null",
        "app.example",
        "//app.example",
        "https://",
        "https://app.example/",
        "https://app.example/page",
        "https://app.example?x",
        "https://app.example#x",
        "https://*.app.example",
        "https://user:canary@app.example",
        "https://app.example:",
        "https://app.example:0",
        "https://app.example:65536",
        "https://app.example:443443",
        "https://app.example:-1",
        "https://app.example:４４３",
        "https://[::1",
        "https://[1.2]",
        "https://[::1%25eth0]",
        "https://\u212a.example",  # KELVIN SIGN, whose lower case is an ASCII k
        "https://中国.example",
        "https://app.example\n",
        " https://app.example",
        "https://a.example https://b.example",
        "https://a.example,https://b.example",
        "ftp://app.example",
        "file:///etc/passwd",
        "javascript://app.example",
    ],
)
def test_parse_origin_refuses_everything_else(text: str) -> None:
    """A setting that is not exactly one origin is refused in a sentence that does not repeat it."""
    with pytest.raises(ValueError, match=r"^an origin is http://host") as refused:
        parse_origin(text)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("origin", "sec_fetch_site", "host"),
    [
        (None, None, "sign.example"),  # curl, a server, a mobile app
        (None, None, ""),
        ("https://app.example", None, "sign.example"),
        ("https://app.example", "cross-site", "sign.example"),
        ("https://sign.example", "same-origin", "sign.example"),
        (None, "same-origin", "sign.example"),
        (None, "none", "sign.example"),
        ("https://app.example", "same-site", "sign.example"),
        ("https://sign.example", "same-site", "sign.example"),
        ("https://sign.example", "none", "sign.example"),
        ("https://inside.example", "same-origin", "a-name-that-a-proxy-gave"),
        ("https://sign.example", None, "sign.example"),
        ("https://sign.example", None, "SIGN.example:443"),
        ("http://sign.example", None, "sign.example:80"),
        ("http://sign.example:8080", None, "sign.example:8080"),
        ("http://[::1]:8080", None, "[::1]:8080"),
    ],
)
def test_a_request_of_the_site_itself_passes(origin: str | None, sec_fetch_site: str | None, host: str) -> None:
    """Own pages, allowed origins and clients that are no browsers get through."""
    check_same_site(origin=origin, sec_fetch_site=sec_fetch_site, host=lambda: host, allowed=ALLOWED)


@pytest.mark.parametrize(
    ("origin", "sec_fetch_site", "host"),
    [
        ("https://evil.example", "cross-site", "sign.example"),
        ("https://sign.example", "cross-site", "sign.example"),  # a browser's word on the site beats our comparison
        (None, "cross-site", "sign.example"),
        ("https://www.sign.example", "same-site", "sign.example"),
        ("https://sign.example:8443", "same-site", "sign.example"),
        ("http://localhost:5173", "same-site", "localhost:8000"),
        ("https://evil.example", "none", "sign.example"),
        (None, "same-site", "sign.example"),
        (None, "", "sign.example"),
        (None, "cross-site,same-origin", "sign.example"),  # two headers, as WSGI joins them
        (None, "Same-Origin", "sign.example"),
        ("https://evil.example", None, "sign.example"),
        ("https://app.example.evil.example", None, "sign.example"),
        ("http://app.example", None, "sign.example"),  # allowed with https only
        ("https://app.example:8443", None, "sign.example"),
        ("https://sign.example:8443", None, "sign.example"),
        ("https://sign.example", None, "sign.example:8443"),
        ("https://sign.example", None, "sign.example:80"),
        ("https://www.sign.example", None, "sign.example"),
        ("https://sign.example.evil.example", None, "sign.example"),
        ("https://sign.example@evil.example", None, "sign.example"),
        ("https://sign.example", None, ""),
        ("https://sign.example", None, "sign.example/evil"),
        ("null", None, "null"),
        ("", None, "sign.example"),
        ("sign.example", None, "sign.example"),
        ("https://sign.example,https://sign.example", None, "sign.example"),
        ("file://", None, ""),
    ],
)
def test_a_request_of_another_site_is_refused(origin: str | None, sec_fetch_site: str | None, host: str) -> None:
    """Whatever the browser marks as another site's or origin's, or cannot be shown to be our own, is refused."""
    with pytest.raises(CrossSite):
        check_same_site(origin=origin, sec_fetch_site=sec_fetch_site, host=lambda: host, allowed=ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        *("capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://localhost", "app://obsidian.md"),
        *("chrome-extension://abcdefghijklmnopabcdefghijklmnop", "moz-extension://0b1e-4c"),
    ],
)
def test_an_app_with_a_browser_inside(origin: str) -> None:
    """Its origin can be allowed, as it stands; it is never our own, whatever its host is called."""
    assert parse_allowed(origin) == origin
    check_same_site(origin=origin, sec_fetch_site="cross-site", host=lambda: "sign.example", allowed={origin})
    host = origin.partition("://")[2]
    with pytest.raises(CrossSite):
        check_same_site(origin=origin, sec_fetch_site=None, host=lambda: host, allowed=ALLOWED)
    with pytest.raises(ValueError, match=r"^an origin is http://host"):
        parse_origin(origin)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "null",
            "*",
            "app://",
            "app://host/",
            "app://host/page",
            "capacitor://localhost:80",
            "app://user@host",
            "app:/h",
        ),
        *("file://host", "javascript://host", "data://host", "htps://app.example", "App://host", "app://host\n", ""),
    ],
)
def test_what_no_app_has_for_an_origin(text: str) -> None:
    """An unknown scheme is a typing error, and null is everybody's."""
    with pytest.raises(ValueError, match=r"^an origin is http://host .* capacitor://localhost"):
        parse_allowed(text)
    assert parse_allowed("HTTPS://App.Example:443") == "https://app.example"


@pytest.mark.parametrize("sec_fetch_site", [None, "same-origin", "same-site", "none", "cross-site"])
def test_null_is_never_ours(sec_fetch_site: str | None) -> None:
    """Not even if somebody has put it among the allowed ones, or the browser calls it our own."""
    with pytest.raises(CrossSite, match="null"):
        check_same_site(origin="null", sec_fetch_site=sec_fetch_site, host=lambda: "null", allowed={"null"})


def test_an_origin_longer_than_any_host_name() -> None:
    """It is nobody's, and is not kept: a server may accept headers of hundreds of kilobytes."""
    host = "a" * MAX_ORIGIN
    check_same_site(origin=f"https://{host[8:]}", sec_fetch_site=None, host=lambda: host[8:], allowed=())
    for longer in (host, f"{host}.example"):
        with pytest.raises(CrossSite):
            check_same_site(origin=f"https://{longer}", sec_fetch_site=None, host=lambda: host, allowed=())
