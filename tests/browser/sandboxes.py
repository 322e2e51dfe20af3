"""
`authsvc sandbox` as a real process that a test may end and start again at the same place.
"""

import subprocess
import sys
from pathlib import Path

from tests.support import made_up
from tests.support.running import PATIENCE_S, clean_environment, free_port, is_listening, wait_until


class SandboxProcess:
    """The sandbox beside a service; its log is in a folder."""

    def __init__(self, folder: Path, *, service: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._service = service
        self._log = folder / "sandbox.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        variables = {
            "AUTHSVC_APPKEY": made_up.APPKEY,
            "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
            "AUTHSVC_VERIFIER_KEYS": made_up.VERIFIER_KEY,
        }
        where = ("--bind", f"127.0.0.1:{self._port}", "--service", self._service)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "authsvc", "sandbox", *where],
                env=clean_environment() | variables,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: is_listening(self._port), what=self._log.read_text)

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def stop(self) -> None:
        """End it and return when it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""
