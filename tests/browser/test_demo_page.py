"""The demo page, as a newcomer uses it: `authsvc demo` as a real process, the page in a real browser."""

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from tests.browser.conftest import VENDOR_SDKS
from tests.conftest import Seen
from tests.support.demo_process import Demo
from tests.support.running import free_port

STEPS = ("login", "issue", "connect", "picture", "replay", "forgery", "expired")
REFUSED = {"replay": "889001", "forgery": "880102", "expired": "880106"}
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SDKS = [None, *VENDOR_SDKS]  # our stand-in, and the vendor's files where some are given
BACK_MS = 30_000  # the SDK waits up to 7.5 s between its tries, client.js draws its own on top


@pytest.fixture(scope="module", params=SDKS, ids=lambda sdk: Path(sdk).name if sdk else "stand-in")
def arguments(request: pytest.FixtureRequest) -> list[str]:
    """Which SDK the demo is to use."""
    return ["--sdk", request.param] if request.param else []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> Iterator[Demo]:
    """The demo, running."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.start(*arguments, bind=f"127.0.0.1:{free_port()}")
    yield demo
    assert demo.stop() == 0, demo.log()


def result(page: Page, step: str) -> str:
    return page.locator(f"#step-{step} .result").inner_text()


def do(page: Page, step: str) -> str:
    """Click a step's button, wait until it says what came of it, and return that."""
    page.click(f"#{step}")
    expect(page.locator(f"#step-{step}")).to_have_attribute("data-outcome", re.compile("good|bad"))
    return result(page, step)


def states(page: Page) -> list[str]:
    """Return the steps of connecting, each as the page shows it, without its time."""
    return page.locator("#states .state span[lang=en]").all_inner_texts()


def wait_connected(page: Page, times: int) -> None:
    expect(page.locator("#states .state.good")).to_have_count(times, timeout=BACK_MS)
    expect(page.locator("#drop")).to_be_enabled()


