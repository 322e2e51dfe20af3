"""
What the page about testing shows, as it stands there: in pytest with a browser, and in Node's test runner.

The Chinese page has the same code; tests/project/test_readme.py compares them.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.browser.conftest import ARGUMENTS
from tests.support import needed
from tests.support.docs import ENGLISH, ROOT
from tests.support.http_server import OneByOneServer
from tests.support.node import node
from tests.support.running import clean_environment

STATIC = ROOT / "authsvc" / "static"
TIMEOUT_S = 100

# An app of somebody's: it shows what arrives and how it is connected, and writes to omar.
PAGE = """<!doctype html>
<title>Chat</title>
<ul></ul>
<form><label>Message to omar <input></label><button>Send</button></form>
<p id="state"></p><p id="sent"></p>
<script src="sdk.js"></script>
<script type="module">
  import { createClient } from "./client.js";
  const query = new URLSearchParams(location.search);
  const client = createClient({ baseUrl: query.get("service"), token: query.get("token") });
  const { sdk } = await client.bootstrap();
  const JIM = new JMessage(sdk.options);
  const show = (id, text) => { document.querySelector(id).textContent = text; };
  const listed = (message) => {
    document.querySelector("ul").append(Object.assign(document.createElement("li"), {
      textContent: message.content.msg_body.text,
    }));
  };
  JIM.onMsgReceive(({ messages }) => messages.forEach(listed));
  JIM.onSyncConversation((conversations) => conversations.forEach(({ msgs }) => msgs.forEach(listed)));
  document.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    JIM.sendSingleMsg({ target_username: "omar", content: document.querySelector("input").value })
      .onSuccess(() => show("#sent", "sent"));
  });
  const onState = ({ name, error }) => show("#state", error?.reason ?? name);
  await client.connect(JIM, { login: true, onState });
</script>
"""

# What pytest-playwright would give the test.
CONFTEST = """
import pytest
from playwright.sync_api import sync_playwright

@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path={chromium!r}, args={arguments!r})
        yield browser.new_page()
        browser.close()
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[str]:
    """The app's page on a loopback port."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    for name in ("sdk.js", "client.js"):
        (folder / name).write_bytes((STATIC / name).read_bytes())
    server = OneByOneServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run it in this folder, and return what it says; it fails the test unless it ends well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment() | {"PATH": needed.PATH} | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_with_playwright(tmp_path: Path, app: str) -> None:
    """Two users are planted, one writes and is kicked, and what was sent is seen."""
    chromium = needed.program("chromium")
    (tmp_path / "conftest.py").write_text(CONFTEST.format(chromium=chromium, arguments=ARGUMENTS))
    (block,) = ENGLISH.page("testing").find("python")
    (tmp_path / "test_page.py").write_text(f"APP = {app!r}\n{block.text}")
    told = run([sys.executable, "-m", "pytest", "-q", "--durations=3", "-p", "no:cacheprovider"], tmp_path)
    assert "1 passed" in told


def test_with_node(tmp_path: Path) -> None:
    """The file is found as the page says, and its test passes."""
    binary, page = node(), ENGLISH.page("testing")
    (copied,), (written,) = page.find("sh"), page.find("js")
    run(["bash", "-ec", copied.text.replace("python3", sys.executable)], tmp_path)
    (tmp_path / "page.test.mjs").write_text(written.text)
    told = run([binary, "--test", "--test-reporter=tap", "page.test.mjs"], tmp_path, PYTHON=sys.executable)
    assert "# pass 1\n" in told
