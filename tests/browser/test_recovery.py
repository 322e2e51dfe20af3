"""What comes right by itself in a real browser: an account and a picture that the vendor lost, and a page put aside."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from authsvc.sandbox.files import PICTURE_ID
from tests.browser.conftest import ARGUMENTS
from tests.browser.gateway import gateway
from tests.browser.sandboxes import SandboxProcess
from tests.browser.test_connect import STATIC
from tests.conftest import bearer_of
from tests.support import made_up, needed
from tests.support.running import Service

# What a page does: it connects with the account of the service, shows a picture, and lets go.
VISIT = """async ({ token, address, mediaId }) => {
  const { createClient } = await import("/client.js");
  const client = createClient({ token, random: () => 0 });
  const JIM = new window.JMessage({ address });
  const connection = await client.connect(JIM, { login: true });
  const img = document.body.appendChild(document.createElement("img"));
  const isShown = await client.showImage(img, mediaId);
  const outcome = [JIM.isLogin(), isShown, img.naturalWidth > 0];
  connection.stop();
  JIM.channel.client.close();
  return outcome;
}"""
# A page that is connected, by an SDK that has no WebSocket: that would keep the page out of the cache by itself.
PAGE = """<!doctype html><title>page</title><script type="module">
  import { connect } from "/client.js";
  const yes = () => {
    const chain = { onSuccess: (then) => (setTimeout(then), chain), onFail: () => chain, onTimeout: () => chain };
    return chain;
  };
  const JIM = { init: yes, login: yes, isConnect: () => true, onDisconnect() {} };
  const connection = await connect(JIM);
  addEventListener("pageshow", (event) => fetch(`/elsewhere?persisted=${event.persisted}&state=${connection.state}`));
  document.title = connection.state;
</script>"""


def test_the_sandbox_restarts_between_two_connects(page: Page, service: Service, sandbox: SandboxProcess) -> None:
    """It has forgotten the account, and signs its URLs by another key: the page logs in and shows the picture again."""
    service.variables |= {
        "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.ACCOUNT_KEY)),
        "AUTHSVC_VENDOR_URL": sandbox.url,
        "AUTHSVC_MEDIA_HOSTS": "127.0.0.1",
    }
    sandbox.start()
    service.start("--workers", "1")
    token = bearer_of("ming")["Authorization"].removeprefix("Bearer ")
    told = {"token": token, "address": sandbox.url.replace("http", "ws"), "mediaId": PICTURE_ID}
    asked: list[object] = []

    def note(request: Request) -> None:
        if "/v1/" in request.url:
            asked.append(json.loads(request.post_data or "null"))

    page.on("request", note)
    site = f"http://127.0.0.1:{service.port}/problems/expired"
    assert visit(page, site, told) == [True, True, True]
    assert asked == [None, {"media_ids": [PICTURE_ID]}]
    asked.clear()
    sandbox.stop()
    sandbox.start()
    assert visit(page, site, told) == [True, True, True]
    stale = {"media_ids": [PICTURE_ID]}
    assert asked == [None, {"renew_login": True}, stale, stale | {"fresh": True}]


def visit(page: Page, site: str, told: dict[str, str]) -> object:
    """Open the page anew, or it would have the picture still, and return what came of it."""
    page.goto(site)
    page.add_script_tag(content=(STATIC / "sdk.js").read_text())
    return page.evaluate(VISIT, told)


@pytest.fixture
def caching_browser(browser: Browser) -> Iterator[Browser]:
    """A Chromium that keeps pages for the way back, which it does not do for tests by itself."""
    binary = needed.program("chromium")
    ignored = ["--disable-back-forward-cache"]
    with browser.browser_type.launch(executable_path=binary, args=ARGUMENTS, ignore_default_args=ignored) as caching:
        yield caching


def test_a_page_that_was_put_aside_comes_back_as_it_was(caching_browser: Browser) -> None:
    """A page in the back/forward cache has no open channel, or what another tab says there would end it."""
    javascript = "text/javascript"
    payload = json.dumps({"appkey": "k", "random_str": "r" * 32, "signature": "0" * 32, "timestamp": "1795456800000"})
    files = {
        "/": (PAGE, "text/html"),
        "/elsewhere": ("<!doctype html><title>elsewhere</title>", "text/html"),
        "/client.js": ((STATIC / "client.js").read_text(), javascript),
    }
    with gateway(files) as running, caching_browser.new_context() as context:
        context.route("**/v1/auth-payload", lambda route: route.fulfill(body=payload, content_type="application/json"))
        page = context.new_page()
        page.goto(running.url)
        expect(page).to_have_title("ready")
        page.goto(f"{running.url}/elsewhere")
        page.evaluate("new BroadcastChannel('authsvc ').postMessage({ waitMs: 1 })")
        with page.expect_request("**/elsewhere?*") as told:
            page.go_back(wait_until="commit")  # there is no load event where the page has been kept
        assert told.value.url.endswith("?persisted=true&state=ready")
        page.close()
