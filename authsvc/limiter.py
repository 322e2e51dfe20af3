"""
The rate limit of each user and app: counted in the worker, reconciled with the store in the background.

`hit` never waits for the network. `reconcile` tells the store in a few round trips what this worker has let through
for all users since the last time, and learns what the others have. Imports only `store` and `errors`.

The bound: in one window a user gets at most `limit + workers x what arrives between two exchanges`. While the store is
away each worker holds the limit by itself, which makes it `limit x workers`.
"""

import hashlib
import re
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from authsvc.errors import StoreAway, TooManyRequests
from authsvc.store import Store

_WINDOWS_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000}
MAX_USERS = 65_536  # remembered in one worker, some 20 MB; past that the longest known is forgotten early

# Counts are exchanged in pieces with a pause between them, because requests wait while Python handles a piece: some two
# milliseconds for two hundred users. However many users there are, a slow store is asked a few times only.
PIECE = 200
PIECES = 5
PAUSE_S = 0.005


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` requests in a window of `window_ms` milliseconds."""

    limit: int
    window_ms: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `60/minute` and the like; raises ValueError."""
        match = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
        if match is None:
            raise ValueError("must be a number and a unit, like 60/minute (second, minute, hour)")
        return cls(limit=int(match[1]), window_ms=_WINDOWS_MS[match[2]])

    def __str__(self) -> str:
        return f"{self.limit}/{next(unit for unit, ms in _WINDOWS_MS.items() if ms == self.window_ms)}"


class Quota(NamedTuple):
    """What a user has left: `remaining` requests in the next `reset_s` seconds."""

    rate: Rate
    remaining: int
    reset_s: int


class _Tally:
    """
    One user's window, from `begins_ms` to before `ends_ms`.

    `shared` is what the store knows of, `pending` what it has yet to be told.
    """

    __slots__ = ("begins_ms", "ends_ms", "pending", "shared", "window")

    def __init__(self, window: int, begins_ms: int, ends_ms: int) -> None:
        self.window = window
        self.begins_ms = begins_ms
        self.ends_ms = ends_ms
        self.shared = 0
        self.pending = 0


_Key = tuple[str, str]


class Limiter:
    """Counts hits by (appkey, user). Safe to use from many threads."""

    def __init__(self, rate: Rate, store: Store, *, what: str = "rate") -> None:
        """Take the rate, the store to reconcile with, and a word that tells these counts there from others."""
        self.rate = rate
        self._what = what
        self._store = store
        self._lock = threading.Lock()
        self._tallies: OrderedDict[_Key, _Tally] = OrderedDict()
        self._dirty: dict[_Key, _Tally] = {}

    def __len__(self) -> int:
        """Return how many users are remembered."""
        return len(self._tallies)

    def hit(self, user_id: str, appkey: str, now_ms: int) -> Quota:
        """
        Count one request and return what is left.

        A refused request is not counted. Each user's windows begin at a moment of his own, so that those who wait for
        a new window do not all come back at once.

        Raises:
            TooManyRequests: the window is spent.
        """
        rate, key = self.rate, (appkey, user_id)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None or not tally.begins_ms <= now_ms < tally.ends_ms:
                tally = self._begin(key, now_ms)
            used = tally.shared + tally.pending
            if used < rate.limit:
                tally.pending += 1
                self._dirty[key] = tally
        reset_s = -((now_ms - tally.ends_ms) // 1000)
        if used >= rate.limit:
            raise TooManyRequests(limit=rate.limit, window_ms=rate.window_ms, retry_after_s=reset_s)
        return Quota(rate, rate.limit - used - 1, reset_s)

    def reconcile(self) -> None:
        """
        Exchange counts with the store; if it is away, keep them for the next time.

        A lost answer makes a count be told twice, which errs on the strict side.
        """
        with self._lock:
            due, self._dirty = list(self._dirty.items()), {}
        size = max(PIECE, -(-len(due) // PIECES))
        for start in range(0, len(due), size):
            if start:
                time.sleep(PAUSE_S)
            try:
                self._exchange(due[start : start + size])
            except StoreAway:
                with self._lock:
                    left = {key: tally for key, tally in due[start:] if self._tallies.get(key) is tally}
                    self._dirty = left | self._dirty
                return

    def _exchange(self, some: Sequence[tuple[_Key, _Tally]]) -> None:
        """Exchange the counts of some users, in one round trip."""
        told = {self._name(key, tally.window): (tally, tally.pending) for key, tally in some}
        hits = {name: pending for name, (_, pending) in told.items()}
        totals = self._store.count(hits, keep_ms=2 * self.rate.window_ms)
        with self._lock:
            for name, (tally, pending) in told.items():
                tally.pending -= pending
                # Never below what this worker let through itself, should the store have lost its memory.
                tally.shared = max(tally.shared + pending, totals[name])

    def _begin(self, key: _Key, now_ms: int) -> _Tally:
        window_ms = self.rate.window_ms
        shift_ms = zlib.crc32(key[1].encode()) % window_ms
        window = (now_ms + shift_ms) // window_ms
        begins_ms = window * window_ms - shift_ms
        tally = self._tallies[key] = _Tally(window, begins_ms, begins_ms + window_ms)
        self._tallies.move_to_end(key)
        if len(self._tallies) > MAX_USERS:
            forgotten, _ = self._tallies.popitem(last=False)
            self._dirty.pop(forgotten, None)
        return tally

    def _name(self, key: _Key, window: int) -> str:
        appkey, user_id = key
        return f"{self._what}:{appkey}:{window}:{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"
