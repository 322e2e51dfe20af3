"""
What every part is given: a folder, how long to measure, and a voice.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import servers
from bench.processes import Process
from bench.servers import Stage

MORE_ROUNDS = 2  # than other parts have, to see a twentieth


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; `rounds` alternations of `seconds` each, and memory after `settling` requests."""

    rounds: int = 5
    seconds: int = 3
    warm_s: int = 2
    growth_rounds: int = 3
    growth_s: int = 2
    claims: int = 100_000
    settling: int = 20_000
    clients: int = 5_000
    most_users: int = 1_000_000


QUICK = Scale(
    rounds=1,
    seconds=1,
    warm_s=1,
    growth_rounds=1,
    growth_s=1,
    claims=10_000,
    settling=2_000,
    clients=1_000,
    most_users=10_000,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmark."""

    folder: Path
    scale: Scale = field(default_factory=Scale)
    began_s: float = field(default_factory=time.monotonic)

    def say(self, words: str) -> None:
        """Tell how it goes."""
        print(f"{time.monotonic() - self.began_s:6.0f} s {words}", flush=True)

    def those_here(self, *names: str) -> list[str]:
        """Return the servers that this machine can start, and name those that it cannot."""
        lacking = {name: why for name in names if (why := servers.missing(name))}
        for name, why in lacking.items():
            self.say(f"  without {servers.TITLES[name]}: {why}")
        return [name for name in names if name not in lacking]

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Give a part a folder of its own, and clear it away."""
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def started(self, stack: ExitStack, name: str, stage: Stage, *, redis_url: str = "") -> Process:
        """Start a server; it is stopped with the stack."""
        self.say(f"  starting {servers.TITLES[name]}")
        return stack.enter_context(servers.server(name, stage, redis_url=redis_url))
