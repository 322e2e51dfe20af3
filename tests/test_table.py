"""The page that says what is promised and what shows it: complete, and of tests that exist."""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = (FOLDER / "README.md").read_text()


def rows(chapter: str) -> dict[str, str]:
    """Return the rows of a chapter's table by their first cell."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (found,) = (part for part in text if part.startswith(chapter))
    lines = [line for line in found.splitlines() if line.startswith("|")][2:]
    return {line.split("|")[1].strip(): line.partition("|")[2].partition("|")[2] for line in lines}


PROMISES, MISTAKES, SURVIVORS = rows("The promises"), rows("Mistakes of others"), rows("Mutants")
NAMED = {name: re.findall(r"`([^`]+)::([^`]+)`", row) for name, row in (PROMISES | MISTAKES).items()}


def test_the_page_is_complete() -> None:
    """Each promise and each mistake has its row, and in it a test."""
    assert list(PROMISES) == [f"P{number}" for number in range(1, 18)]
    assert list(MISTAKES) == [str(number) for number in range(1, 31)]
    assert all(NAMED.values())


@pytest.mark.parametrize("row", NAMED)
def test_the_tests_named_exist(row: str) -> None:
    """Every one that a row names is a function of that file, or a test of the browser module."""
    for path, name in NAMED[row]:
        text = (FOLDER / path).read_text()
        if path.endswith(".mjs"):
            assert f'test("{name}"' in text
        else:
            functions = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{path}::{name}"


def test_every_survivor_has_its_reason() -> None:
    """No mutant is listed without a word on why it may live."""
    assert all(len(reason.strip(" |")) > 10 for reason in SURVIVORS.values())
