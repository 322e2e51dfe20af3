"""
A real Chromium for the tests here, and its pages.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.sandboxes import SandboxProcess
from tests.conftest import Seen
from tests.support import needed
from tests.support.running import Service

# The vendor's SDK files, where there are some: paths, with a colon between two.
VENDOR_SDKS = list(filter(None, os.environ.get("JMESSAGE_SDK", "").split(os.pathsep)))

# As root there is no sandbox to be had; the rest keeps a browser that nobody sits at from calling its maker.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

WAIT_MS = 60_000  # on a machine that stands still for seconds; what comes at once takes no longer for it
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here. It is gone before the next folder's tests: while it is, asyncio.run refuses."""
    binary = needed.program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS, timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has seen nothing yet, in English. Fails the test for any error that a page of it has."""
    errors: list[str] = []
    with browser.new_context(locale="en-US") as context:
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.set_default_timeout(WAIT_MS)
        yield context
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # a request may have come last that no test waits for
    assert errors == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of that browser."""
    return context.new_page()


@pytest.fixture
def sandbox(tmp_path: Path, service: Service, seen: Seen) -> Iterator[SandboxProcess]:
    """The vendor's stand-in beside the service. Not started yet."""
    sandbox = SandboxProcess(tmp_path, service=f"http://127.0.0.1:{service.port}")
    yield sandbox
    sandbox.stop()
    seen.texts.append(sandbox.log())
