"""The page of promises and their tests: complete, with tests that exist."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support import mutants

FOLDER = Path(__file__).parents[1]
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


def module_of(function: str) -> str:
    """Return the module of a function or method that the table names."""
    modules = {
        name.replace("/", ".").removesuffix(".__init__") for part in mutants.PARTS.values() for name in part.modules
    }
    return max((module for module in modules if function.startswith(f"{module}.")), key=len)


def miscounted(counts: dict[str, tuple[int, int]], excused: set[tuple[str, int]]) -> list[str]:
    """Return where the numbers of mutants do not agree with the table of those that live, or with their sum."""
    listed = Counter(module_of(function) for function, _ in excused)
    wrong = [
        f"{module}: {lived}, not {listed[module]}" for module, (lived, _) in counts.items() if lived != listed[module]
    ]
    made, alive = sum(made for _, made in counts.values()), listed.total()
    total = f"{made - alive:,} of {made:,} mutants noticed".replace(",", " ")
    return wrong if total in PROMISES["P16"] else [*wrong, total]


def test_the_mutants_are_counted() -> None:
    """Those that live are as many as the table lists, module by module, and the promise has their sums."""
    assert miscounted(mutants.counts(), mutants.excused()) == []


def test_a_wrong_count_would_be_found() -> None:
    """The test above can fail: by a mutant more, by one that is listed no more, by a module that nobody counted."""
    counts, excused = mutants.counts(), mutants.excused()
    lived, made = counts["payloads.payload"]
    assert miscounted(counts | {"payloads.payload": (lived, made + 1)}, excused)
    assert miscounted(counts, excused - {next(iter(excused))})
    assert miscounted({module: count for module, count in counts.items() if module != "payloads.apps"}, excused)


def test_a_run_is_counted() -> None:
    """What `make mutants` compares with this page is what it found."""
    found = [mutants.Mutant(f"m{number}", "payload", "payload.parse", number, number > 1) for number in range(4)]
    assert mutants.counted(found) == {"payload": (2, 4)}


def functions(module: str) -> set[str]:
    """Return the functions and methods of a module of authsvc, as the table names them."""
    name = module.replace("/", ".").removesuffix(".__init__")
    body = ast.parse((FOLDER.parent / "authsvc" / f"{module}.py").read_text()).body
    classes = {f"{name}.{node.name}": node.body for node in body if isinstance(node, ast.ClassDef)}
    return {
        f"{owner}.{node.name}"
        for owner, members in ({name: body} | classes).items()
        for node in members
        if isinstance(node, ast.FunctionDef)
    }


def test_every_survivor_is_of_the_code() -> None:
    """What has been renamed or removed is listed no more, and each part is of modules and tests that exist."""
    parts = mutants.PARTS.values()
    assert all((FOLDER / f"{test}.py").exists() for part in parts for test in part.tests)
    known = {function for part in parts for module in part.modules for function in functions(module)}
    assert {function for function, _ in mutants.excused()} <= known


def test_what_is_decorated_is_mutated_too() -> None:
    """mutmut lets decorated functions be, so it is given them undecorated, and they are decorated behind it."""
    source = """
class Both:
    @one(1)
    @classmethod
    def method(cls):
        return 1

    @classmethod
    def other(cls):
        return 2

@two
def function():
    return 3
"""
    assert (
        mutants.undecorated(source)
        == """
class Both:
    def method(cls):
        return 1
    method = one(1)(classmethod(method))

    @classmethod
    def other(cls):
        return 2

def function():
    return 3
function = two(function)
"""
    )
