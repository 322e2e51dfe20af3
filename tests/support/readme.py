"""
The two READMEs, read: their blocks of code, headings and tables.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; `runs` if the README promises its output."""

    language: str
    text: str
    runs: bool

    def uncommented(self) -> str:
        return re.sub(r"(^|\s+)(#|//) .*$", "", self.text, flags=re.MULTILINE)

    def exports(self, secrets: Path) -> dict[str, str]:
        """Return the variables that the block exports, its secret files looked for in this folder."""
        lines = [shlex.split(line, comments=True) for line in self.text.splitlines() if line.startswith("export ")]
        pairs = [assigned.partition("=") for _, assigned in lines]
        return {name: value.replace("/run/secrets", str(secrets)) for name, _, value in pairs}


class Readme:
    """A README, read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / name).read_text()
        found = re.findall(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        self.blocks = [Block(language, text, bool(runs)) for runs, language, text in found]
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


ENGLISH, CHINESE = Readme("README.md"), Readme("README.zh-CN.md")
