"""No test depends on how fast the machine is: what it waits for has long, and no case is given up for its time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)
LEAST_S = 15
PAUSE_S = 1  # less than that is a pause, or a time-out that is to run out
WAITS = {"wait", "join", "result", "exception", "settimeout", "wait_for"}


def number(node: ast.expr | None) -> float | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def impatient(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of calls that wait for something, and not for much longer than a machine may stand still."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        limits = [named.get("timeout"), named.get("timeout_s")]
        if isinstance(node.func, ast.Attribute) and node.func.attr in WAITS:
            limits += node.args[:1]
        if any(limit is not None and PAUSE_S <= limit < LEAST_S for limit in map(number, limits)):
            yield node.lineno


def timed_cases(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where a property's cases are given up for the time that they, or their drawing, take."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "suppress_health_check":
            if "too_slow" not in ast.unparse(node.value) and ast.unparse(node.value) != "list(HealthCheck)":
                yield node.value.lineno
        elif isinstance(node, ast.keyword) and node.arg == "deadline" and ast.unparse(node.value) != "None":
            yield node.value.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_given_up_soon(path: Path) -> None:
    """A machine stands still for three seconds now and then; a test that gives up by then fails for no fault."""
    tree = ast.parse(path.read_text())
    assert [*impatient(tree), *timed_cases(tree)] == []


def test_what_is_given_up_soon_is_found() -> None:
    """The test above can fail."""
    for line in ("wait_until(done, timeout_s=5)", "process.wait(10)", "connect(where, timeout=2.5)", "found.result(1)"):
        assert list(impatient(ast.parse(line))) == [1]
    for line in ("wait_until(done)", "process.wait(60)", "event.wait(0.1)", "sock.settimeout(0)", "sleep(2)"):
        assert list(impatient(ast.parse(line))) == []
    for line in ("settings(deadline=200)", "settings(suppress_health_check=[HealthCheck.function_scoped_fixture])"):
        assert list(timed_cases(ast.parse(line))) == [1]
