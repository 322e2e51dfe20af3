"""
The demo as a real process: `authsvc demo` on a free loopback port.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from authsvc.bind import Bind
from tests.support.running import PATIENCE_S, clean_environment, free_port, is_listening, wait_until

PROGRAM = (sys.executable, "-m", "tests.support.patience")


class Demo:
    """`authsvc demo`, its output in a folder; of this environment, or of another one's program."""

    def __init__(self, folder: Path, program: tuple[str, ...] = PROGRAM) -> None:
        self.url = ""
        self.sandbox = Bind("", 0)
        self._program = program
        self._log = folder / "demo.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, port: int | None = None) -> None:
        """Start it, by default at a free port, and wait until it says where it is and listens there."""
        command = [*self._program, "demo", "--bind", f"127.0.0.1:{port or free_port()}", *arguments]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=clean_environment(), stdout=log, stderr=log)
        wait_until(self._is_there, what=self.log)
        self.sandbox = self._sandbox()

    def _is_there(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        found = re.search(r"http://127\.0\.0\.1:([0-9]+)/", self.log())
        if found is None:
            return False
        self.url = found[0]
        return is_listening(int(found[1]))

    def _sandbox(self) -> Bind:
        """Return where its sandbox is, which the page may reach."""
        with urlopen(self.url, timeout=PATIENCE_S) as page:  # noqa: S310 -- http, see above
            found = re.search(r"ws://(127\.0\.0\.1:[0-9]+)", page.headers["Content-Security-Policy"])
        assert found is not None
        return Bind.parse(found[1])

    def stop(self) -> int:
        """End it as Ctrl-C does and return its exit code."""
        assert self._process is not None
        self._process.send_signal(2)
        return self._process.wait(timeout=PATIENCE_S)

    def restart(self, *arguments: str) -> None:
        """End it and start it anew on the same port."""
        assert self.stop() == 0
        before = self.sandbox
        self.start(*arguments, port=Bind.parse(self.url.removeprefix("http://").rstrip("/")).port)
        assert self.sandbox == before, "an open page does not find it again"

    def die(self) -> None:
        """End it without a word to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=PATIENCE_S)

    def log(self) -> str:
        return self._log.read_text()
