"""The browser module: its behaviour by node, its types, its size, and what it asks of a browser."""

import gzip
from pathlib import Path

import pytest

from tests.support.node import run_node

STATIC = Path(__file__).parents[2] / "authsvc" / "static"
MODULE = STATIC / "client.js"
STRICT = ("--strict", "--noEmit", "--target", "es2017", "--module", "esnext", "--moduleResolution", "bundler")


TESTS = 89  # in client.test.mjs


def test_its_behaviour() -> None:
    """Every promise of it, with fetch, clock and chance in the test's hands."""
    check_behaviour()


def test_its_behaviour_when_compiled_to_es5(tmp_path: Path) -> None:
    """As old bundles have it, where a class that extends Error makes plain errors; every promise holds all the same."""
    es5 = ("--target", "es5", "--lib", "es2022,dom", "--module", "esnext", "--moduleResolution", "bundler", "--allowJs")
    run_node("tsc", *es5, "--outDir", str(tmp_path), str(MODULE))
    compiled = (tmp_path / "client.js").rename(tmp_path / "client.mjs")
    assert "class AuthsvcError" not in compiled.read_text()
    check_behaviour(CLIENT=str(compiled))


def check_behaviour(**variables: str) -> None:
    told = run_node("--test", "--test-reporter=tap", "client.test.mjs", variables=variables)
    assert "\n# fail 0\n" in told
    assert f"\n# pass {TESTS}\n" in told, told[-200:]


def test_its_types() -> None:
    """A page in strict TypeScript can use every export, and is told what is wrong."""
    run_node("tsc", *STRICT, "--lib", "es2022,dom", "types.ts")


def test_its_types_name_every_export() -> None:
    """Neither has what the other lacks."""
    script = f'import("{MODULE}").then((module) => console.log(Object.keys(module).sort().join()))'
    exports = run_node("--input-type=module", "-e", script).strip().split(",")
    assert exports == [
        "AuthsvcError",
        "bootstrap",
        "connect",
        "createClient",
        "fetchAuthPayload",
        "resourceUrl",
        "showImage",
    ]
    types = (STATIC / "client.d.ts").read_text()
    for name in exports:
        assert any(f"export {kind} {name}" in types for kind in ("class", "function", "const")), name


def test_its_size() -> None:
    """Minified and compressed it is small, and it needs no other file."""
    minified = run_node("esbuild", "--minify", "--format=esm", str(MODULE))
    assert len(gzip.compress(minified.encode())) < 8192
    assert "import" not in minified


@pytest.mark.parametrize(("version", "is_enough"), [(2017, True), (2016, False)])
def test_its_syntax_is_that_of_the_oldest_browsers_with_modules(version: int, *, is_enough: bool) -> None:
    """ES2017, which the first browsers with modules have; that the check can fail, an older one shows."""
    script = f"""
    const options = {{ ecmaVersion: {version}, sourceType: "module" }};
    try {{
      require("acorn").parse(require("fs").readFileSync(0, "utf8"), options);
      console.log("parsed");
    }} catch (error) {{ console.log(error.message); }}
    """
    assert (run_node("-e", script, text=MODULE.read_text()).strip() == "parsed") is is_enough


def test_no_lock_names_a_registry() -> None:
    """The packages are pinned by their hashes; where they come from is each machine's own affair."""
    lock = (Path(__file__).parent / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
