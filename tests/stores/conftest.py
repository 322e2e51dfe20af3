"""
The fixtures of the store tests. `store` and `store_url` run a test once over each store.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from authsvc import clock
from authsvc.store import Store
from authsvc.stores import open_store
from tests.services import RedisServer

Open = Callable[..., Store]


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store of each kind is."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/folder/store.db"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens stores, each as a worker of its own would, and closes them at the end."""
    with ExitStack() as stack:

        def opened(url: str, now_ms: Callable[[], int] = clock.now_ms) -> Store:
            return stack.enter_context(closing(open_store(url, now_ms=now_ms)))

        yield opened


@pytest.fixture
def store(opened: Open, store_url: str) -> Store:
    """An empty store."""
    return opened(store_url)
