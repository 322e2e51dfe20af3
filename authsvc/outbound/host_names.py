"""
The look-up of host names within a bounded time: Python's getaddrinfo cannot be interrupted, and waits for a dead name
server as long as the system does.

Imports nothing of the project.
"""

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import ip_address

LookUp = Callable[[str], list[str]]


def addresses(host: str) -> list[str]:
    """Return the IP addresses of a host, in the order in which to try them. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address) for *_, (address, *_) in found))


class HostNames:
    """
    Looks names up in separate threads, one for a name at a time, however many callers there are. Safe around a fork.

    Nothing is cached: after a failover only the address behind the name may change.
    """

    def __init__(self, look_up: LookUp = addresses) -> None:
        self._look_up = look_up
        self._lock = threading.Lock()
        self._waited_for: dict[str, Future[list[str]]] = {}
        self._pid = os.getpid()

    def find(self, host: str, wait_s: float) -> list[str]:
        """
        Return the host's addresses.

        Raises:
            OSError: it has none.
            TimeoutError: there is no answer within `wait_s` seconds.
        """
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            return self._asked(host).result(wait_s)
        except TimeoutError as exc:
            raise TimeoutError("DNS: no answer in time") from exc

    def _asked(self, host: str) -> Future[list[str]]:
        if self._pid != os.getpid():  # a fork does not copy the threads
            self._lock, self._waited_for, self._pid = threading.Lock(), {}, os.getpid()
        with self._lock:
            if host not in self._waited_for:
                future: Future[list[str]] = Future()
                threading.Thread(target=self._run, args=(host, future), name="authsvc-names", daemon=True).start()
                self._waited_for[host] = future
            return self._waited_for[host]

    def _run(self, host: str, future: Future[list[str]]) -> None:
        try:
            found: list[str] | OSError = self._look_up(host)
        except (OSError, UnicodeError) as exc:  # the codec of host names rejects a label that is too long
            found = exc if isinstance(exc, OSError) else OSError(str(exc))
        with self._lock:
            self._waited_for.pop(host, None)
        if isinstance(found, OSError):
            future.set_exception(found)
        else:
            future.set_result(found)
