"""The demo page, as a newcomer uses it: `authsvc demo` as a real process, the page in a real browser."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Locator, Page, Route, expect

from authsvc.sandbox.files import picture
from tests.browser.conftest import VENDOR_SDKS
from tests.conftest import Seen
from tests.support.demo_process import Demo
from tests.support.running import PATIENCE_S, wait_until

STEPS = ("issue", "drop", "replay", "forgery", "expired", "nobody")
REFUSED = {"replay": "889001", "forgery": "880102", "expired": "880106", "nobody": "401"}
USERS = ("ming", "anna")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SDKS = [None, *VENDOR_SDKS]  # our stand-in, and the vendor's files where some are given
TAKEN = "JIM.init"  # the step with which a page uses a payload
numbers = itertools.count(1)


@pytest.fixture(scope="module", params=SDKS, ids=lambda sdk: Path(sdk).name if sdk else "stand-in")
def arguments(request: pytest.FixtureRequest) -> list[str]:
    """Which SDK the demo is to use."""
    return ["--sdk", request.param] if request.param else []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> Iterator[Demo]:
    """The demo, running."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.start(*arguments)
    yield demo
    assert demo.stop() == 0, demo.log()


def do(page: Page, step: str) -> str:
    """Click a step's button, wait until it says what came of it, and return that."""
    page.click(f"#{step}")
    expect(page.locator(f"#step-{step}")).to_have_attribute("data-outcome", re.compile("good|bad"))
    return page.locator(f"#step-{step} .result").inner_text()


def states(page: Page, user: str = "ming") -> list[str]:
    """Return the steps of connecting, each as the page shows it, without its time."""
    return page.locator(f"#{user} .states .state span[lang=en]").all_text_contents()


def wait_connected(page: Page, times: int = 1, user: str = "ming") -> None:
    """Wait until a user's connection stands, for the so manieth time since it was asked for."""
    expect(page.locator(f"#{user} .states .state.good")).to_have_count(times)
    expect(page.locator(f"#{user}")).to_have_attribute("data-state", "ready")


def wait_synchronised(page: Page, demo: Demo, *users: str) -> None:
    """Wait until each of these has what was said before the login: tests that share a demo leave it to the next."""
    for user in users:
        expect(heard(page, user, "sync_check")).not_to_have_count(0)
        last = f"after-all-{next(numbers)}"  # what it has missed goes out with the answer, and so before this
        control(demo, push=[{"to": user, "event": last, "data": {}}])
        expect(heard(page, user, last)).to_have_count(1)


def heard(page: Page, user: str, event: str) -> Locator:
    """Return where the page shows that an event came on the socket of a user."""
    return page.locator("#log .event", has_text=re.compile(rf"←#\d+ {user}{event}"))


def connect(page: Page, demo: Demo, *users: str) -> None:
    """Open the page and log in, by default Ming alone."""
    page.goto(demo.url)
    for user in users or ("ming",):
        page.click(f"#{user} .log-in")
    for user in users or ("ming",):
        wait_connected(page, user=user)
    wait_synchronised(page, demo, *(users or ("ming",)))


def write(page: Page, user: str, text: str) -> Locator:
    """Write a message, and return its bubble once it is sent; the user's pane is in front then."""
    page.fill(f"#{user} textarea", text)
    page.press(f"#{user} textarea", "Enter")
    bubble = page.locator(f"#{user} .mine", has_text=text)
    expect(bubble).to_have_attribute("data-receipt", re.compile("read|unread"))
    return bubble


def payloads(page: Page) -> list[str]:
    """Return the random_str of each c_init that has been sent, the newest first."""
    sent = [text for text in page.locator("#log .event .data").all_text_contents() if '"fromPlatForm"' in text]
    return [found[1] for text in sent if (found := re.search(r'"random_str":"(\w+)"', text))]


def check_payloads(page: Page, *users: str, least: int) -> None:
    """Fail unless each initialisation had a payload of its own, and there were at least so many."""
    taken = sum(state.startswith(TAKEN) for user in users for state in states(page, user))
    assert len(set(payloads(page))) == taken >= least


def send_picture(page: Page, user: str, peer: str) -> Iterator[Locator]:
    """Have a user send a picture, and yield it as both sides show it once it is loaded there."""
    mine = page.locator(f"#{user} .mine")
    number = mine.count()
    if user == "ming":
        page.click("#ming .sample")
    else:
        png = FilePayload(name="a.png", mimeType="image/png", buffer=picture(8))
        page.set_input_files(f"#{user} .file", png)
    sent = mine.nth(number).locator("img[alt^=qiniu]")
    expect(sent).to_be_visible()
    arrived = page.locator(f"#{peer} .theirs img[alt='{sent.get_attribute('alt')}']")
    expect(arrived).to_be_visible()
    yield from (sent, arrived)


