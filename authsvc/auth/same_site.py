"""
The same-site rule: whether a request comes from the service's own origin, from an allowed one or from another site.

Pure; imports only `errors`.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from functools import lru_cache

from authsvc.errors import CrossSite

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
# Origins of apps with an embedded browser. Any other scheme counts as a typing error.
_APP_ORIGIN = re.compile(r"(app|capacitor|ionic|tauri|chrome-extension|moz-extension)://[A-Za-z0-9._-]+", re.ASCII)
_ORIGIN_RULE = (
    "an origin is http://host or https://host, with :port if it is not the default: "
    "no path (not even /), no *, no user name; a non-ASCII host in its xn-- form"
)
_ALLOWED_RULE = f"{_ORIGIN_RULE}; or, of an app, such as capacitor://localhost, ionic://, tauri:// or app://host"
MAX_ORIGIN = 300  # characters; a host name has 253 at most
_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> str:
    """
    Return an origin as browsers write it: lower case, without its default port.

    Raises:
        ValueError: it is not exactly `scheme://host` or `scheme://host:port`; the text is not repeated, because it
            may contain a password.
    """
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(_ORIGIN_RULE)
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3] or _DEFAULT_PORTS[scheme])
    try:
        host = f"[{ipaddress.IPv6Address(host[1:-1])}]" if host.startswith("[") else host
    except ValueError:
        raise ValueError(_ORIGIN_RULE) from None
    if not 1 <= port <= 65_535:
        raise ValueError(_ORIGIN_RULE)
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def parse_allowed(text: str) -> str:
    """
    Return an origin that may be allowed: one of the web, or one of an app with an embedded browser.

    Raises:
        ValueError: as `parse_origin`. `null` is not allowed: every sandboxed page has it.
    """
    if _APP_ORIGIN.fullmatch(text):
        return text
    try:
        return parse_origin(text)
    except ValueError:
        raise ValueError(_ALLOWED_RULE) from None


def check_same_site(
    *, origin: str | None, sec_fetch_site: str | None, host: Callable[[], str], allowed: Collection[str]
) -> None:
    """
    Raise CrossSite unless the request comes from its own origin, from an allowed origin or from no browser at all.

    Another origin of the same site is not trusted: it may belong to a customer, or to an attacker who took it over.

    Args:
        origin: the Origin header.
        sec_fetch_site: the Sec-Fetch-Site header; browsers send it to https:// and localhost only.
        host: returns the request's own host[:port]; called only if the other headers do not decide.
        allowed: origins as `parse_allowed` writes them.
    """
    if origin == "null":
        raise CrossSite("the request's Origin is null (a sandboxed page or a local file), which is never allowed")
    # No page can set Sec-Fetch-Site. The browser compares with the address that it requested, before any proxy.
    if origin in allowed or sec_fetch_site == "same-origin":
        return
    if sec_fetch_site not in (None, "same-site", "none"):
        raise CrossSite("the request comes from another site, and its Origin is not in AUTHSVC_ALLOWED_ORIGINS")
    if origin is None:
        # A browser sends at least one of the two headers with every POST. Without both, the client is not a browser.
        if sec_fetch_site == "same-site":
            raise CrossSite("the request comes from another origin of this site and has no Origin header")
    elif not _is_origin_of(origin[:MAX_ORIGIN], host()[:MAX_ORIGIN]):
        raise CrossSite(
            "the request's Origin matches neither its Host header nor AUTHSVC_ALLOWED_ORIGINS; "
            "a reverse proxy must forward the Host header"
        )


@lru_cache(maxsize=256)  # most requests come from a few pages
def _is_origin_of(origin: str, host: str) -> bool:
    """Compare host and port only: behind a proxy that ends TLS, a request does not know its own scheme."""
    scheme = origin.partition("://")[0]
    try:
        return parse_origin(origin) == parse_origin(f"{scheme}://{host}")
    except ValueError:
        return False
