"""The clock that is stopped, and a login service that publishes its keys."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from freezegun import freeze_time

from tests.auth.logins import NOW_S, at
from tests.support.login_service import LoginService


@pytest.fixture(scope="module")
def stopped_clock() -> Iterator[None]:
    """Stop the clock that PyJWT and itsdangerous read."""
    with at(NOW_S):
        yield


@pytest.fixture(scope="module")
def stopped_jwt_clock() -> Iterator[None]:
    """Stop the clock that PyJWT reads, and not the one by which the keys' URL is waited for."""
    with freeze_time(datetime.fromtimestamp(NOW_S, UTC), ignore=["authsvc.outbound.http_client"]):
        yield


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoginService]:
    """A login service that publishes its keys."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoginService() as service:
        yield service
