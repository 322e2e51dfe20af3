"""
Programs that tests cannot do without: where one is missing its tests are skipped, or fail where nothing may be skipped.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"  # our own programs first


def do_without(what: str) -> NoReturn:
    """Skip the test, or fail it with `AUTHSVC_REQUIRE_SERVICES=1`, because of what is missing."""
    if os.environ.get("AUTHSVC_REQUIRE_SERVICES") == "1":
        pytest.fail(what)
    pytest.skip(what)


def program(name: str) -> str:
    """Return where the program is."""
    found = shutil.which(name, path=PATH)
    if found is None:
        do_without(f"no {name} here")
    return found


def file(path: Path, package: str) -> None:
    """Skip or fail, as `do_without` does, where a file of a package of Debian's is missing."""
    if not path.exists():
        do_without(f"no {path} here, which is in {package}")
