"""
One sandbox for all tests of a module, emptied before each of them, with four made-up users, and the pages they open.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from authsvc import clock
from authsvc.app import create_app
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores import open_store
from tests.sandbox.conftest import Sandbox, listening
from tests.sandbox.pages import PASSWORD, Page
from tests.support import made_up

NAMES = ("ming", "omar", "anna", "jose")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox and the service that verifies for it."""
    settings = Settings(
        appkey=made_up.APPKEY,
        master_secret=Secret(made_up.MASTER_SECRET),
        gateway_secret=(Secret(made_up.GATEWAY_SECRET),),
        verifier_keys=(Secret(made_up.VERIFIER_KEY),),
        vendor_url="http://127.0.0.1:9",
    )
    store = open_store(f"sqlite://{tmp_path_factory.mktemp('stage')}/store.db", now_ms=lambda: clock.now_ms() - 60_000)
    store.ping()
    app = create_app(settings, store=store)
    with listening(app) as service:
        sandbox = Sandbox(service, clock.now_ms)
        yield sandbox
        sandbox.close()
    app.extensions["authsvc"].stop()
    store.close()


@pytest.fixture
def sandbox(stage: Sandbox) -> Sandbox:
    """The sandbox with nothing in it but four users."""
    stage.behave(reset=True, ids=1_000_000_000)
    stage.behave(seed={"users": [{"username": name, "password": PASSWORD} for name in NAMES]})
    return stage


@pytest.fixture
def page(sandbox: Sandbox) -> Iterator[Callable[..., Page]]:
    """Opens a page of a user."""
    pages: list[Page] = []

    def opened(username: str, **options: object) -> Page:
        pages.append(Page(sandbox, username, **options))  # type: ignore[arg-type] # of Page
        return pages[-1]

    yield opened
    for one in pages:
        with suppress(ConnectionError):
            one.close()


@pytest.fixture
def ming(page: Callable[..., Page]) -> Page:
    """A page on which ming is logged in."""
    return page("ming")


@pytest.fixture
def omar(page: Callable[..., Page]) -> Page:
    """A page on which omar is logged in."""
    return page("omar")


@pytest.fixture
def anna(page: Callable[..., Page]) -> Page:
    """A page on which anna is logged in."""
    return page("anna")
