"""The help pages, in browsers of readers of both languages."""

from playwright.sync_api import Browser, expect

from authsvc.web.accept_language import LANGUAGES
from tests.support.running import Service

URL = "http://127.0.0.1:{port}/problems/account-taken"  # the longest


def test_a_reader_finds_a_page_in_his_language(browser: Browser, service: Service) -> None:
    """By what the browser sends of itself; a link leads to the other language; a phone need not scroll sideways."""
    service.start("--workers", "1")
    for language, other in (LANGUAGES, LANGUAGES[::-1]):
        with browser.new_context(locale=language.tag, viewport={"width": 320, "height": 640}) as context:
            page = context.new_page()
            page.goto(URL.format(port=service.port))
            expect(page.locator("html")).to_have_attribute("lang", language.tag)
            expect(page.locator("h1")).to_have_text(language.problems["account-taken"].title)
            assert page.evaluate("document.documentElement.scrollWidth") == 320
            page.get_by_role("link", name=other.name).click()
            expect(page.locator("h1")).to_have_text(other.problems["account-taken"].title)
