"""Tests of the project around the code: its pins, its version, what a wheel has in it, and what lies at the top."""

import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import authsvc

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
IGNORED = (ROOT / ".gitignore").read_text().split()
LOCK = (ROOT / "deploy" / "requirements.lock").read_text()
TOP = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "README.zh-CN.md",
    "SECURITY.md",
    "authsvc",
    "bench",
    "deploy",
    "docs",
    "openapi.yaml",
    "pyproject.toml",
    "tests",
}
# An extra of a dependency, by what it brings: the lock has no extras.
BROUGHT = {"pyjwt[crypto]": "cryptography", "redis[hiredis]": "hiredis"}


# What only Pythons before ours need, so that it is not installed here.
ONLY_EARLIER = {"async-timeout"} if sys.version_info >= (3, 11, 3) else set()


def is_ignored(path: Path) -> bool:
    names = path.relative_to(ROOT).parts
    return any(fnmatch(name, pattern.rstrip("/")) for name in names for pattern in IGNORED)


def pins() -> dict[str, Version]:
    """Return the lock's versions by name."""
    return {name: Version(version) for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)}


@pytest.mark.parametrize(
    "text", [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["granian"]]
)
def test_the_lock_serves_every_dependency(text: str) -> None:
    """Each has a pin, of a version that pyproject.toml accepts; so has what its extra brings."""
    requirement = Requirement(text)
    assert requirement.specifier.contains(pins()[requirement.name])
    for extra in requirement.extras:
        assert BROUGHT[f"{requirement.name}[{extra}]"] in pins()


@pytest.mark.parametrize("python", ["3.11.0", "3.13.0"])
def test_the_lock_serves_every_python(python: str) -> None:
    """What a pinned library asks for is pinned too, by whichever Python it is installed; pip refuses it otherwise."""
    extras = {requirement.name: requirement.extras for requirement in map(Requirement, BROUGHT)}
    for name in pins().keys() - ONLY_EARLIER:
        for asked in map(Requirement, metadata.requires(name) or []):
            of_it = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
            given = [of_it | {"extra": extra} for extra in ("", *extras.get(name, ()))]
            if asked.marker is None or any(map(asked.marker.evaluate, given)):
                assert canonicalize_name(asked.name) in pins(), f"{name} asks for {asked}"


def test_the_lock_holds_pins_and_hashes_alone() -> None:
    """Every line is a pin, one of its hashes or a comment; an address or an option would choose where it comes from."""
    bare = re.sub(r"^ *#.*\n", "", LOCK, flags=re.MULTILINE)
    condition = r"[a-z_]+ [<>=!]+ '[\w.-]+'"
    pin = rf"[a-z0-9._-]+==[0-9a-z.]+( ; {condition}( and {condition})*)?( \\\n    --hash=sha256:[0-9a-f]{{64}})+\n"
    assert re.sub(pin, "", bare) == ""
    assert not re.search("://|@", LOCK)


def test_the_lock_is_for_running_alone() -> None:
    """Nothing that only the tests need gets into an image."""
    for text in PROJECT["project"]["optional-dependencies"]["dev"]:
        assert Requirement(text).name not in pins()


# Parts of these that are not public are used, or are young enough to change; the versions that have them end where
# these may change.
REACHED_INTO = {
    "granian",
    "gunicorn",
    "mutmut",  # tests/README.md lists mutants by its numbers
    "opentelemetry-exporter-otlp-proto-http",
    "redis",
    "urllib3",
    "werkzeug",
    "zensical",
}


def is_bounded(text: str) -> bool:
    """Return whether a dependency has a floor, and an upper bound if parts are used that may change, and only then."""
    requirement = Requirement(text)
    operators = sorted(specifier.operator for specifier in requirement.specifier)
    return operators == (["<", ">="] if requirement.name in REACHED_INTO else [">="])


def test_every_dependency_is_bounded() -> None:
    """Each dependency has its oldest version, for the service and for the tests, and the newest where that matters."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    for text in (text for group in (PROJECT["project"]["dependencies"], *extras) for text in group):
        assert is_bounded(text) or text.startswith("authsvc["), text


@pytest.mark.parametrize("text", ["redis[hiredis]>=6.2", "granian<3", "gunicorn", "flask>=3.1.1,<4", "click"])
def test_a_missing_bound_would_be_found(text: str) -> None:
    """The test above can fail."""
    assert not is_bounded(text)


def test_the_version_is_written_once() -> None:
    """The build reads it from the package, and the changelog has a chapter for it, with the day of the release."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    path = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', path.read_text(), re.MULTILINE) == [authsvc.__version__]
    chapter = rf"^## {re.escape(authsvc.__version__)} - 20\d\d-[01]\d-[0-3]\d$"
    assert re.search(chapter, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_wheel_has_what_the_service_reads(tmp_path: Path) -> None:
    """What is built has every file of the package, types and pages too, and the contract; nothing else."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "authsvc"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {str(path.relative_to(ROOT)) for path in files} | {
        "authsvc/openapi.yaml",
        "authsvc/gunicorn.conf.py",
    }
    assert {"authsvc/py.typed", "authsvc/static/client.js", "authsvc/static/client.d.ts"} <= packed


def test_no_hint_names_a_package_of_an_index() -> None:
    """authsvc is on no index, so a hint to install it by its name would install a stranger's package."""
    found = [path for folder in ("authsvc", "bench", "deploy", "docs") for path in (ROOT / folder).rglob("*.*")]
    texts = {path: path.read_text(errors="replace") for path in [*found, *ROOT.glob("*.*")] if path.is_file()}
    texts = {path: text for path, text in texts.items() if not is_ignored(path)}
    assert {ROOT / "README.md", ROOT / "authsvc" / "cli.py", ROOT / "deploy" / "README.md"} <= texts.keys()
    by_name = re.compile(r"\bpip install\b[^\n`]*[\s'\"]authsvc(\[|[\s'\"`=<>~]|$)", re.MULTILINE)
    assert by_name.search("pip install 'authsvc[sandbox]'")
    assert {name for name, text in texts.items() if by_name.search(text)} == set()


def test_the_top_level_stays_short() -> None:
    """A new file or folder there has to be wanted."""
    assert {path.name for path in ROOT.iterdir() if path.name != ".git" and not is_ignored(path)} <= TOP


def test_makefile_names_existing_tests() -> None:
    """A file of tests that was moved is not left out of the long forms."""
    command = ["make", "--always-make", "--dry-run", "fuzz", "campaign"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    named = set(re.findall(r"\btests/[\w/]+(?:\.py)?(?!\S)", printed))
    assert {"tests/payloads/test_model.py", "tests/web/test_fuzz.py", "tests/stores"} <= named
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", ["decisions.md", "zh/decisions.md"])
def test_decisions_name_existing_modules(page: str) -> None:
    """Whoever wants to change what a decision is about finds the module."""
    named = set(re.findall(r"`([a-z]+/[a-z_]+)`", (ROOT / "docs" / page).read_text()))
    assert {"settings/loader", "server/gunicorn_worker"} <= named
    assert [name for name in named if not (ROOT / "authsvc" / f"{name}.py").exists()] == []
