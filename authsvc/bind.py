"""
The address to listen on, TCP or a unix socket; whether it is free, and whether a Host header means it.

Imports only `errors`.
"""

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from authsvc.errors import SettingsError

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared, not listened on


SOCKET_MODE = 0o660  # for a gateway of the same group: another client could bypass its rules


@dataclass(frozen=True, slots=True)
class Bind:
    """A TCP address, or a unix socket with this `mode` if `socket` is set."""

    host: str
    port: int
    socket: Path | None = None
    mode: int = SOCKET_MODE

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Parse `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raises ValueError."""
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls("", 0, Path(text.removeprefix("unix:")))
        match = _ADDRESS.fullmatch(text)
        if match is None or match[2] is None or int(match[2]) > 65_535:
            raise ValueError("must be HOST:PORT, [IPV6]:PORT or unix:PATH")
        return cls(match[1].strip("[]"), int(match[2]))

    def is_meant_by(self, address: str) -> bool:
        """
        Return whether the `host` or `host:port` of a Host header or an origin means this address or this machine.

        Any other name may belong to an attacker who makes it resolve to this address (DNS rebinding). A numeric address
        cannot, and counts if the server listens on all addresses.
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            return False
        host = match[1].strip("[]").lower()
        return is_loopback(host) or host == self.host.lower() or (self.host in _ANY and _ip(host) is not None)

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, independent of DNS."""
    address = _ip(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def free(bind: Bind) -> Bind:
    """Return the address with a known port. Raises SettingsError with the reason if nothing can listen there."""
    try:
        if bind.socket is not None:
            _clear(bind.socket)
            return bind
        with socket.socket(socket.AF_INET6 if ":" in bind.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # like the server, right after a restart
            probe.bind((bind.host, bind.port))
            return Bind(bind.host, probe.getsockname()[1])
    except (OSError, UnicodeError) as exc:
        raise SettingsError([f"--bind: cannot listen on {bind}: {exc}"]) from exc


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _clear(path: Path) -> None:
    """Remove the socket of a server that has ended. Raises OSError if no socket can be created."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")
