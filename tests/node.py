"""
Node.js and the npm packages that tests run in it; `make test` installs both.
"""

import os
import shutil
from pathlib import Path

import pytest

MODULES = Path(__file__).parent / "browser" / "node_modules"


def node() -> str:
    """Return the path of node; without it, or its packages, the test is skipped, or fails where it may not be."""
    binary = shutil.which("node")
    if binary is None or not MODULES.is_dir():
        (pytest.fail if os.environ.get("AUTHSVC_REQUIRE_SERVICES") == "1" else pytest.skip)("no node and packages here")
    return binary
