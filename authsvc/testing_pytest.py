"""
`authsvc.testing` as pytest fixtures. Name it in the conftest.py at the top of the tests:

    pytest_plugins = ["authsvc.testing_pytest"]
"""

from collections.abc import Iterator

import pytest

from authsvc.testing import Running, running


@pytest.fixture(scope="session")
def authsvc_running() -> Iterator[Running]:
    """A sandbox and a service for all tests, started once."""
    with running() as both:
        yield both


@pytest.fixture
def authsvc(authsvc_running: Running) -> Running:
    """The same, with an empty sandbox."""
    authsvc_running.change(reset=True)
    return authsvc_running
