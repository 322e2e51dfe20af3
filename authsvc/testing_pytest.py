"""
`authsvc.testing` as pytest fixtures. Name it in the conftest.py at the top of the tests:

    pytest_plugins = ["authsvc.testing_pytest"]
"""

from collections.abc import Iterator
from typing import Any

import pytest

from authsvc.testing import Running, running


@pytest.fixture(scope="session")
def authsvc_settings() -> dict[str, Any]:
    """Settings of the service, for a conftest.py to override: by name, with values as `Settings` has them."""
    return {}


@pytest.fixture
def authsvc(authsvc_settings: dict[str, Any]) -> Iterator[Running]:
    """
    A sandbox and a service of the test's own.

    They start in hundredths of a second. With one pair for all tests, what the service knows of accounts would outlive
    the accounts.
    """
    with running(**authsvc_settings) as both:
        yield both