def control(demo: Demo, **asked: Any) -> dict[str, Any]:
    """Have the sandbox do this, and return what it says of itself then."""
    answer = requests.post(f"http://{demo.sandbox}/sandbox", json=asked, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


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
    """A newcomer is refused, logs in, sees each step of connecting and a payload; each attack is refused."""
    page.goto(demo.url)
    expect(page.locator("#ming .chip")).to_have_text("Not logged in", use_inner_text=True)
    assert do(page, "issue").startswith("401 Not logged in")
    assert do(page, "drop").startswith("401 Log in first")
    assert do(page, "replay") == "There is no payload: log in first."
    page.click("#ming .log-in")
    expect(page.locator("#ming textarea")).to_be_focused()
    wait_connected(page)
    steps = "Waiting for the SDK’s socket", "Asking authsvc", "JIM.init", "JIM.login", "Connected"
    for said, step in zip(states(page), steps, strict=True):
        assert said.startswith(step)
    assert do(page, "issue") == "200 Issued."
    names, values = page.locator("#fields dt").all_inner_texts(), page.locator("#fields dd").all_inner_texts()
    assert names == ["appkey", "random_str", "signature", "timestamp"]
    assert all(values)
    expect(page.locator("#left")).to_have_text(re.compile(r"9:[0-5]\d|10:00"))
    for step, code in REFUSED.items():
        do(page, step)
        expect(page.locator(f"#step-{step}")).to_have_attribute("data-outcome", "good")
        expect(page.locator(f"#step-{step} .badge").last).to_have_text(code)
    assert page.locator("#step-replay .badge").first.inner_text() == "0"
    log = page.locator("#log").text_content() or ""
    assert "signatu is expire" in log
    assert "POST /browser-1/v1/bootstrap" in log
    seen.texts.append(page.content())


def test_a_late_session_does_not_undo_a_login(page: Page, demo: Demo) -> None:
    """Who clicks before the page knows who is logged in stays logged in when it hears of it."""
    held: list[Route] = []
    page.route("**/browser-1/demo/session", lambda route: held.append(route))
    connect(page, demo)
    held[0].fulfill(json={"user": None})
    assert do(page, "issue").startswith("200")  # a request later
    assert page.locator("#ming").get_attribute("data-state") == "ready"


def test_a_late_payload_does_not_replace_a_newer_one(page: Page, demo: Demo) -> None:
    """The payload that was asked for last stays, whichever answer comes last."""
    connect(page, demo)
    held: list[Route] = []
    page.route("**/v1/auth-payload", lambda route: held.append(route), times=1)
    page.click("#issue")
    do(page, "issue")
    shown = page.locator("#fields").inner_text()
    held[0].continue_()
    expect(page.locator("#log summary", has_text="/v1/auth-payload")).to_have_count(2)
    do(page, "expired")  # requests later
    assert page.locator("#fields").inner_text() == shown


def test_chat(page: Page, demo: Demo) -> None:
    """Two users chat: text, receipts when the other one looks, the typing notice, retraction on both sides."""
    connect(page, demo, *USERS)
    first = write(page, "ming", "first")
    expect(page.locator("#anna .theirs", has_text="first")).to_be_visible()
    expect(page.locator("#anna header .unread")).to_have_text("1")
    expect(first).to_have_attribute("data-receipt", "unread")
    page.evaluate(NOTE_TYPING)
    page.press("#anna textarea", "h")
    wait_until(lambda: "Anna is typing…" in page.evaluate("typing"))
    expect(page.locator("#anna header .unread")).to_be_empty()
    expect(first).to_have_attribute("data-receipt", "read")
    page.type("#anna textarea", "ello")
    page.click("#anna .send")
    expect(page.locator("#ming .theirs", has_text="hello")).to_be_visible()
    expect(page.locator("#ming .typing")).to_be_empty()
    first.get_by_role("button", name="Retract").click()
    expect(page.locator("#ming .retracted").last).to_have_text("You retracted a message", use_inner_text=True)
    expect(page.locator("#anna .retracted").last).to_have_text("Ming retracted a message", use_inner_text=True)


def test_pictures(page: Page, demo: Demo) -> None:
    """A picture goes up through the SDK, and is shown on both sides by the URL that authsvc found for its media_id."""
    connect(page, demo, *USERS)
    for user, peer, width in (("ming", "anna", 320), ("anna", "ming", 8)):
        for shown in send_picture(page, user, peer):
            assert shown.evaluate("img => [img.naturalWidth, new URL(img.src).host]") == [width, str(demo.sandbox)]
    page.set_input_files("#anna .file", FilePayload(name="a.txt", mimeType="image/png", buffer=b"no picture"))
    expect(page.locator("#anna [data-receipt=failed]")).to_contain_text("image")


def test_a_picture_that_is_gone(page: Page, demo: Demo) -> None:
    """What authsvc says of a media_id that nobody knows stands in the picture's place."""
    connect(page, demo, *USERS)
    refused = {"code": 880005, "message": "no such media"}

    def refuse(route: Route) -> None:
        asked = json.loads(route.request.post_data or "")
        route.fulfill(json={"results": dict.fromkeys(asked["media_ids"], refused)})

    page.route("**/browser-2/v1/resources", refuse)
    page.click("#ming .sample")
    expect(page.locator("#anna .theirs .body").last).to_have_text("880005 no such media", use_inner_text=True)


def test_a_picture_chosen_while_the_connection_breaks(page: Page, demo: Demo) -> None:
    """It says that it was not sent, and goes out when it is sent again."""
    connect(page, demo, *USERS)
    page.locator("#ming .online").uncheck()
    png = FilePayload(name="a.png", mimeType="image/png", buffer=picture(8))
    page.set_input_files("#ming .file", png)  # as from a dialogue that was open meanwhile
    failed = page.locator("#ming [data-receipt=failed]")
    expect(failed).to_contain_text("Not sent: offline", use_inner_text=True)
    page.locator("#ming .online").check()
    failed.get_by_role("button", name="Send again").click()
    expect(failed).to_have_count(0)
    expect(page.locator("#ming .mine img[alt^=qiniu]").last).to_be_visible()


def test_what_was_missed(page: Page, demo: Demo) -> None:
    """Who was offline gets the messages that were not retracted, and the receipts; a reload shows it all again."""
    connect(page, demo, *USERS)
    read = write(page, "anna", "look at this later")
    page.locator("#anna .online").uncheck()
    expect(page.locator("#anna .chip")).to_have_text("Offline", use_inner_text=True)
    expect(page.locator("#anna .send")).to_be_disabled()
    wait_until(lambda: "anna" not in control(demo)["online"])
    for text in ("missed one", "missed two", "missed three"):
        write(page, "ming", text)
    page.locator("#ming .mine", has_text="missed two").get_by_role("button").click()
    expect(page.locator("#ming .mine", has_text="missed two")).to_have_count(0)
    missed = page.locator("#anna .theirs .body", has_text="missed")
    assert missed.count() == 0
    page.locator("#anna .online").check()
    expect(missed).to_have_text(["missed one", "missed three"])
    expect(read).to_have_attribute("data-receipt", "read")
    expect(page.locator("#ming .mine", has_text="missed three")).to_have_attribute("data-receipt", "read")
    page.reload()
    for user in USERS:
        wait_connected(page, user=user)
    expect(missed).to_have_text(["missed one", "missed three"])
    expect(page.locator("#ming .mine", has_text="missed three")).to_have_attribute("data-receipt", "read")


def test_enter_of_an_input_method_sends_nothing(page: Page, demo: Demo) -> None:
    """It takes a word; and Shift with Enter begins a line."""
    connect(page, demo, *USERS)
    page.fill("#ming textarea", "ni men")
    composing = {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    page.dispatch_event("#ming textarea", "keydown", composing)
    page.press("#ming textarea", "Shift+Enter")
    page.type("#ming textarea", "hao")
    page.press("#ming textarea", "Enter")
    arrived = page.locator("#anna .theirs .body", has_text="ni men")
    expect(arrived).to_have_count(1)
    assert arrived.inner_text() == "ni men\nhao"


def test_logged_out(page: Page, demo: Demo) -> None:
    """Who logs out is gone from the page, and gets no payload; the other one stays."""
    connect(page, demo, *USERS)
    write(page, "ming", "bye")
    page.click("#ming .log-out")
    expect(page.locator("#ming .chip")).to_have_text("Not logged in", use_inner_text=True)
    expect(page.locator("#ming .log-in")).to_be_focused()
    expect(page.locator("#ming .bubble")).to_have_count(0)
    assert do(page, "issue").startswith("401")
    page.check("[name=as][value='/browser-2']")
    assert do(page, "issue").startswith("200")
    assert page.locator("#anna").get_attribute("data-state") == "ready"


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
        now = datetime(2026, 11, 24, tzinfo=UTC)
        page.clock.install(time=now)
        page.clock.pause_at(now)
        page.goto(demo.url)
        page.click("#ming .log-in")
        expect(page.locator("#ming .log-out")).to_be_visible()
        do(page, "issue")
        page.clock.run_for(599_750)
        expect(page.locator("#left")).to_have_text("0:01", use_inner_text=True)
        page.clock.run_for(250)
        expect(page.locator("#left")).to_have_text("expired", use_inner_text=True)
        do(page, "issue")
        expect(page.locator("#left")).to_have_text("10:00", use_inner_text=True)


def test_dropped(page: Page, demo: Demo) -> None:
    """Dropped connections come back by themselves, each with another payload, and carry messages again."""
    connect(page, demo, *USERS)
    assert do(page, "drop").startswith("200")
    for user in USERS:
        wait_connected(page, 2, user)
        assert "The connection broke" in states(page, user)
    check_payloads(page, *USERS, least=4)
    write(page, "anna", "back")
    expect(page.locator("#ming .theirs", has_text="back")).to_have_count(1)


def test_the_server_restarts(page: Page, demo: Demo, arguments: list[str]) -> None:
    """
    With every secret another, an open page logs in anew and connects again. A message to somebody who has no account
    any more says so, and goes out when it is sent again.
    """
    connect(page, demo)
    demo.restart(*arguments)
    expect(page.locator("#log summary", has_text="/demo/login")).to_have_count(2)
    wait_connected(page)
    page.fill("#ming textarea", "are you there?")
    page.press("#ming textarea", "Enter")
    failed = page.locator("#ming [data-receipt=failed]")
    reason = "880203 The other one has no IM account yet: log in there first"
    expect(failed).to_contain_text(reason, use_inner_text=True)
    page.click("#anna .log-in")
    wait_connected(page, user="anna")
    failed.get_by_role("button", name="Send again").click()
    expect(page.locator("#anna .theirs", has_text="are you there?")).to_be_visible()
    expect(failed).to_have_count(0)


def test_offline(page: Page, demo: Demo) -> None:
    """A page that loses the network asks on until it has it back, then connects with a fresh payload."""
    connect(page, demo)
    page.context.set_offline(True)
    control(demo, drop=True)
    waiting = page.locator("#ming .states .state", has_text="Waiting for the SDK’s socket")
    expect(waiting.nth(1)).to_be_attached()
    page.context.set_offline(False)
    wait_connected(page, 2)
    check_payloads(page, "ming", least=2)


def test_asleep(browser: Browser, demo: Demo) -> None:
    """A laptop that slept for 20 minutes asks for one fresh payload, in no burst, and stands again."""
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.clock.install()
        connect(page, demo)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.fast_forward("20:00")
        control(demo, drop=True)
        wait_connected(page, 2)
        assert sum("/v1/" in url for url in asked) == 1


def test_two_tabs(page: Page, demo: Demo) -> None:
    """The second tab of a user kicks the first, as at the vendor: the first says so, the other goes on."""
    connect(page, demo)
    other = page.context.new_page()
    other.goto(demo.url)  # where the user is logged in already
    wait_connected(other)
    expect(page.locator("#ming .states .state").last).to_contain_text("Ended")
    expect(page.locator("#ming .chip")).to_contain_text("Logged in elsewhere")
    do(other, "drop")
    wait_connected(other, 2)
    assert states(page)[-1].startswith("Ended")
    assert set(payloads(page)).isdisjoint(payloads(other))
    other.close()
    page.locator("#ming .online").check()
    wait_connected(page)


def test_a_foreign_page_gets_nothing(browser: Browser, demo: Demo) -> None:
    """A page of an origin that is not allowed cannot read a payload, even in the browser of a user who is logged in."""
    with foreign_page() as url, browser.new_context() as context:
        page = context.new_page()
        connect(page, demo)
        page.goto(url)
        script = "url => fetch(url, {method: 'POST', credentials: 'include'}).then((r) => r.text(), (e) => e.name)"
        for path in ("v1/auth-payload", "v1/bootstrap", "demo/expired"):
            assert page.evaluate(script, f"{demo.url}browser-1/{path}") == "TypeError"


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
        chat_a_little(page, demo)
        for step in STEPS:
            do(page, step)
        assert page.locator("script:not([src])").count() == 0
        assert reports == []
        script = "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
        with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            page.evaluate(script)
        assert page.evaluate("window.ran") is None


def chat_a_little(page: Page, demo: Demo) -> None:
    """Log both users in, and have each write and Ming send a picture."""
    page.click("#both")
    for user in USERS:
        wait_connected(page, user=user)
    wait_synchronised(page, demo, *USERS)
    number = next(numbers)
    write(page, "ming", f"你好 {number}")
    write(page, "anna", f"hello {number}")
    assert len(list(send_picture(page, "ming", "anna"))) == 2


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
def test_looks(browser: Browser, demo: Demo, lang: str) -> None:
    """In both languages and schemes and down to a small phone nothing runs out of the page, and text has contrast."""
    with browser.new_context(locale=lang, reduced_motion="reduce") as context:  # no colour is on its way to another
        page = context.new_page()
        page.goto(demo.url)
        chat_a_little(page, demo)
        for step in STEPS:
            do(page, step)
        for user in USERS:
            wait_connected(page, 2, user)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert page.evaluate("document.documentElement.lang") == ("en" if lang == "en-US" else "zh-CN")
        assert page.title() == ("authsvc demo" if lang == "en-US" else "authsvc 演示")
        for width, scheme in itertools.product((1280, 390, 360, 320), SCHEMES):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"demo-{lang}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(LOW_CONTRAST) == [], f"{width} {scheme}"


def test_by_keyboard(page: Page, demo: Demo) -> None:
    """Everything can be reached and done by keyboard alone, and the focus can be seen."""
    page.goto(demo.url)
    expect(page.locator("#anna .chip")).to_have_text("Not logged in", use_inner_text=True)

    def focus(selector: str, key: str = "Tab") -> None:
        for _ in range(200):
            page.keyboard.press(key)
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"{selector} cannot be reached")

    focus("#ming .log-in")
    page.keyboard.press("Enter")
    wait_connected(page)
    focus("#ming .online", "Shift+Tab")
    for state in ("offline", "ready"):
        page.keyboard.press("Space")
        expect(page.locator("#ming")).to_have_attribute("data-state", state)
    focus("#anna .log-in")
    page.keyboard.press("Enter")
    wait_connected(page, user="anna")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.locator("#ming [role=log] .theirs", has_text="by keyboard")).to_be_visible()
    focus("#ming .sample", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#ming .mine img[alt^=qiniu]").last).to_be_visible()
    focus("#ming .mine button", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#anna .retracted").last).to_be_visible()
    for step in STEPS:
        focus(f"#{step}")
        page.keyboard.press("Enter")
        expect(page.locator(f"#step-{step}")).to_have_attribute("data-outcome", re.compile("good|bad"))
    assert page.locator("[role=status], [role=log]").count() >= len(STEPS) + 4


def test_a_receipt_leaves_the_focus_where_it_is(page: Page, demo: Demo) -> None:
    """Who is about to retract a message by keyboard still is when it is read meanwhile."""
    connect(page, demo, *USERS)
    bubble = write(page, "ming", "in focus")
    expect(bubble).to_have_attribute("data-receipt", "unread")
    expect(page.locator("#anna .theirs", has_text="in focus")).to_be_visible()
    bubble.get_by_role("button", name="Retract").focus()
    page.dispatch_event("#anna", "pointerdown")
    expect(bubble).to_have_attribute("data-receipt", "read")
    expect(bubble.get_by_role("button", name="Retract")).to_be_focused()


def test_on_a_phone(page: Page, demo: Demo) -> None:
    """One pane shows at a time; the other one's tab counts what is unread, and to look there is to read."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(demo.url)
    page.click("#both")
    for user in USERS:
        wait_connected(page, user=user)
    wait_synchronised(page, demo, *USERS)
    expect(page.locator("#anna")).to_be_hidden()
    page.click("#tab-anna")  # what is left of another test is read then
    expect(page.locator("#tab-anna .unread")).to_be_empty()
    page.click("#tab-ming")
    bubble = write(page, "ming", "on the phone")
    expect(page.locator("#tab-anna .unread")).to_have_text("1")
    expect(bubble).to_have_attribute("data-receipt", "unread")
    page.click("#tab-anna")
    expect(page.locator("#anna .theirs", has_text="on the phone")).to_be_visible()
    expect(page.locator("#ming")).to_be_hidden()
    expect(bubble).to_have_attribute("data-receipt", "read")


# Notes what stands in the place of the typing notice, which stays there for some seconds.
NOTE_TYPING = """() => {
  window.typing = [];
  const place = document.querySelector("#ming .typing");
  new MutationObserver(() => window.typing.push(place.innerText)).observe(place, { childList: true });
}"""

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
