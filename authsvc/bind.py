"""
Where to listen: a TCP address or a unix socket, how many may wait there, and whether it is free.

Imports only `errors`.
"""

import errno
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from authsvc.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Bind:
    """Where to listen: a TCP address, or a unix socket if `socket` is set."""

    host: str
    port: int
    socket: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Read `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; raises ValueError."""
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls("", 0, Path(text.removeprefix("unix:")))
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):([0-9]{1,5})", text)
        if match is None or int(match[2]) > 65_535:
            raise ValueError("must be HOST:PORT, [IPV6]:PORT or unix:PATH")
        return cls(match[1].strip("[]"), int(match[2]))

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def free(bind: Bind) -> Bind:
    """Return where to listen, its port known. Raises SettingsError if nothing can, with the reason."""
    try:
        if bind.socket is not None:
            _clear(bind.socket)
            return bind
        with socket.socket(socket.AF_INET6 if ":" in bind.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will, right after a restart
            probe.bind((bind.host, bind.port))
            return Bind(bind.host, probe.getsockname()[1])
    except (OSError, UnicodeError) as exc:
        raise SettingsError([f"--bind: cannot listen on {bind}: {exc}"]) from exc


def _clear(path: Path) -> None:
    """Remove the socket of a server that has died. Raises OSError where none can be made."""
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
    raise OSError(errno.EADDRINUSE, "somebody listens there")
