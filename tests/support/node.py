"""
Node.js and the npm packages that tests run in it; `make test` installs both.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support import needed

FOLDER = Path(__file__).parents[1] / "browser"
MODULES = FOLDER / "node_modules"


def node() -> str:
    """Return the path of node; without it, or its packages, the test is skipped, or fails where it may not be."""
    if not MODULES.is_dir():
        needed.do_without("no npm packages here")
    return needed.program("node")


def run_node(*arguments: str, variables: Mapping[str, str] | None = None, text: str = "") -> str:
    """
    Run node and return what it says; it fails the test unless it ends well.

    Args:
        arguments: the first may be the name of a package's program, such as `tsc`.
        text: its standard input.
    """
    binary = node()
    program = MODULES / ".bin" / arguments[0]
    command = [str(program), *arguments[1:]] if program.exists() else [binary, *arguments]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env=os.environ | dict(variables or {}),
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
