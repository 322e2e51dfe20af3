"""
The demo as a real process: `authsvc demo` on a free loopback port.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.running import clean_environment, is_listening, wait_until


class Demo:
    """`authsvc demo`, its output in a folder; of this environment, or of another one's program."""

    def __init__(self, folder: Path, program: tuple[str, ...] = (sys.executable, "-m", "authsvc")) -> None:
        self.url = ""
        self._program = program
        self._log = folder / "demo.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, bind: str = "127.0.0.1:0") -> None:
        """Start it and wait until it says where it is and listens there."""
        command = [*self._program, "demo", "--bind", bind, *arguments]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=clean_environment(), stdout=log, stderr=log)
        wait_until(self._is_there, what=self.log)

    def _is_there(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        found = re.search(r"http://127\.0\.0\.1:([0-9]+)/", self.log())
        if found is None:
            return False
        self.url = found[0]
        return is_listening(int(found[1]))

    def stop(self) -> int:
        """End it as Ctrl-C does and return its exit code."""
        assert self._process is not None
        self._process.send_signal(2)
        return self._process.wait(timeout=60)

    def restart(self, *arguments: str) -> None:
        """End it and start it anew on the same port."""
        assert self.stop() == 0
        self.start(*arguments, bind=self.url.removeprefix("http://").rstrip("/"))

    def die(self) -> None:
        """End it without a word to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=60)

    def log(self) -> str:
        return self._log.read_text()
