"""
Where a request comes from: the same-site rule, and the CORS headers for the origins that are allowed.

Pure; imports only `errors`.
"""

import ipaddress
import re
from collections.abc import Collection

from authsvc.errors import CrossSite

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_ORIGIN_RULE = (
    "an origin is http://host or https://host, with :port if it is not the default: "
    "no path (not even /), no *, no user name; a host outside ASCII in its xn-- form"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_SITE = frozenset({"same-origin", "same-site", "none"})
_REQUEST_HEADERS = "Authorization, Content-Type, X-Request-Id"
_RESPONSE_HEADERS = "X-Request-Id, X-Server-Time-Ms, X-Expires-In-Ms, RateLimit, RateLimit-Policy, Retry-After"
_PREFLIGHT_MAX_AGE_S = 600


def parse_origin(text: str) -> str:
    """
    Return an origin as browsers write it: lower case, without its default port.

    Raises:
        ValueError: it is not exactly `scheme://host` or `scheme://host:port`; the text is not repeated, because it
            may hold a password.
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


def check_same_site(*, origin: str | None, sec_fetch_site: str | None, host: str, allowed: Collection[str]) -> None:
    """
    Raise CrossSite unless the request comes from the site itself, from an allowed origin or from no browser at all.

    Args:
        origin: the Origin header.
        sec_fetch_site: the Sec-Fetch-Site header; browsers send it to https:// and localhost only.
        host: the request's own host[:port].
        allowed: origins as `parse_origin` writes them.
    """
    if origin in allowed:
        return
    if sec_fetch_site is not None:
        if sec_fetch_site not in _OWN_SITE:
            raise CrossSite("the request comes from another site, and its Origin is none of AUTHSVC_ALLOWED_ORIGINS")
    # A browser sends at least one of the two headers with every POST, so without both this is none.
    elif origin is not None and not _is_origin_of(origin, host):
        raise CrossSite(
            "the request's Origin is neither the origin of its Host nor one of AUTHSVC_ALLOWED_ORIGINS; "
            "a proxy in front must pass the Host header on"
        )


def cors_headers(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """Return the headers that let a page of an allowed origin read the answer; none for any other origin."""
    if origin is None or origin not in allowed:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": _RESPONSE_HEADERS,
    }


def preflight_headers(origin: str | None, allowed: Collection[str], methods: str) -> dict[str, str]:
    """Return the headers that answer a preflight request; `methods` is comma-separated, as in Allow."""
    headers = cors_headers(origin, allowed)
    if not headers:
        return {}
    return headers | {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_S),
    }


def _is_origin_of(origin: str, host: str) -> bool:
    """Compare host and port only: behind a proxy that ends TLS, a request does not know its own scheme."""
    scheme = origin.partition("://")[0]
    try:
        return parse_origin(origin) == parse_origin(f"{scheme}://{host}")
    except ValueError:
        return False
