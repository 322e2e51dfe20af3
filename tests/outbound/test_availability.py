"""Whether something answers, as the log has it, and why not."""

import socket
import ssl
from urllib.error import URLError

import pytest

from authsvc.errors import StoreUnavailable, VendorBusy
from authsvc.outbound.availability import MAX_CAUSE, Availability, cause


class Clock:
    """A monotonic clock that stands still until a test moves it."""

    s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the first cause: what follows from it is none."""
    availability = Availability("the store", "AUTHSVC_STORE_URL")
    availability.look()
    for _ in range(2):
        availability.succeeded()
        availability.look()
        assert caplog.messages == []
        for reason in ("the first", "what follows", "what follows"):
            availability.failed(OSError(reason))
            availability.look()
        assert caplog.messages == ["the store is unavailable: the first; see AUTHSVC_STORE_URL"]
        availability.succeeded()
        availability.look()
        availability.look()
        assert caplog.messages[1:] == ["the store is available again"]
        caplog.clear()


def test_what_is_over_before_anybody_looks_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A call in a thousand that fails is no change."""
    availability = Availability("the store", "AUTHSVC_STORE_URL")
    availability.failed(OSError("a moment"))
    availability.succeeded()
    availability.look()
    assert caplog.messages == []


def test_back_once_it_has_settled(caplog: pytest.LogCaptureFixture) -> None:
    """Where every other call fails it does not come and go in the log."""
    clock = Clock()
    availability = Availability("the store", "AUTHSVC_STORE_URL", settled_s=2.0, monotonic_s=clock)
    for _ in range(5):
        availability.failed(OSError("again"))
        availability.look()
        clock.s += 1.9
        availability.succeeded()
        availability.look()
    assert len(caplog.messages) == 1
    clock.s += 0.1
    availability.look()
    assert caplog.messages[1:] == ["the store is available again"]


def away(failure: Exception, *, by: Exception | None = None, during: Exception | None = None) -> StoreUnavailable:
    """Return a StoreUnavailable as raised from this failure, which was raised from another or during another."""
    failure.__cause__, failure.__context__ = by, during
    found = StoreUnavailable()
    found.__cause__ = failure
    return found


REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (away(REFUSED), "connection refused"),
        (away(Exception("Error 111"), during=REFUSED), "connection refused"),
        (away(Exception("Error 111"), by=REFUSED), "connection refused"),
        (away(Exception("wrong password"), during=Exception("the first try")), "wrong password"),
        (URLError(REFUSED), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "DNS: Name or service not known"),
        (TimeoutError("timed out"), "timed out"),
        (PermissionError(13, "Permission denied", "/x/store.db"), "Permission denied: /x/store.db"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "TLS: [SSL: WRONG_VERSION"),
        (VendorBusy("the vendor has trouble"), "the vendor has trouble"),
        (ValueError(), "ValueError"),
        (ValueError("on\ntwo  lines"), "on two lines"),
    ],
)
def test_causes(failure: BaseException, words: str) -> None:
    """What failed first in one try, in the words of an operator."""
    assert cause(failure).startswith(words)


def test_a_cause_is_short() -> None:
    """Whatever a server sends."""
    assert len(cause(ValueError("x" * 10_000))) == MAX_CAUSE
