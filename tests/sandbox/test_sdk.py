"""
The whole guide, by our stand-in for the vendor's SDK, and by the vendor's unmodified one where `JMESSAGE_SDK` names its
file, or several, split by colons.
"""

import base64
import json
import os
import re
from pathlib import Path

import pytest

import authsvc
from authsvc.sandbox.files import picture
from authsvc.sandbox.verification import Service
from tests.conftest import Seen, bearer_of
from tests.sandbox.conftest import Sandbox
from tests.support import made_up
from tests.support.node import MODULES, run_node

SCRIPT = Path(__file__).with_name("sdk.test.mjs")
TABLE = Path(__file__).with_name("README.md")
STAND_IN = str(Path(authsvc.__file__).parent / "static" / "sdk.js")
SDKS = list(filter(None, os.environ.get("JMESSAGE_SDK", "").split(":")))


def rows() -> dict[str, str]:
    """Return the table's rows: what proves a call or a listener, by its name."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TABLE.read_text(), re.MULTILINE))


def test_the_table_has_the_whole_guide() -> None:
    """79 calls and 11 listeners, each with a test of ours."""
    listeners = [name for name in rows() if name.startswith("on")]
    assert (len(rows()) - len(listeners), len(listeners)) == (79, 11)


@pytest.mark.parametrize("name", rows())
def test_a_row_names_tests_that_there_are(name: str) -> None:
    """A name that leads nowhere proves nothing."""
    for path, test in re.findall(r"`([\w/.]+)::(\w+)`", rows()[name]):
        assert f"def {test}(" in (TABLE.parent / path).read_text()
    assert "::" in rows()[name]


@pytest.mark.parametrize("sdk", [STAND_IN, *SDKS], ids=lambda path: Path(path).name)
def test_the_whole_guide(sandbox: Sandbox, verifying: Service, seen: Seen, sdk: str) -> None:
    """Whatever the file has of the guide works: all of it in our stand-in, and what the vendor's lack 2.6.0 added."""
    variables = {
        "MODULES": str(MODULES),
        "SANDBOX": sandbox.url,
        "SERVICE": verifying.url,
        "TOKEN": bearer_of("ming")["Authorization"].removeprefix("Bearer "),
        "SDK": sdk,
        "MASTER_SECRET": made_up.MASTER_SECRET,
        "PICTURE": base64.b64encode(picture(8)).decode(),
    }
    told = run_node("--no-warnings", str(SCRIPT), variables=variables)
    seen.texts.append(told)
    source = Path(sdk).read_text()
    lacking = {name for name in rows() if sdk != STAND_IN and not re.search(rf"\.prototype\.{name}\s*=", source)}
    assert lacking <= {name for name, row in rows().items() if "2.6.0" in row}
    assert set(json.loads(told)) == rows().keys() - lacking