def connect(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    do(page, "login")
    page.click("#connect")
    wait_connected(page, 1)


def payloads(page: Page) -> list[str]:
    """Return the random_str of each c_init that has been sent, the newest first."""
    sent = [text for text in page.locator("#log .event code").all_inner_texts() if '"fromPlatForm"' in text]
    return [found[1] for text in sent if "c_init" in text and (found := re.search(r'"random_str":"(\w+)"', text))]


def drop_all(demo: Demo) -> None:
    """Have the gateway drop every connection; its port is the next to the demo's."""
    port = int(demo.url.rstrip("/").rpartition(":")[2]) + 1
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/sandbox", body='{"drop": true}', headers={"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


class _Page(BaseHTTPRequestHandler):
    """A page of somebody else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def foreign_page() -> Iterator[str]:
    """Serve a page at another port, which is another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_from_login_to_the_attacks(page: Page, demo: Demo, seen: Seen) -> None:
    """A newcomer is refused, logs in, sees a payload count down, connects, sees a picture; each attack is refused."""
    page.goto(demo.url)
    expect(page.locator("#step-login .result")).to_have_text("Not logged in", use_inner_text=True)
    assert do(page, "issue").startswith("401 Not logged in")
    assert do(page, "connect").startswith("882004 Not logged in")
    assert do(page, "login") == "200 Logged in: 小明 Ming"
    page.click("#issue")
    expect(page.locator("#step-issue .badge")).to_have_text("200")
    names, values = page.locator("#fields dt").all_inner_texts(), page.locator("#fields dd").all_inner_texts()
    assert names == ["appkey", "random_str", "signature", "timestamp"]
    assert all(values)
    expect(page.locator("#left")).to_have_text(re.compile(r"9:5\d|10:00"))
    page.click("#connect")
    wait_connected(page, 1)
    steps = "Waiting for the SDK’s socket", "Asking authsvc", "JIM.init", "JIM.login", "Connected"
    for said, step in zip(states(page), steps, strict=True):
        assert said.startswith(step)
    assert do(page, "picture").startswith("0 ")
    assert page.locator("#shown").evaluate("img => img.naturalWidth") > 0
    for step, code in REFUSED.items():
        do(page, step)
        expect(page.locator(f"#step-{step} .badge").last).to_have_text(code)
    assert page.locator("#step-replay .badge").first.inner_text() == "0"
    log = page.locator("#log").inner_text()
    assert "signatu is expire" in log
    assert "POST /v1/bootstrap" in log
    seen.texts.append(page.content())


def test_a_late_session_does_not_undo_a_login(page: Page, demo: Demo) -> None:
    """Who clicks before the page knows who is logged in stays logged in when it hears of it."""
    held: list[Route] = []
    page.route("**/demo/session", lambda route: held.append(route))
    page.goto(demo.url)
    assert do(page, "login") == "200 Logged in: 小明 Ming"
    held[0].fulfill(json={"user": None})
    assert do(page, "issue").startswith("200")  # a request later
    assert result(page, "login") == "200 Logged in: 小明 Ming"


def test_a_late_payload_does_not_replace_a_newer_one(page: Page, demo: Demo) -> None:
    """The payload that was asked for last stays, whichever answer comes last."""
    page.goto(demo.url)
    do(page, "login")
    held: list[Route] = []
    page.route("**/v1/auth-payload", lambda route: held.append(route), times=1)
    page.click("#issue")
    do(page, "issue")
    shown = page.locator("#fields").inner_text()
    held[0].continue_()
    expect(page.locator("#log summary", has_text="/v1/auth-payload")).to_have_count(2)
    do(page, "expired")  # requests later
    assert page.locator("#fields").inner_text() == shown


def test_no_such_picture(page: Page, demo: Demo) -> None:
    """An unknown media_id is refused with the vendor's code."""
    page.goto(demo.url)
    do(page, "login")
    page.fill("#media-id", "qiniu/image/r/FFFF")
    assert do(page, "picture").startswith("880005")
    expect(page.locator("#shown")).to_be_hidden()


def test_help_of_a_refusal(page: Page, demo: Demo) -> None:
    """A refusal's link leads to its help page."""
    page.goto(demo.url)
    do(page, "issue")
    with page.expect_popup() as opened:
        page.click("#step-issue .result a")
    expect(opened.value.locator("h1")).to_have_text("Not logged in")


def test_countdown_ends(browser: Browser, demo: Demo) -> None:
    """After ten minutes by the page's own clock the payload shows as expired, and a fresh one may be had."""
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.clock.install()
        page.goto(demo.url)
        do(page, "login")
        do(page, "issue")
        page.clock.run_for(590_000)
        expect(page.locator("#left")).not_to_have_text("expired", use_inner_text=True)
        page.clock.run_for(10_000)
        expect(page.locator("#left")).to_have_text("expired", use_inner_text=True)
        do(page, "issue")
        expect(page.locator("#left")).to_have_text(re.compile(r"10:00|9:5\d"), use_inner_text=True)


def test_dropped(page: Page, demo: Demo) -> None:
    """A dropped connection comes back by itself, with another payload."""
    connect(page, demo)
    page.click("#drop")
    wait_connected(page, 2)
    assert "The connection broke" in states(page)
    assert len(set(payloads(page))) == 2


def test_the_server_restarts(page: Page, demo: Demo, arguments: list[str]) -> None:
    """With every secret another, an open page logs in anew and connects again."""
    connect(page, demo)
    before = page.locator("#log").inner_text()
    demo.restart(*arguments)
    expect(page.locator("#states .state.good")).to_have_count(1, timeout=BACK_MS)
    expect(page.locator("#log")).not_to_have_text(before)
    expect(page.locator("#log summary", has_text="/demo/login")).to_have_count(2, timeout=BACK_MS)
    wait_connected(page, 1)


def test_offline(page: Page, demo: Demo) -> None:
    """A page that loses the network asks on until it has it back, then connects with a fresh payload."""
    connect(page, demo)
    page.context.set_offline(True)
    drop_all(demo)
    expect(page.locator("#states .state", has_text="Waiting for the SDK’s socket")).to_have_count(2, timeout=BACK_MS)
    page.context.set_offline(False)
    wait_connected(page, 2)
    assert len(set(payloads(page))) == 2


def test_asleep(browser: Browser, demo: Demo) -> None:
    """A laptop that slept for 20 minutes asks for one fresh payload, in no burst, and stands again."""
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.clock.install()
        connect(page, demo)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.fast_forward("20:00")
        page.click("#drop")
        wait_connected(page, 2)
        assert sum("/v1/" in url for url in asked) == 1


def test_two_tabs(page: Page, demo: Demo) -> None:
    """The second tab of a user kicks the first, as at the vendor: the first says so, the other goes on."""
    connect(page, demo)
    other = page.context.new_page()
    connect(other, demo)
    expect(page.locator("#states .state").last).to_contain_text("Ended")
    other.click("#drop")
    wait_connected(other, 2)
    assert states(page)[-1].startswith("Ended")
    assert set(payloads(page)).isdisjoint(payloads(other))


def test_a_foreign_page_gets_nothing(browser: Browser, demo: Demo) -> None:
    """A page of an origin that is not allowed cannot read a payload, even in the browser of a user who is logged in."""
    with foreign_page() as url, browser.new_context() as context:
        page = context.new_page()
        page.goto(demo.url)
        do(page, "login")
        page.goto(url)
        script = "url => fetch(url, {method: 'POST', credentials: 'include'}).then((r) => r.text(), (e) => e.name)"
        for path in ("v1/auth-payload", "v1/bootstrap", "demo/expired"):
            assert page.evaluate(script, demo.url + path) == "TypeError"


def test_no_inline_script(browser: Browser, demo: Demo) -> None:
    """The whole page works under its policy without a single report, by another name of this machine too."""
    reports: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            reports.append(message.text)

    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.on("console", note)
        page.goto(demo.url.replace("127.0.0.1", "localhost"))
        for step in STEPS:
            do(page, step)
        wait_connected(page, 1)
        assert page.locator("script:not([src])").count() == 0
        assert reports == []
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
        assert page.evaluate("window.ran") is None
        assert reports


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
def test_looks(browser: Browser, demo: Demo, lang: str) -> None:
    """In both languages and schemes and down to a small phone nothing runs out of the page, and text has contrast."""
    with browser.new_context(locale=lang) as context:
        page = context.new_page()
        page.goto(demo.url)
        for step in STEPS:
            do(page, step)
        wait_connected(page, 1)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert page.evaluate("document.documentElement.lang") == ("en" if lang == "en-US" else "zh-CN")
        assert page.title() == ("authsvc demo" if lang == "en-US" else "authsvc 演示")
        for width, scheme in itertools.product((1280, 375, 320), SCHEMES):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"demo-{lang}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(LOW_CONTRAST) == [], f"{width} {scheme}"


def test_by_keyboard(page: Page, demo: Demo) -> None:
    """Every step can be reached and pressed by keyboard alone, and the focus can be seen."""
    page.goto(demo.url)
    pressed: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", focused
        if focused in STEPS and focused not in pressed:
            page.keyboard.press("Enter")
            expect(page.locator(f"#step-{focused}")).to_have_attribute("data-outcome", re.compile("good|bad"))
            pressed.append(focused)
        if len(pressed) == len(STEPS):
            break
    assert pressed == list(STEPS)
    assert page.locator("[aria-live=polite]").count() + page.locator("[role=status]").count() >= len(STEPS)


# The contrast (WCAG 2) of every text with the nearest background that is not transparent, where it is below 4.5.
LOW_CONTRAST = r"""
() => {
  const rgba = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
    const pair = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) low.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return low;
}
"""
