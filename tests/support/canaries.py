"""
How a canary secret is recognised wherever it shows up: as it is, in base64 as HTTP Basic sends it, in hex.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support import made_up


def _signs(canary: str) -> Iterator[str]:
    yield canary
    yield canary.encode().hex()
    # Base64 depends on what stands before, by its length modulo 3; the first and last characters mix with neighbours.
    for before in range(3):
        end = (before + len(canary)) // 3 * 4
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + canary.encode()).decode()[4 if before else 0 : end]


SIGNS = frozenset(sign for canary in made_up.CANARIES for sign in _signs(canary))
STARTED: list[str] = []
"""The command line of every process that this process has started since the last look."""


def is_shown_in(text: str) -> bool:
    """Return whether any canary secret is in the text, in any of its forms."""
    return any(sign in text for sign in SIGNS)


def checked(answer: bytes) -> bytes:
    """Return what came over a socket; fail if a canary secret is in it."""
    assert not is_shown_in(answer.decode("latin-1")), "a secret in an answer"
    return answer


def _note_process(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        command = arguments[1]
        parts: Sequence[Any] = [command] if isinstance(command, str | bytes) else command
        STARTED.append(subprocess.list2cmdline(map(str, parts)))


sys.addaudithook(_note_process)  # one that has ended before the test has is in no process list any more
