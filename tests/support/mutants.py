"""
Would the tests notice? `make mutants` has mutmut change the code, a part at a time with the tests of that part alone.

Each part has a folder below `mutants/`, where what was interrupted goes on and what has not changed is not run again.
What no test noticed must have its reason in the chapter "Mutants" of README.md here, or the run fails.
"""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1]
ROOT = FOLDER.parent
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
READ = ["deploy", "openapi.yaml", "README.md", "README.zh-CN.md", "docs"]  # by the tests, beside the code
UNNOTICED = {"survived", "no tests", "not checked"}
RESULT = re.compile(
    r"(?P<name>authsvc\.(?P<module>[a-z_.]+)\.x(?:_|ǁ(?P<owner>\w+?)ǁ)(?P<function>\w+)__mutmut_(?P<number>\d+))"
    r": (?P<state>.+)"
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
timeout_multiplier = 2.0 # a test that hangs has noticed, but a busy machine must not look like that
timeout_constant = 60.0 # in seconds, before it is multiplied; where tests stop the clock it is all there is
use_git_change_detection = false
"""


PARTS = {
    "payload": Part(
        (
            "payloads/signature",
            "payloads/payload",
            "payloads/issuing",
            "payloads/verifying",
            "payloads/apps",
            "web/presented",
        ),
        (
            "payloads/test_signature",
            "payloads/test_payload",
            "payloads/test_vectors",
            "payloads/test_verifying",
            "payloads/test_issuing",
            "payloads/test_apps",
            "web/test_presented",
        ),
    ),
    "logins": Part(
        ("auth/authenticator", "auth/credentials", "auth/bearer", "auth/session_cookie", "auth/gateway"),
        (
            "auth/test_authenticator",
            "auth/test_credentials",
            "auth/test_bearer",
            "auth/test_session_cookie",
            "auth/test_gateway",
        ),
    ),
    "token_cache": Part(("auth/token_cache",), ("auth/test_token_cache",)),
    "limiter": Part(
        ("ratelimit/limiter", "ratelimit/rate"), ("ratelimit/test_limiter", "ratelimit/test_rate"), "overshoot"
    ),
    "settings": Part(
        ("settings/model", "settings/types", "settings/loader", "settings/watcher", "settings/apps_file"),
        (
            "settings/test_model",
            "settings/test_types",
            "settings/test_loader",
            "settings/test_watcher",
            "settings/test_apps_file",
        ),
    ),
    "stores": Part(
        ("stores/__init__", "stores/redis_url", "stores/instrumented"),
        ("stores/test_open", "stores/test_redis_url", "stores/test_instrumented"),
    ),
    "sqlite": Part(
        ("stores/sqlite", "stores/sqlite_files"),
        ("stores/test_sqlite", "stores/test_sqlite_files", "stores/test_sqlite_log", "stores/test_contract"),
        "redis or size_is_bounded or count_of_many or under_contention",
    ),
    "redis": Part(
        ("stores/redis",),
        ("stores/test_redis", "stores/test_contract", "stores/test_shapes"),
        "sqlite or tls or loading or for_many or test_contract and (redis_sentinels or redis_cluster)",
    ),
    "redis_client": Part(
        ("stores/redis_client",),
        ("stores/test_redis_client", "stores/test_names"),
        "around_a_fork or that_there_is_not or hangs or keeps_to",
    ),
    "topology": Part(
        ("stores/topology", "stores/discovery"),
        ("stores/test_topology", "stores/test_redis", "stores/test_shapes"),
        "sqlite or tls or for_many",
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
    settings = folder / "pyproject.toml"
    if settings.exists() and not settings.read_text().endswith(part.settings()):
        shutil.rmtree(folder)  # mutmut would leave a module that has come to the part as it is
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


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change that mutmut made, under its own name, and what came of it."""

    name: str
    module: str
    function: str
    number: int
    is_noticed: bool

    @property
    def is_as_listed(self) -> bool:
        """Whether README.md says that it may live if it does, and does not if not."""
        return self.is_noticed != ((self.function, self.number) in excused())


def run(part: Part, folder: Path, jobs: str) -> list[Mutant]:
    """Run the mutants that have not been run, and once more those that are not as they are listed."""
    lay_out(part, folder)
    # Which tests run what is found out anew: mutmut would ask new tests alone, also of a function that is new.
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    subprocess.run([MUTMUT, "run", "--max-children", jobs], cwd=folder, check=True)
    again = [mutant.name for mutant in results(folder) if not mutant.is_as_listed]
    if again:  # tests may have come since, or the machine was so busy that it looked as if they would not end
        subprocess.run([MUTMUT, "run", "--max-children", jobs, *again], cwd=folder, check=True)
    return results(folder)


def results(folder: Path) -> list[Mutant]:
    """Return what became of each mutant in this folder."""
    listing = [MUTMUT, "results", "--all", "true"]
    text = subprocess.run(listing, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [
        Mutant(
            name=found["name"],
            module=found["module"],
            function=".".join(filter(None, (found["module"], found["owner"], found["function"]))),
            number=int(found["number"]),
            is_noticed=found["state"] not in UNNOTICED,
        )
        for found in RESULT.finditer(text)
    ]


@cache
def excused() -> set[tuple[str, int]]:
    """Return function and number of each mutant that README.md says may live."""
    table = (FOLDER / "README.md").read_text().partition("\n| mutant |")[2].partition("\n\n")[0]
    return {
        (name, number)
        for name, numbers in re.findall(r"`([\w.]+)` ((?:\d+(?: to \d+)?(?:, )?)+)", table)
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers)
        for number in range(int(first), int(last or first) + 1)
    }


@cache
def counts() -> dict[str, tuple[int, int]]:
    """Return how many mutants of each module README.md says live, and of how many."""
    chapter = (FOLDER / "README.md").read_text().partition("\n## Mutants\n")[2].partition("\n| mutant |")[0]
    return {name: (int(lived), int(made)) for name, lived, made in re.findall(r"`([\w.]+)` (\d+) of (\d+)", chapter)}


def counted(mutants: list[Mutant]) -> dict[str, tuple[int, int]]:
    """Return how many of these mutants of each module live, and of how many."""
    made = Counter(mutant.module for mutant in mutants)
    lived = Counter(mutant.module for mutant in mutants if not mutant.is_noticed)
    return {module: (lived[module], number) for module, number in made.items()}


def main(jobs: str, names: list[str]) -> int:
    """
    Run these parts, or all.

    Return 1 if a mutant lives without a reason, has a reason and does not live, or if they are more or fewer than told.
    """
    mutants = [mutant for name in names or PARTS for mutant in run(PARTS[name], ROOT / "mutants" / name, jobs)]
    found = counted(mutants)
    for module, (lived, made) in found.items():
        print(f"{module}: {made} mutants, {made - lived} noticed")  # noqa: T201 -- for whoever runs it
    miscounted = [module for module, numbers in found.items() if counts().get(module) != numbers]
    for module in miscounted:
        print(f"{module}: README.md has other numbers, {counts().get(module)}")  # noqa: T201 -- the same
    wrong = [mutant for mutant in mutants if not mutant.is_as_listed]
    for mutant in wrong:
        print(f"{'noticed, but listed' if mutant.is_noticed else 'not noticed'}: {mutant.function} {mutant.number}")  # noqa: T201 -- the same
    return 1 if wrong or miscounted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
