"""The clock that is stopped."""

from collections.abc import Iterator

import pytest

from tests.auth.logins import NOW_S, at


@pytest.fixture(scope="module")
def stopped_clock() -> Iterator[None]:
    """Stop the clock that PyJWT and itsdangerous read."""
    with at(NOW_S):
        yield
