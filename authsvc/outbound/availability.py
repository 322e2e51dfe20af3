"""
The availability of another service: one log line for each change, with the cause.

A cause contains no secret. Imports only `errors`.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable

from authsvc.errors import StoreUnavailable, Unavailable

MAX_CAUSE = 200  # characters

_log = logging.getLogger(__name__)


class Availability:
    """
    The outcome of the last calls. `look` logs the availability when it differs from what was logged last.

    Args:
        name: of the service, such as "the store".
        setting: the environment variable with its address.
        settled_s: seconds without a failure after which it counts as available again.
    """

    def __init__(
        self, name: str, setting: str, *, settled_s: float = 0.0, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._setting = setting
        self._settled_s = settled_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._cause: str | None = None
        self._failed_s = 0.0
        self._is_logged_unavailable = False

    def failed(self, failure: BaseException) -> None:
        """Note a failed call. The first failure since a success is the cause: the others may follow from it."""
        self._failed_s = self._monotonic_s()
        if self._cause is None:
            self._cause = cause(failure)

    def succeeded(self) -> None:
        """Note a successful call."""
        self._cause = None

    def look(self) -> None:
        """Log the state if it has changed."""
        with self._lock:
            why = self._cause
            if (why is not None) == self._is_logged_unavailable:
                return
            if why is not None:
                _log.error("%s is unavailable: %s; see %s", self._name, why, self._setting)
            elif self._monotonic_s() - self._failed_s < self._settled_s:
                return
            else:
                _log.warning("%s is available again", self._name)
            self._is_logged_unavailable = why is not None


def cause(failure: BaseException) -> str:
    """Return the cause of a failure in a few words: DNS, a refused connection, TLS, a time-out, a password."""
    if isinstance(failure, StoreUnavailable) and failure.remedy is not None:
        return failure.remedy
    within = _within(failure)
    while within is not None:
        failure, within = within, _within(within)
    # A server without AUTH repeats its arguments in the error, among them the password.
    text = " ".join(_text(failure).partition(", with args")[0].split())
    return text[:MAX_CAUSE] or type(failure).__name__


def _within(failure: BaseException) -> BaseException | None:
    """Return the failure that this one wraps, if any."""
    for argument in failure.args:
        if isinstance(argument, BaseException):
            return argument
    if isinstance(failure, OSError):
        return None
    context = failure.__context__
    # Any other context belongs to an earlier failure, such as that of a first try.
    return failure.__cause__ or (context if isinstance(context, OSError) else None)


def _text(failure: BaseException) -> str:
    match failure:
        case Unavailable():
            return str(failure.what)
        case socket.gaierror():
            return f"DNS: {failure.strerror}"
        case ssl.SSLError():
            return f"TLS: {failure.strerror or failure}"
        case ConnectionRefusedError():
            return "connection refused"
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{reason}: {name}"
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return str(failure)
