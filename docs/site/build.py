"""
Build the documentation as a static site: English at its root, Chinese below zh/.

The pages are those that a code forge shows. Here they are laid out for the generator, a tree for each language, and
links that leave docs/ are turned to where their files are in the site. The navigation is the index: its chapters, and
the links in them.

    python docs/site/build.py FOLDER
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()([^)#\s]*)(#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HOME, INDEX = "index.md", "contents.md"
STYLE = "site.css"
FILES = "files"  # where the site has what lies outside docs/

Nav = list[dict[str, "str | Nav"]]


@dataclass(frozen=True, slots=True)
class Language:
    """A language of the documentation; `folder` is where its pages are, `path` where the site has them."""

    code: str
    name: str
    readme: str
    folder: str
    path: str
    home: str
    tagline: str

    def pages(self) -> dict[str, str]:
        """Return the page of the site for each page of the repository."""
        others = [other.folder for other in LANGUAGES if other.folder.startswith(f"{self.folder}/")]
        found = (str(path.relative_to(ROOT)) for path in sorted((ROOT / self.folder).rglob("*.md")))
        pages = {
            page: page.removeprefix(f"{self.folder}/") for page in found if not page.startswith(tuple(others) or "/")
        }
        return pages | {self.readme: HOME, f"{self.folder}/index.md": INDEX}


ENGLISH = Language("en", "English", "README.md", "docs", "", "Overview", "JMessage auth payloads for logged-in users")
CHINESE = Language("zh", "中文", "README.zh-CN.md", "docs/zh", "zh/", "概览", "为已登录用户签发极光 IM 的 auth_payload")
LANGUAGES = (ENGLISH, CHINESE)


def url(page: str) -> str:
    """Return where the generator puts a page, below the root of its language."""
    path = page.removesuffix(".md").removesuffix("index")
    return f"{path}/" if path and not path.endswith("/") else path


class Tree:
    """The pages of a language, and what they link to, as the generator wants them."""

    def __init__(self, language: Language, folder: Path) -> None:
        self.language, self.folder = language, folder
        self.pages = language.pages()

    def write(self) -> None:
        """Write every page, and then those that these lead to outside docs/, which no search finds."""
        own = list(self.pages)
        for page in own:
            self._write(page, self._linked(page))
        while further := [page for page in self.pages if not (self.folder / self.pages[page]).exists()]:
            for page in further:
                self._write(page, f"---\nsearch:\n  exclude: true\n---\n\n{self._linked(page)}")

    def _write(self, page: str, text: str) -> None:
        path = self.folder / self.pages[page]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _linked(self, page: str) -> str:
        """Return the page's text, its links as they are in the site."""
        text = (ROOT / page).read_text()
        parts, end = list[str](), 0
        for fence in FENCE.finditer(text):
            parts += [self._turned(page, text[end : fence.start()]), fence[0]]
            end = fence.end()
        return "".join([*parts, self._turned(page, text[end:])])

    def _turned(self, page: str, prose: str) -> str:
        return LINK.sub(lambda link: f"{link[1]}{self._target(page, link[2])}{link[3] or ''})", prose)

    def _target(self, page: str, target: str) -> str:
        if not target or "://" in target:
            return target
        path, here = os.path.normpath(Path(page).parent / target), self.pages[page]
        for other in LANGUAGES:
            if other is not self.language and path in (pages := other.pages()):
                return f"{os.path.relpath(f'/{other.path}{url(pages[path])}', f'/{self.language.path}{url(here)}')}/"
        if path.endswith(".md"):
            return os.path.relpath(self.pages.setdefault(path, f"{FILES}/{path}"), Path(here).parent)
        copy = self.folder / FILES / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy)
        return os.path.relpath(f"{FILES}/{path}", Path(here).parent)

    def nav(self) -> Nav:
        """Return the index as navigation."""
        chapters: Nav = [{self.language.home: HOME}]
        index = f"{self.language.folder}/index.md"
        for chapter in re.split(r"^## ", (ROOT / index).read_text(), flags=re.MULTILINE)[1:]:
            title, _, body = chapter.partition("\n")
            bullets = re.findall(r"^- (.+?)(?=^- |\Z)", body, re.MULTILINE | re.DOTALL)
            chapters.append({title: [entry for bullet in bullets for entry in self._entries(index, bullet)]})
        return chapters

    def _entries(self, index: str, bullet: str) -> Nav:
        """Return a bullet that begins with a link as that page; one with links after its name as their group."""
        links = [
            (name, os.path.normpath(Path(index).parent / path))
            for name, path in re.findall(r"\[([^]]+)\]\(([^)#]+)\)", bullet)
        ]
        pages: Nav = [{name: self.pages[page]} for name, page in links if page in self.pages]
        return pages[:1] if bullet.startswith("[") else [{re.split("[:：]", bullet)[0]: pages}]


def config(language: Language, tree: Tree) -> dict[str, object]:
    """Return the generator's configuration."""
    return {
        "site_name": "authsvc",
        "site_description": language.tagline,
        "docs_dir": tree.folder.name,
        "site_dir": f"site/{language.path}",
        "nav": tree.nav(),
        "theme": {
            "language": language.code,
            "font": False,
            "features": [
                "content.code.copy",
                "navigation.footer",
                "navigation.sections",
                "navigation.top",
                "search.highlight",
                "toc.follow",
            ],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "extra_css": [STYLE],
        "extra": {
            "alternate": [
                {
                    "name": other.name,
                    "link": f"{os.path.relpath(f'/{other.path}', f'/{language.path}')}/",
                    "lang": other.code,
                }
                for other in LANGUAGES
            ],
        },
        "markdown_extensions": [
            {"toc": {"permalink": True, "slugify": {"object": "pymdownx.slugs.slugify", "kwds": {"case": "lower"}}}},
            "tables",
            "attr_list",
            {"pymdownx.highlight": {}},
            "pymdownx.superfences",
        ],
    }


def build(site: Path) -> None:
    """Build the site into this folder, in the place of what is there; raise if the generator warns of anything."""
    with tempfile.TemporaryDirectory() as work:
        for language in LANGUAGES:
            tree = Tree(language, Path(work, language.code))
            tree.write()
            shutil.copy(Path(__file__).with_name(STYLE), tree.folder)
            path = Path(work, f"{language.code}.yml")
            path.write_text(json.dumps(config(language, tree)))  # JSON is YAML, too
            subprocess.run(  # noqa: S603 -- made of our own parts
                [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(path)], check=True
            )
        shutil.rmtree(site, ignore_errors=True)
        shutil.move(Path(work, "site"), site)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
