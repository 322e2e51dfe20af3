"""
The rate limit of each user and app: counted in the worker, reconciled with the store in the background.

`hit` never waits for the network. `reconcile` tells the store in a few round trips what this worker has let through
for all users since the last time, and learns what the others have. Imports only `rate`, `store` and `errors`.

The bound: in one window a user gets at most `limit + workers x what arrives between two exchanges`. While the store is
away each worker holds the limit by itself, which makes it `limit x workers`.
"""

import hashlib
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from authsvc.errors import StoreUnavailable, TooManyRequests
from authsvc.ratelimit.rate import Rate
from authsvc.stores.store import Store

MAX_USERS = 65_536  # remembered in one worker, some 60 MB; past that, those who have spent least are forgotten early

# Counts are exchanged in pieces with a pause between them, because requests wait while Python handles a piece: some two
# milliseconds for two hundred users. However many users there are, a slow store is asked a few times only.
PIECE = 200
PIECES = 5
PAUSE_S = 0.005


class Quota(NamedTuple):
    """What a user has left: `remaining` requests in the next `reset_s` seconds."""

    rate: Rate
    remaining: int
    reset_s: int


class _Tally:
    """
    One user's window, from `begins_ms` to before `ends_ms`.

    `shared` is what the store knows of, `pending` what it has yet to be told; `level` is where `Limiter` keeps it.
    """

    __slots__ = ("begins_ms", "ends_ms", "level", "pending", "shared", "window")

    def __init__(self, window: int, begins_ms: int, ends_ms: int) -> None:
        self.window = window
        self.begins_ms = begins_ms
        self.ends_ms = ends_ms
        self.shared = 0
        self.pending = 0
        self.level = 0


_Key = tuple[str, str]


class Limiter:
    """Counts hits by (appkey, user). Safe to use from many threads."""

    def __init__(self, rate: Rate, store: Store, *, what: str = "rate", max_users: int = MAX_USERS) -> None:
        """
        Take the rate and the store to reconcile with.

        Args:
            what: a word that tells these counts in the store from others.
            max_users: how many users are remembered.
        """
        self.rate = rate
        self._max_users = max_users
        self._what = what
        self._store = store
        self._lock = threading.Lock()
        self._tallies: dict[_Key, _Tally] = {}
        # The same by the number of bits of what was spent when that was last looked at, the longest known first. It is
        # looked at only when somebody has to be forgotten: a hit moves nobody.
        self._levels: list[OrderedDict[_Key, _Tally]] = [OrderedDict() for _ in range(rate.limit.bit_length() + 1)]
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
            except StoreUnavailable:
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
        former = self._tallies.get(key)
        if former is not None:
            del self._levels[former.level][key]
        elif len(self._tallies) >= self._max_users:
            self._forget(self._least_spent(now_ms))
        tally = self._tallies[key] = self._levels[0][key] = _Tally(window, begins_ms, begins_ms + window_ms)
        return tally

    def _least_spent(self, now_ms: int) -> _Key:
        """
        Return a user whose window is over, or else one who has spent least of it, to a factor of two.

        Were it the longest known, a flood of other users would give whoever has spent his limit a new one.
        """
        for level in filter(None, self._levels):
            key, tally = next(iter(level.items()))
            if not tally.begins_ms <= now_ms < tally.ends_ms:
                return key
        while True:
            level = next(filter(None, self._levels))
            key, tally = next(iter(level.items()))
            spent = min(tally.shared + tally.pending, self.rate.limit).bit_length()
            if spent == tally.level:
                return key
            del level[key]
            self._levels[spent][key] = tally
            tally.level = spent

    def _forget(self, key: _Key) -> None:
        del self._levels[self._tallies.pop(key).level][key]
        self._dirty.pop(key, None)

    def _name(self, key: _Key, window: int) -> str:
        appkey, user_id = key
        return f"{self._what}:{appkey}:{window}:{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"
