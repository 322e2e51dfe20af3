"""
The rate limit of each user and app: counted in the worker, reconciled with the store in the background.

`hit` never waits for the network. `reconcile` adds, in a few round trips, what this worker has accepted since the last
call to the counts in the store, and reads the totals of all workers. Imports only `rate`, `store` and `errors`.

The bound: in one window a user gets at most `limit + workers x what arrives between two exchanges`. While the store is
unavailable each worker enforces the limit by itself, so a user gets at most `limit x workers`.
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

MAX_USERS = 65_536  # counted in one worker, some 60 MB; beyond that, those with the fewest requests are dropped early

# Counts are exchanged in batches with a pause between them, because requests wait while Python handles a batch: some
# two milliseconds for two hundred users. However many users there are, a slow store gets only a few calls.
PIECE = 200
PIECES = 5
PAUSE_S = 0.005

# A request may have arrived in the window before, and have waited for its login or its body since. One that is later
# than that shows that the clock was set back.
LATE_MS = 60_000


class Quota(NamedTuple):
    """What a user has left: `remaining` requests in the next `reset_s` seconds."""

    rate: Rate
    remaining: int
    reset_s: int


class _Tally:
    """
    One user's window, from `begins_ms` to before `ends_ms`.

    `shared` is the count in the store, `pending` what is to be added to it; `level` is the index in `Limiter._levels`.
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
            what: a word that distinguishes these counts in the store from others.
            max_users: how many users are counted.
        """
        self.rate = rate
        self._max_users = max_users
        self._what = what
        self._store = store
        self._lock = threading.Lock()
        self._tallies: dict[_Key, _Tally] = {}
        # The same tallies by the number of bits of their count when it was last looked at, the oldest first. It is
        # looked at only when a user has to be dropped: a hit moves no tally.
        self._levels: list[OrderedDict[_Key, _Tally]] = [OrderedDict() for _ in range(rate.limit.bit_length() + 1)]
        self._dirty: dict[_Key, _Tally] = {}

    def __len__(self) -> int:
        """Return how many users are counted."""
        return len(self._tallies)

    def hit(self, user_id: str, appkey: str, now_ms: int) -> Quota:
        """
        Count one request and return what is left.

        A rejected request is not counted. One that is late counts in the window that has begun since. The windows of
        each user start at a different moment, so that not all users retry at once.

        Raises:
            TooManyRequests: the limit of the window is reached.
        """
        rate, key = self.rate, (appkey, user_id)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None or not tally.begins_ms - LATE_MS <= now_ms < tally.ends_ms:
                tally = self._begin(key, now_ms)
            used = tally.shared + tally.pending
            if used < rate.limit:
                tally.pending += 1
                self._dirty[key] = tally
        if now_ms < tally.begins_ms:
            now_ms = tally.begins_ms
        reset_s = -((now_ms - tally.ends_ms) // 1000)
        if used >= rate.limit:
            raise TooManyRequests(limit=rate.limit, window_ms=rate.window_ms, retry_after_s=reset_s)
        return Quota(rate, rate.limit - used - 1, reset_s)

    def reconcile(self) -> None:
        """
        Exchange counts with the store. If it is unavailable, keep them for the next call.

        After a lost answer the counts are added again, which errs on the strict side.
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
        sent = {self._name(key, tally.window): (tally, tally.pending) for key, tally in some}
        hits = {name: pending for name, (_, pending) in sent.items()}
        totals = self._store.count(hits, keep_ms=2 * self.rate.window_ms)
        with self._lock:
            for name, (tally, pending) in sent.items():
                tally.pending -= pending
                # Never below what this worker has accepted itself, in case the store has lost its data.
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
        Return a user whose window is over, else one with the fewest requests in it, to a factor of two.

        If it were the oldest, a flood of other users would reset the limit of a user who has reached it.
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
