"""
`connect` in a real Chromium, on an SDK with the socket of each of the vendor's versions: breaks, kicks, and two tabs.

The SDK is our stand-in, which can have the habits of each version, and the vendor's own files where `JMESSAGE_SDK`
names some.
"""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, Page
from werkzeug.serving import make_server

from authsvc.app import create_app
from authsvc.ratelimit.rate import Rate
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from tests.browser.conftest import VENDOR_SDKS
from tests.browser.gateway import KICKED, Gateway, gateway
from tests.conftest import Clock, bearer_of
from tests.support.running import wait_until

STATIC = Path(__file__).parents[2] / "authsvc" / "static"
VERSIONS = ("2.5.0", "2.6.0", "mini-program")
SDKS = [*VERSIONS, *VENDOR_SDKS]
HTML = "<!doctype html><title>page</title><script src='/sdk.js'></script>"
MESSAGE = {
    "msg_id": 1000000001,
    "msg_type": 3,
    "from_uid": 2,
    "from_gid": 0,
    "ctime_ms": 1795456800000,
    "msg_level": 0,
    "content": {
        "from_id": "anna",
        "from_appkey": "k",
        "target_id": "ming",
        "target_appkey": "k",
        "msg_type": "text",
        "msg_body": {"text": "hi"},
    },
}
# What a page does. `chance` stands in the place of Math.random: without pauses between its tries, or with long ones.
CONNECT = """async ({ service, token, options, register, chance }) => {
  const { createClient } = await import("/client.js");
  window.heard = {};
  window.states = [];
  window.hear = (name) => () => { window.heard[name] = (window.heard[name] || 0) + 1; };
  window.JIM = new window.JMessage(options);
  if (register) JIM.onMsgReceive(hear("before"));
  const client = createClient({ baseUrl: service, token, random: () => chance });
  const onState = ({ name, error }) => states.push({ name, reason: error && error.reason });
  const login = { username: "ming", password: "f".repeat(32), is_md5: true };
  window.connection = await client.connect(JIM, { login, onState });
}"""


def name_of(sdk: str) -> str:
    return sdk if sdk in VERSIONS else Path(sdk).name


@pytest.fixture(params=SDKS, ids=name_of)
def sdk(request: pytest.FixtureRequest) -> str:
    """A version for our stand-in, or the path of a file of the vendor's."""
    return str(request.param)


@pytest.fixture
def vendor(context: BrowserContext, sdk: str) -> Iterator[Gateway]:
    """The gateway, and the page with that SDK."""
    script = (STATIC / "sdk.js" if sdk in VERSIONS else Path(sdk)).read_text()
    javascript = "text/javascript"
    files = {
        "/": (HTML, "text/html"),
        "/sdk.js": (script, javascript),
        "/client.js": ((STATIC / "client.js").read_text(), javascript),
    }
    with gateway(files) as running:
        yield running
        for page in context.pages:
            page.close()


@pytest.fixture
def service(settings: Settings, store: Store, clock: Clock, vendor: Gateway) -> Iterator[str]:
    """The service, which pages of the gateway's origin may ask."""
    used = {"allowed_origins": frozenset({vendor.url}), "rate_limit": Rate(1000, 60_000)}
    app: Flask = create_app(settings.model_copy(update=used), store=store, now_ms=clock)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["authsvc"].stop()


class Chat:
    """A page that is connected."""

    def __init__(
        self, page: Page, vendor: Gateway, service: str, sdk: str, *, register: bool = False, chance: float = 0
    ) -> None:
        self.page = page
        page.goto(vendor.url)
        options = {"address": vendor.url.replace("http", "ws")} | ({"version": sdk} if sdk in VERSIONS else {})
        token = bearer_of("ming")["Authorization"].removeprefix("Bearer ")
        told = {"service": service, "token": token, "options": options, "register": register, "chance": chance}
        page.evaluate(CONNECT, told)

    def states(self) -> list[dict[str, str]]:
        states: list[dict[str, str]] = self.page.evaluate("states")
        return states

    def wait_for(self, state: str) -> None:
        self.page.wait_for_function(f"connection.state === {json.dumps(state)}")


