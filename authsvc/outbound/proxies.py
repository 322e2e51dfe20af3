"""
The proxy of the environment for a URL: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in either case.

Imports only `errors`.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from authsvc.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Proxy:
    """`url` is `http[s]://host:port`; `credentials` is `user:password`, or None."""

    url: str
    credentials: str | None = field(default=None, repr=False)


def proxy_for(url: str) -> Proxy | None:
    """
    Return the proxy for this URL; None for a direct connection, as always on loopback.

    Raises:
        SettingsError: the variable is not the URL of a proxy.
    """
    parts = urlsplit(url)
    named = getproxies().get(parts.scheme)
    if not named or _is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    try:
        proxy = urlsplit(named if "://" in named else f"http://{named}")
        host, port = proxy.hostname or "", proxy.port
    except ValueError:  # its message contains the text in the port's place, which may be the password
        host, port = "", None
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-f:.]+", host) or proxy.scheme not in {"http", "https"}:
        raise SettingsError(
            [f"{parts.scheme.upper()}_PROXY: must be http:// or https:// and the proxy's host and port"]
        )
    credentials = None
    if proxy.username is not None:
        credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    shown = f"[{host}]" if ":" in host else host
    return Proxy(f"{proxy.scheme}://{shown}" + (f":{port}" if port else ""), credentials)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
