"""
The documents, read: their blocks of code, headings and tables. A language's READMEs and docs/ are one text to a test.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. `mark` is `run` if the page promises its output, and `step` if a test follows it."""

    language: str
    text: str
    mark: str

    def uncommented(self) -> str:
        return re.sub(r"(^|\s+)(#|//) .*$", "", self.text, flags=re.MULTILINE)

    def exports(self, secrets: Path) -> dict[str, str]:
        """Return the variables that the block exports, its secret files looked for in this folder."""
        lines = [shlex.split(line, comments=True) for line in self.text.splitlines() if line.startswith("export ")]
        pairs = [assigned.partition("=") for _, assigned in lines]
        return {name: value.replace("/etc/secrets", str(secrets)) for name, _, value in pairs}


class Document:
    """A page of Markdown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / name).read_text()
        found = re.findall(r"^(?:<!-- (run|step) -->\n)?```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        self.blocks = [Block(language, text, mark) for mark, language, text in found]
        self.prose = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        self.headings = re.findall(r"^(#+) (.+)$", self.prose, re.MULTILINE)

    def find(self, language: str, word: str = "") -> list[Block]:
        """Return the blocks of this language with this word in them; there has to be one."""
        found = [block for block in self.blocks if block.language == language and word in block.text]
        assert found, f"{self.name} has no block of {language} with {word}"
        return found

    def rows(self, start: str) -> list[str]:
        """Return the rows of the tables that begin like this."""
        return [line for line in self.prose.splitlines() if re.match(start, line)]

    def anchors(self) -> set[str]:
        """Return the headings as a link names them."""
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for _, title in self.headings}

    def links(self) -> Iterator[tuple[str, str]]:
        """Yield path from the root and anchor of each link within the repository."""
        for target in re.findall(r"\]\(([^)]+)\)", self.prose):
            if not target.startswith("https://"):
                path, _, anchor = target.partition("#")
                yield os.path.normpath(Path(self.name).parent / path) if path else self.name, anchor


class Docs:
    """The README and docs/ of a language."""

    def __init__(self, language: str, readme: str, folder: str) -> None:
        self.language, self.folder = language, folder
        self.readme = Document(readme)
        chinese = ROOT / "docs" / "zh"
        paths = (path for path in sorted((ROOT / folder).rglob("*.md")))
        names = [path for path in paths if folder == "docs/zh" or chinese not in path.parents]
        self.pages = [self.readme, *(Document(str(path.relative_to(ROOT))) for path in names)]

    def page(self, name: str) -> Document:
        """Return a page below docs/ by the name that it has in both languages."""
        (page,) = (page for page in self.pages if page.name == f"{self.folder}/{name}.md")
        return page

    @property
    def blocks(self) -> list[Block]:
        """Every block of the README and of the pages right below docs/; those in folders have tests of their own."""
        depth = self.folder.count("/") + 1
        return [block for page in self.pages if page.name.count("/") <= depth for block in page.blocks]

    def find(self, language: str, word: str = "") -> list[Block]:
        """Return the blocks of this language with this word in them; there has to be one."""
        found = [block for block in self.blocks if block.language == language and word in block.text]
        assert found, f"no block of {language} with {word} in {self.language}"
        return found


ENGLISH, CHINESE = Docs("en", "README.md", "docs"), Docs("zh", "README.zh-CN.md", "docs/zh")
