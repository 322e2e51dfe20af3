"""What a release is for somebody without the checkout: a wheel, pip, and the commands that it brings."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.demo_process import Demo
from tests.support.running import clean_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The `authsvc` of a new environment that holds the wheel and what the wheel asks for, nothing else."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, capture_output=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, text=True)
    return python.with_name("authsvc")


def test_demo_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`pip install WHEEL && authsvc demo` serves the page, its modules and the contract, and refuses the unknown."""
    demo = Demo(tmp_path, (str(installed),))
    demo.start()
    try:
        for path, part in (
            ("", "<html"),
            ("demo/main.js", "Pane"),
            ("demo/sdk.js", "JMessage"),
            ("client.js", "export"),
            ("openapi.yaml", "openapi: 3.1"),
        ):
            assert part in requests.get(demo.url + path, timeout=60).text
        refused = requests.post(demo.url + "v1/auth-payload", timeout=60)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/not-logged-in")
    finally:
        assert demo.stop() == 0, demo.log()


def test_the_service_does_not_load_the_sandboxs_libraries() -> None:
    """They are installed for the demo and cost a server nothing: neither memory nor what is found bad in them."""
    script = "import sys, authsvc.cli, authsvc.app; print(sorted({'aiohttp', 'imagesize'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", script], env=clean_environment(), check=True, capture_output=True)
    assert told.stdout == b"[]\n"
