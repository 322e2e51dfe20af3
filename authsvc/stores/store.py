"""
What the rules ask of a store; `stores` has the two that answer.

Expiry is a rule of the callers of a store, from their own numbers: a store is told how long to keep an entry and may
keep it longer, never shorter. Imports nothing of the project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pulse:
    """
    What a store that is there tells of itself.

    Args:
        clock_ms: its clock, Unix milliseconds.
        worry: how it is set up so that it could lose claims without a sign, in a few words.
    """

    clock_ms: int
    worry: str | None = None


class Store(Protocol):
    """
    Memory shared by all workers.

    Keys and values are short ASCII strings. Every method raises `StoreUnavailable` within a second when the store
    cannot be reached, cannot write or is too slow.
    """

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        """
        Claim a key and return whether it is ours: True if the key now holds this very value.

        The first value stays. A claimant brings a fresh id as its value, so exactly one wins, and one whose answer was
        lost on the way finds its own id when it asks again and has won, not lost.

        Args:
            keep_ms: how long the claim must be remembered, milliseconds; from the latest time that it was ours.
            since_ms: the moment (Unix ms) from which an earlier claim on this key must not have been forgotten.

        Raises:
            MemoryLost: the store's birth mark is `since_ms` or later, so an earlier claim may have been lost with
                the store's memory. The claim may or may not have been recorded.
            StoreUnavailable: whether the claim was made is not known; making it again is safe.
        """

    def get(self, key: str) -> str | None:
        """Return the key's value, or None."""

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """Set the key's value, whatever it was, and keep it for `keep_ms` milliseconds."""

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """Add to many counters in one round trip, each starting from 0; return their totals under the same keys."""

    def ping(self) -> Pulse:
        """Take a write, make sure of the birth mark, and tell the store's clock and worry."""

    def close(self) -> None:
        """Let go of connections. A store may be used again afterwards."""
