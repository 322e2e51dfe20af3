"""The command where it cannot run: one sentence, and no traceback."""

import subprocess
import sys

import pytest

from tests.support.running import clean_environment


def run_without(module: str) -> subprocess.CompletedProcess[str]:
    """Run `authsvc --version` in a Python that has no such module, as Python reports it."""
    missing = (
        "import runpy, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise ModuleNotFoundError(f'No module named {{name}}', name=name)\n"
        f"sys.modules.pop({module!r}, None)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.argv = ['authsvc', '--version']\n"
        "runpy.run_module('authsvc', run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, "-c", missing]
    return subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", ["fcntl", "resource"])
def test_on_windows_one_sentence(module: str) -> None:
    """A module that Windows does not have is reported with what to do, and exit code 2."""
    done = run_without(module)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"authsvc: runs on Linux; this Python has no {module}: on Windows, use WSL 2 or a container\n"
    )


def test_another_module_is_missing() -> None:
    """A broken installation keeps its traceback: which module is missing is what its owner needs."""
    done = run_without("flask")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named flask" in done.stderr
