"""Tests of the help pages: one for each refusal, in each language, for people."""

import re
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from authsvc.web import help_page, problems
from authsvc.web.accept_language import LANGUAGES
from authsvc.web.chinese import CHINESE
from authsvc.web.english import ENGLISH
from authsvc.web.language import Language, PageWords, ProblemText
from authsvc.web.problems import Problem
from tests.support.docs import ROOT

IN_BOTH = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)


class Page(HTMLParser):
    """An HTML page, read; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: dict[str, str] = {}
        self.open: list[str] = []
        self.declaration = ""
        self.feed(html)
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in {*self.open}:
            self.text[tag] = self.text.get(tag, "") + data


@IN_BOTH
@pytest.mark.parametrize("name", problems.BY_NAME)
def test_every_problem_has_a_help_page(client: FlaskClient, name: str, language: Language) -> None:
    """The page is a complete HTML document that names the refusal, its status and its code, for anyone to read."""
    problem, text = problems.BY_NAME[name], language.problems[name]
    answer = client.get(f"/problems/{name}", headers={"Accept-Language": language.tag})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.headers.getlist("Content-Language") == [language.tag]
    assert answer.headers.getlist("Vary") == ["Origin, Accept-Language"]
    page = Page(answer.get_data(as_text=True))
    assert page.declaration == "doctype html"
    assert not page.open
    assert page.tags.count("h1") == 1
    assert ("lang", language.tag) in page.attributes
    assert ("charset", "utf-8") in page.attributes
    assert page.text["title"] == f"{text.title} · authsvc"
    assert page.text["h1"] == text.title
    for fact in (f"HTTP {problem.status} ", f" {problem.code} ", f" /problems/{name}", text.meaning, text.remedy):
        assert fact.replace("`", "") in page.text["p"]
    assert language.page.retry[problem.retry].replace("`", "") in page.text["p"]
    assert "`" not in page.text["p"]


@IN_BOTH
def test_a_page_links_to_the_other_language(client: FlaskClient, language: Language) -> None:
    """Where a link leads, the browser's own preference counts no more."""
    headers = {"Accept-Language": language.tag}
    html = client.get("/problems/expired", headers=headers).get_data(as_text=True)
    (link,) = re.findall(r'<a href="(\?lang=[^"]+)"', html)
    linked = client.get(f"/problems/expired{link}", headers=headers)
    (other,) = (other for other in LANGUAGES if other is not language)
    assert linked.headers["Content-Language"] == other.tag
    assert other.problems["expired"].title in linked.get_data(as_text=True)


@pytest.mark.parametrize(
    ("query", "tag"),
    [("lang=zh", "zh-CN"), ("lang=en&lang=zh-TW", "zh-CN"), ("lang=fr", "en"), ("utm=x", "zh-CN"), ("lang=", "zh-CN")],
)
def test_lang_stands_for_the_header(client: FlaskClient, query: str, tag: str) -> None:
    """It is read as the header is; what else a link may have grown on its way keeps nobody from the page."""
    answer = client.get(f"/problems/expired?{query}", headers={"Accept-Language": "zh"})
    assert (answer.status_code, answer.headers["Content-Language"]) == (200, tag)


def test_a_page_escapes_everything() -> None:
    """A text with markup in it is shown as it is, wherever it comes from."""
    hostile = """</p><script>alert("&amp;'")</script>"""
    words = PageWords(hostile, hostile, hostile, {"never": hostile})
    language = Language("en", hostile, words, {hostile: ProblemText(hostile, hostile, hostile)}, {})
    html = help_page.render(Problem(hostile, 400, 1), language)
    page = Page(html)
    assert "script" not in page.tags
    assert html.count("&lt;script&gt;") == 9
    assert page.text["h1"] == hostile


@pytest.mark.parametrize("name", ["nothing", "", "Expired", "expired/", "expired.html", "..%2fhealthz", "%00"])
def test_an_unknown_help_page_is_no_such_route(client: FlaskClient, name: str) -> None:
    """An address that no refusal points to is refused like any other."""
    answer = client.get(f"/problems/{name}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.get_json()["type"] == "/problems/no-such-route"


@IN_BOTH
def test_every_problem_has_its_words(language: Language) -> None:
    """In each language, and for each value of `retry`; no words are there for what is no problem."""
    assert language.problems.keys() == problems.BY_NAME.keys()
    assert language.page.retry.keys() == {problem.retry for problem in problems.BY_NAME.values()}


@IN_BOTH
def test_every_page_named_exists(language: Language) -> None:
    """In the documentation, in the reader's language; an installed service does not have it."""
    folder = "docs/zh/" if language is CHINESE else "docs/"
    named = {name: re.findall(r"docs/[\w/-]+\.md", text.remedy) for name, text in language.problems.items()}
    assert {"not-logged-in", "invalid-request", "method-not-allowed", "replayed", "expired"} <= {
        *filter(named.get, named)
    }
    for page in {page for pages in named.values() for page in pages}:
        assert page.startswith(folder)
        assert (ROOT / page).is_file()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"token": "x", "appkey": "x"}, "token"), ({"t": 1795456800000}, "t"), ({"userId": 7}, "userId")],
)
def test_an_extra_field_is_refused_by_its_name(
    client: FlaskClient, bearer: dict[str, str], body: dict[str, object], field: str
) -> None:
    """What pages sent to the signing route they had; the help page has the remedy, and where it is shown."""
    refusal = client.post("/v1/auth-payload", headers=bearer, json=body)
    assert (refusal.status_code, refusal.get_json()["detail"].partition(":")[0]) == (400, field)
    page = client.get(refusal.get_json()["type"]).get_data(as_text=True)
    assert "an empty body will do. docs/recipes/other-answer.md" in page


def test_get_is_refused_with_what_to_do_instead(client: FlaskClient, bearer: dict[str, str]) -> None:
    """The refusal names POST, and its help page where the change is shown."""
    refusal = client.get("/v1/auth-payload", headers=bearer)
    assert (refusal.status_code, "use POST" in refusal.get_json()["detail"]) == (405, True)
    page = client.get(refusal.get_json()["type"]).get_data(as_text=True)
    assert "changes the method alone" in page
    assert "docs/recipes/other-answer.md" in page


def test_chinese_is_chinese() -> None:
    """Every sentence of it, with the code that the English one has."""
    for name, text in CHINESE.problems.items():
        english = ENGLISH.problems[name]
        assert text.title != english.title
        for words, other in ((text.meaning, english.meaning), (text.remedy, english.remedy)):
            assert re.search("[\u4e00-\u9fff]", words)
            assert words.endswith("。")
            assert {*re.findall("`([^`]+)`", words)} >= {*re.findall("`([A-Z]+_[^`]+)`", other)}, name
