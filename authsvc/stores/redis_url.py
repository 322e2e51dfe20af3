"""
The URL of a Redis, standalone or behind sentinels or in a Cluster, and its parts.

Pure; imports nothing of the project, so that settings are checked without redis-py.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, urlencode, urlsplit

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
MAX_WAIT = 9

_TLS = {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
_SENTINELS_OWN = {"sentinel_username", "sentinel_password"}
_MALFORMED = "is not the URL of a Redis; in its password, / ? # @ : [ ] % must be percent-encoded"


@dataclass(frozen=True, slots=True, repr=False)
class RedisUrl:
    """
    The servers to ask, as single URLs for redis-py.

    Args:
        shape: "sentinel", "cluster", or "" for one server.
        asked: the server itself, the sentinels, or some nodes of the Cluster.
        master_name: the name of the primary at the sentinels.
        wait: how many replicas must have a claim before it counts.
        found: the URL of a discovered server, with `{}` in place of its host and port.
    """

    shape: str
    asked: tuple[str, ...]
    master_name: str
    wait: int
    found: str

    def at(self, host: str, port: int) -> str:
        """Return the URL of the server at this address."""
        return self.found.replace("{}", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def parse(url: str) -> RedisUrl:
    """Parse the URL. Raises ValueError with the rule that it breaks, without the URL, which may have a password."""
    scheme, _, rest = url.partition("://")
    scheme, _, shape = scheme.partition("+")
    before_query, _, query = rest.partition("?")
    parameters = parse_qs(query, keep_blank_values=True)
    wait = parameters.pop("wait", ["0"])[-1]
    if shape:
        authority, _, path = before_query.partition("/")
        user, at, hosts = authority.rpartition("@")
        singles = [f"{scheme}://{user}{at}{host}" for host in hosts.split(",")]
    else:
        singles = [f"{scheme}://{before_query}"]
    for single in singles:
        _check_well_formed(single, needs_host=bool(shape))
    if "#" in url:
        raise ValueError(_MALFORMED)
    _check_parameters(scheme, shape, parameters)
    if not re.fullmatch(rf"[0-{MAX_WAIT}]", wait):
        raise ValueError(f"may wait for 0 to {MAX_WAIT} replicas")
    if not shape:
        single = f"{singles[0]}?{urlencode(parameters, doseq=True)}"
        _check_one(single, parameters)
        return RedisUrl("", (single,), "", int(wait), single)
    own = {name: parameters.pop(name)[-1] for name in _SENTINELS_OWN & parameters.keys()}
    tail = f"?{urlencode(parameters, doseq=True)}"
    found = f"{scheme}://{user}{at}{{}}"
    if shape == "cluster":
        if path not in {"", "0"}:
            raise ValueError("has a database or path, but a Cluster has none")
        return RedisUrl(shape, tuple(single + tail for single in singles), "", int(wait), found + tail)
    name, _, database = path.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError("must name the primary as the sentinels do, such as redis+sentinel://host:26379/mymaster/0")
    _check_database(database)
    user = ":".join(quote(own.get(part, ""), safe="") for part in ("sentinel_username", "sentinel_password"))
    sentinels = [f"{user}@{host}" if own else host for host in hosts.split(",")]
    asked = tuple(
        f"{scheme}://{sentinel}{'' if urlsplit(single).port else ':26379'}{tail}"
        for sentinel, single in zip(sentinels, singles, strict=True)
    )
    return RedisUrl(shape, asked, name, int(wait), f"{found}/{database or 0}{tail}")


def place(url: str) -> str:
    """Return the kind and the address of a Redis, without user and password, of a URL that `parse` accepts."""
    scheme, _, shape = url.partition("://")[0].partition("+")
    parsed = parse(url)
    tls = " by TLS" if scheme == "rediss" else ""
    if scheme == "unix":
        return f"Redis at {urlsplit(url).path}"
    hosts = ", ".join(_host_and_port(urlsplit(single)) for single in parsed.asked)
    if shape == "sentinel":
        return f"Redis, primary {parsed.master_name} of the sentinels at {hosts}{tls}"
    return f"Redis {'Cluster ' if shape else ''}at {hosts}{tls}"


def _host_and_port(parts: SplitResult) -> str:
    host = parts.hostname or "localhost"
    return f"[{host}]:{parts.port or 6379}" if ":" in host else f"{host}:{parts.port or 6379}"


def _check_well_formed(single: str, *, needs_host: bool) -> None:
    try:
        parts = urlsplit(single)
        (parts.hostname or "").encode("idna")
        is_well_formed = parts.port != 0 and bool(parts.hostname or not needs_host) and "{}" not in single
    except ValueError:  # its message contains the text in the port's place, which may be the password
        is_well_formed = False
    if not is_well_formed:
        raise ValueError(_MALFORMED)


def _check_parameters(scheme: str, shape: str, parameters: dict[str, list[str]]) -> None:
    known = _TLS if scheme == "rediss" else set()
    if shape == "sentinel":
        known = known | _SENTINELS_OWN
    elif not shape:
        known = known | {"db"} | ({"password", "username"} if scheme == "unix" else set())
    # Others, such as socket_timeout, would break the time-outs of the store.
    if parameters.keys() - known:
        raise ValueError(f"may have only the parameters {', '.join(sorted({*known, 'wait'}))}")


def _check_one(single: str, parameters: dict[str, list[str]]) -> None:
    parts = urlsplit(single)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("must name the socket's path, such as unix:///run/redis/redis.sock")
    else:
        _check_database(parts.path.removeprefix("/"))
    for database in parameters.get("db", []):
        _check_database(database)


def _check_database(database: str) -> None:
    if not re.fullmatch(r"[0-9]{0,4}", database):
        raise ValueError("names a database that is not a number")