def test_each_handler_runs_once(page: Page, vendor: Gateway, service: str, sdk: str) -> None:
    """A message is heard once by each handler, registered before or after, on the SDK or its socket, over breaks."""
    chat = Chat(page, vendor, service, sdk, register=True)
    page.evaluate("JIM.onEventNotification(hear('after'))")
    page.evaluate("JIM.channel.client.on('msg_sync', hear('socket'))")
    keeps_its_socket = page.evaluate("window.socket = JIM.channel.client; true")
    for times in range(1, 5):
        vendor.push("msg_sync", {"messages": [MESSAGE]})
        vendor.push("event_notification", {"event_id": 1, "event_type": 9, "to_usernames": []})
        page.wait_for_function("times => heard.after >= times", arg=times)
        keeps_its_socket = keeps_its_socket and page.evaluate("socket === JIM.channel.client")
        heard = {"before": times, "after": times} | ({"socket": times} if keeps_its_socket else {"socket": 1})
        assert page.evaluate("heard") == heard
        if times < 4:
            vendor.drop()
            wait_until(lambda: vendor.online() == 1)
            chat.wait_for("ready")
    assert keeps_its_socket is ("2.5.0" in sdk)


@pytest.mark.parametrize("closes", [False, True], ids=["left-open", "closed"])
@pytest.mark.parametrize("sdk", ["2.6.0", *VENDOR_SDKS], indirect=True, ids=name_of)
def test_two_tabs_of_one_user_never_fight(
    page: Page, context: BrowserContext, vendor: Gateway, service: str, sdk: str, *, closes: bool
) -> None:
    """The second login kicks the first, which stops, says why, and leaves the second alone; nobody has a handler."""
    vendor.closes_whom_it_kicks = closes
    first = Chat(page, vendor, service, sdk)
    second = Chat(context.new_page(), vendor, service, sdk)
    first.wait_for("stopped")
    assert first.states()[-1] == {"name": "stopped", "reason": "logged-in-elsewhere"}
    vendor.drop()
    wait_until(lambda: vendor.online() == 1)
    second.wait_for("ready")
    assert vendor.logins == ["ming"] * 3
    assert first.page.evaluate("connection.state") == "stopped"
    wait_until(lambda: vendor.connections() == 2)  # one for each SDK, and no leak by its logging out


def test_a_changed_password_is_the_end(page: Page, vendor: Gateway, service: str, sdk: str) -> None:
    """Event type 2 stops it as a kick does, and reaches the page's own handler too."""
    chat = Chat(page, vendor, service, sdk)
    page.evaluate("JIM.onEventNotification(() => setTimeout(hear('told')))")
    vendor.push("event_notification", KICKED | {"event_type": 2})
    chat.wait_for("stopped")
    assert chat.states()[-1] == {"name": "stopped", "reason": "password-changed"}
    page.wait_for_function("heard.told")
    assert page.evaluate("heard") == {"told": 1}


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk != "2.5.0"], indirect=True, ids=name_of)
def test_one_connection_is_left_after_many_drops(page: Page, vendor: Gateway, service: str, sdk: str) -> None:
    """Whatever the SDK does with its sockets, 25 drops at random moments leave one, which is logged in."""
    page.clock.install()
    chat = Chat(page, vendor, service, sdk, chance=0.9)
    draw = random.Random(7)

    def pass_s(seconds: float) -> None:
        page.clock.run_for(int(1000 * seconds))
        page.wait_for_timeout(15)  # for the sockets, whose time is nobody's to move

    for _ in range(25):
        vendor.drop()
        for _ in range(draw.choice([1, 2, 4])):
            pass_s(0.7)

    def is_back() -> bool:
        waits_for_time = page.evaluate("['connecting', 'disconnected', 'retrying'].includes(connection.state)")
        # An answer that it waits for has seconds by its clock, and one that is lost with its socket is given up by it.
        pass_s(0.5 if waits_for_time else 0.1)
        return vendor.online() == 1 and bool(page.evaluate("connection.state === 'ready'"))

    wait_until(is_back)
    for _ in range(5):  # in which a socket that was left behind would be back
        pass_s(2)
    assert vendor.connections() == 1
    assert chat.states()[-1]["name"] == "ready"
