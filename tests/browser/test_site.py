"""The documentation as a static site: built without a warning, whole, on its own host alone, and searched."""

import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page

from tests.support.docs import CHINESE, ENGLISH, ROOT

BUILDER = ROOT / "docs" / "site" / "build.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, str(BUILDER), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that logs nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The builder, about a repository with two pages in each language."""
    spec = importlib.util.spec_from_file_location("builder", BUILDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "builder", module)
    spec.loader.exec_module(module)
    root = tmp_path / "repository"
    (root / "docs/zh").mkdir(parents=True)
    for readme, docs in (("README.md", "docs"), ("README.zh-CN.md", "docs/zh")):
        (root / readme).write_text(f"# Title\n\n[index]({docs}/index.md)\n")
        (root / docs / "index.md").write_text("# Index\n\n## Chapter\n\n- [Page](page.md)\n")
        (root / docs / "page.md").write_text("# Page\n\n## A heading\n")
    monkeypatch.setattr(module, "ROOT", root)
    return module


def test_the_smallest_site(builder: ModuleType, tmp_path: Path) -> None:
    """The README is its home; the index is a page beside the others."""
    builder.build(tmp_path / "site")
    places = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("index.html")}
    assert places == {f"{path}{page}index.html" for path in ("", "zh/") for page in ("", "contents/", "page/")}


@pytest.mark.parametrize("link", ["[gone](gone.md)", "[gone](page.md#gone)"])
def test_a_broken_link_fails_the_build(builder: ModuleType, tmp_path: Path, link: str) -> None:
    """To a page or to a chapter; so does every other warning of the generator."""
    (builder.ROOT / "docs" / "index.md").write_text(f"# Index\n\n{link}\n")
    with pytest.raises((FileNotFoundError, subprocess.CalledProcessError)):
        builder.build(tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_every_page_is_there(folder: Path) -> None:
    """In its language, under the name that it has in the repository."""
    for docs, path in ((ENGLISH, ""), (CHINESE, "zh/")):
        for page in docs.pages[1:]:
            name = page.name.removeprefix(f"{docs.folder}/").removesuffix(".md").removesuffix("index") or "contents"
            assert (folder / path / name / "index.html").is_file(), page.name


def test_nothing_is_loaded_from_elsewhere(folder: Path) -> None:
    """Neither scripts nor styles, fonts or pictures."""
    loaded = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?([^"' >]+)|<link[^>]*\shref=["']?([^"' >]+)""")
    for page in folder.rglob("*.html"):
        targets = {script or link for script, link in loaded.findall(page.read_text())}
        assert {target for target in targets if re.match(r"(https?:)?//", target)} == set(), page
    for style in folder.rglob("*.css"):
        assert not re.search(r"""url\(["']?(https?:)?//""", style.read_text()), style


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [("/", "replay", "/verify/"), ("/zh/", "登录方式", "/zh/login/"), ("/zh/", "存储", "/zh/store/")],
)
def test_the_search_finds_a_word(page: Page, site: str, path: str, query: str, found: str) -> None:
    """Also in the middle of a Chinese sentence; and the whole way there asks no other host."""
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.goto(f"{site}{path}")
    page.locator("button.md-search__button").click()
    page.locator("input[aria-autocomplete=list]").fill(query)
    page.locator(f"a[role=option][href^='{site}{found}']").first.click()
    page.wait_for_url(f"{site}{found}**")
    assert hosts == {site.removeprefix("http://")}


def test_from_one_language_to_the_other(page: Page, site: str) -> None:
    """By the link of the README, and back."""
    page.goto(f"{site}/")
    page.locator("main").get_by_role("link", name="中文").click()
    page.wait_for_url(f"{site}/zh/")
    page.locator("main").get_by_role("link", name="English").click()
    page.wait_for_url(f"{site}/")
