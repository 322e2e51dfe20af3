"""
The protocol of a store.

Expiry is a rule of the callers, by their own numbers: a store gets the time to keep an entry, and may keep it longer,
but never shorter. Imports nothing of the project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pulse:
    """
    The answer of a store to a ping.

    Args:
        clock_ms: its clock, Unix milliseconds.
        worry: in a few words, a setting by which it could lose claims without notice.
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
        Claim a key. Return True if the key has this value now, so that the claim is ours.

        The first value stays. The value of a claimant is a fresh id, so exactly one wins. After a lost answer a
        claimant retries, finds its own id and has won.

        Args:
            keep_ms: milliseconds to keep the claim, from the last successful call.
            since_ms: the time (Unix ms) since which the store must have kept every claim on this key.

        Raises:
            MemoryLost: the store's birth mark is `since_ms` or later, so it may have lost an earlier claim. This claim
                may be recorded or not.
            StoreUnavailable: the claim may be recorded or not; a retry is safe.
        """

    def get(self, key: str) -> str | None:
        """Return the key's value, or None."""

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """Set the key's value, and keep it for `keep_ms` milliseconds."""

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """Add to many counters, which start at 0, in one round trip. Return their totals by the same keys."""

    def ping(self) -> Pulse:
        """Write, ensure that there is a birth mark, and return the store's clock and worry."""

    def close(self) -> None:
        """Close connections. The store can be used again afterwards."""
