"""
Would the tests notice? `make mutants` has mutmut change the code, a part at a time with the tests of that part alone.

Each part has a folder below `mutants/`, where what was interrupted goes on and what has not changed is not run again.
What no test noticed must have its reason in the chapter "Mutants" of README.md here, or the run fails.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
READ = ["deploy", "openapi.yaml", "README.md", "README.zh-CN.md"]  # by the tests, beside the code
UNNOTICED = {"survived", "no tests", "not checked"}
RESULT = re.compile(
    r"authsvc\.(?P<module>[a-z.]+)\.x(?:_|ǁ(?P<owner>\w+?)ǁ)(?P<function>\w+)__mutmut_(?P<number>\d+): (?P<state>.+)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """Modules, the files of tests that are about them, and which of these tests take too long, as pytest's `-k`."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    without: str = ""

    def settings(self) -> str:
        """Return mutmut's settings, as a table of pyproject.toml."""
        without = ["-k", f"not ({self.without})"] if self.without else []
        return f"""
[tool.mutmut]
source_paths = ["authsvc"]
only_mutate = {[f"authsvc/{name}.py" for name in self.modules]}
also_copy = {READ}
pytest_add_cli_args_test_selection = {[f"tests/{name}.py" for name in self.tests]}
pytest_add_cli_args = {["-p", "no:xdist", "-p", "no:cacheprovider", *without]}
timeout_multiplier = 4.0 # a test that hangs has noticed, but a busy machine must not look like that
timeout_constant = 30.0 # in seconds, before it is multiplied; where tests stop the clock it is all there is
use_git_change_detection = false
"""


PARTS = {
    "payload": Part(
        ("signature", "payload", "issuing", "verifying", "apps"),
        ("test_signature", "test_payload", "test_vectors", "test_verifying", "test_issuing", "test_apps"),
    ),
    "callers": Part(("callers",), ("test_callers",)),
    "remembered": Part(("remembered",), ("test_remembered",)),
    "limiter": Part(("limiter",), ("test_limiter",), "overshoot"),
    "settings": Part(("config", "environ", "appsfile"), ("test_config", "test_environ", "test_appsfile")),
    "stores": Part(
        ("stores/__init__", "stores/redisurl", "stores/measured"),
        ("stores/test_open", "stores/test_redisurl", "stores/test_measured"),
    ),
    "sqlite": Part(
        ("stores/sqlite",), ("stores/test_sqlite", "stores/test_contract"), "redis or size_is_bounded or count_of_many"
    ),
    "redis": Part(
        ("stores/redis", "stores/primaries", "stores/lookout"),
        ("stores/test_redis", "stores/test_contract", "stores/test_shapes"),
        "sqlite or tls or loading or many or test_contract and (redis_sentinels or redis_cluster)",
    ),
}


def undecorated(source: str) -> str:
    """Return the source with decorators as calls behind their functions, because mutmut lets decorated ones be."""
    lines = source.splitlines()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda function: function.lineno, reverse=True):
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if decorators in ([], ["classmethod"]):
            continue
        call = function.name
        for decorator in reversed(decorators):
            call = f"{decorator}({call})"
        lines.insert(function.end_lineno or 0, f"{' ' * function.col_offset}{function.name} = {call}")
        del lines[function.decorator_list[0].lineno - 1 : function.lineno - 1]
    return "\n".join(lines) + "\n"


def lay_out(part: Part, folder: Path) -> None:
    """Bring the folder up to date. mutmut goes by times of files, so one that is the same is not written again."""
    files = (path for path in (ROOT / "authsvc").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    wanted = {path.relative_to(ROOT): path.read_bytes() for path in files}
    for name in part.modules:
        path = Path(f"authsvc/{name}.py")
        wanted[path] = undecorated(wanted[path].decode()).encode()
    wanted[Path("pyproject.toml")] = (ROOT / "pyproject.toml").read_bytes() + part.settings().encode()
    for path, content in wanted.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)
    for name in ["tests", *READ]:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


def run(part: Part, folder: Path, jobs: str) -> Iterator[tuple[str, str, int, bool]]:
    """Run what has to be run; yield module, function and number of each mutant, and whether it was noticed."""
    lay_out(part, folder)
    subprocess.run([MUTMUT, "run", "--max-children", jobs], cwd=folder, check=True)
    listing = [MUTMUT, "results", "--all", "true"]
    results = subprocess.run(listing, cwd=folder, check=True, capture_output=True, text=True).stdout
    for found in RESULT.finditer(results):
        function = ".".join(filter(None, (found["module"], found["owner"], found["function"])))
        yield found["module"], function, int(found["number"]), found["state"] not in UNNOTICED


def excused() -> set[tuple[str, int]]:
    """Return function and number of each mutant that README.md says may live."""
    chapter = (FOLDER / "README.md").read_text().partition("\n## Mutants\n")[2].partition("\n## ")[0]
    return {
        (name, number)
        for name, numbers in re.findall(r"`([\w.]+)` ((?:\d+(?: to \d+)?(?:, )?)+)", chapter)
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers)
        for number in range(int(first), int(last or first) + 1)
    }


def main(jobs: str, names: list[str]) -> int:
    """Run these parts, or all; return 1 if there is a mutant that was not noticed and has no reason, or the reverse."""
    seen: dict[tuple[str, int], bool] = {}
    counts: Counter[tuple[str, bool]] = Counter()
    for name in names or PARTS:
        for module, function, number, is_noticed in run(PARTS[name], ROOT / "mutants" / name, jobs):
            seen[function, number] = is_noticed
            counts[module, is_noticed] += 1
    for module in dict.fromkeys(module for module, _ in counts):
        noticed, all_of_them = counts[module, True], counts[module, True] + counts[module, False]
        print(f"{module}: {noticed} of {all_of_them} noticed")  # noqa: T201 -- for whoever runs it
    reasons = excused()
    wrong = [
        f"{'noticed, but listed' if is_noticed else 'not noticed'}: {function} {number}"
        for (function, number), is_noticed in seen.items()
        if is_noticed == ((function, number) in reasons)
    ]
    print("\n".join(wrong) or "all others have their reason in tests/README.md")  # noqa: T201 -- the same
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
