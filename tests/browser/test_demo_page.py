"""The demo page, as a newcomer uses it: `authsvc demo` as a real process, the page in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Seen
from tests.demo_process import Demo

STEPS = ("login", "issue", "verify", "again", "tamper")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, running."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.start()
    yield demo
    assert demo.stop() == 0, demo.log()


def result(page: Page, step: str) -> str:
    return page.locator(f"#step-{step} .result").inner_text()


def click(page: Page, step: str) -> str:
    """Click a step's button, wait for the answer to its request, and return what the step then shows."""
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.click(f"#{step}")
    expect(page.locator(f"#step-{step} .badge")).to_have_text(str(answer.value.status))
    return result(page, step)


def test_from_login_to_replay(page: Page, demo: Demo, seen: Seen) -> None:
    """A newcomer is refused, logs in, sees a payload count down, be accepted once, and refused the second time."""
    page.goto(demo.url)
    assert result(page, "login") == "Not logged in"
    assert click(page, "issue").startswith("401 Not logged in")
    assert click(page, "login") == "200 Logged in: 小明 Ming"
    assert click(page, "issue").startswith("200 Issued")
    fields = dict(
        zip(page.locator("#fields dt").all_inner_texts(), page.locator("#fields dd").all_inner_texts(), strict=True)
    )
    assert fields.keys() == {"appkey", "random_str", "signature", "timestamp"}
    expect(page.locator("#left")).to_have_text(re.compile(r"9:5\d"))
    assert click(page, "verify").startswith("200 Accepted")
    assert click(page, "again").startswith("409 This payload was used before")
    assert click(page, "tamper").startswith("422 The signature does not fit")
    seen.texts.append(page.content())


def test_help_of_a_refusal(page: Page, demo: Demo) -> None:
    """A refusal's link leads to its help page."""
    page.goto(demo.url)
    click(page, "issue")
    with page.expect_popup() as opened:
        page.click("#step-issue .result a")
    expect(opened.value.locator("h1")).to_have_text("Not logged in")


def test_countdown_ends(browser: Browser, demo: Demo) -> None:
    """After ten minutes by the page's own clock the payload shows as expired, and a fresh one may be had."""
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.clock.install()
        page.goto(demo.url)
        click(page, "login")
        click(page, "issue")
        page.clock.run_for(599_000)
        expect(page.locator("#left")).not_to_have_text("expired", use_inner_text=True)
        page.clock.run_for(1_000)
        expect(page.locator("#left")).to_have_text("expired", use_inner_text=True)
        click(page, "issue")
        expect(page.locator("#left")).to_have_text(re.compile(r"10:00|9:5\d"), use_inner_text=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375, 320])
@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
def test_looks(browser: Browser, demo: Demo, lang: str, width: int, scheme: str, tmp_path: Path) -> None:
    """In both languages and schemes and down to a small phone nothing runs out of the page, and text has contrast."""
    assert scheme in {"light", "dark"}
    context = browser.new_context(
        locale=lang,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
    )
    with context:
        page = context.new_page()
        page.goto(demo.url)
        for step in STEPS:
            click(page, step)
        assert page.evaluate("document.documentElement.lang") == ("en" if lang == "en-US" else "zh-CN")
        assert page.title() == ("authsvc demo" if lang == "en-US" else "authsvc 演示")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(LOW_CONTRAST) == []


def test_by_keyboard(page: Page, demo: Demo) -> None:
    """Every step can be reached and pressed by keyboard alone, and the focus can be seen."""
    page.goto(demo.url)
    pressed: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", focused
        if focused in STEPS and focused not in pressed:
            with page.expect_response(lambda response: response.request.method == "POST"):
                page.keyboard.press("Enter")
            expect(page.locator(f"#step-{focused} .badge")).to_be_visible()
            pressed.append(focused)
        if len(pressed) == len(STEPS):
            break
    assert pressed == list(STEPS)


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
