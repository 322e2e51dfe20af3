"""
The store of several hosts: one Redis, version 7 or later.

Imports `errors`.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from authsvc.errors import MemoryLost, StoreAway

PREFIX = "authsvc:"
BIRTH = f"{PREFIX}birth"

# A call against a host that swallows everything times out three times at most: reading the answer, and twice
# connecting anew. Together with the wait for a connection that stays within the second that the protocol allows.
TIMEOUT_S = 0.25
CONNECTION_WAIT_S = 0.1
MAX_CONNECTIONS = 64  # more than a worker has threads
AWAY_S = 0.25
COUNTERS = 5_000  # in one round trip

# GET tells our own first attempt, whose answer was lost, from somebody else's claim.
_CLAIM = """
local held = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2])
return {held, redis.call('SET', KEYS[2], ARGV[3], 'NX', 'GET') or ARGV[3], redis.call('TIME')}
"""
_Claimed = tuple[str | None, str, tuple[str, str]]  # the value held before, the birth mark, the server's time
_CLAIM_SHA = hashlib.sha1(_CLAIM.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """
    A store in the Redis at `url`. Safe to use from many threads, and before and after a fork.

    After a call has failed, others fail at once for a moment and then one at a time asks again: a Redis that hangs
    must not hold every thread of the server. Connections are made anew after a failure, because a failed-over host
    name may mean another server by then.

    A claim is a script that the server is asked to run by its digest. A server keeps scripts in memory alone, so one
    that does not know ours has restarted, from a snapshot of any age, or is a replica promoted in the place of the
    one that had our latest claims: the birth mark is set anew before the script is.
    """

    def __init__(self, url: str, *, now_ms: Callable[[], int]) -> None:
        self._url = url
        self._now_ms = now_ms
        self._away_until_s = 0.0
        self._client = self._connections()

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        """See `Store.add`."""
        held, born, _ = self._claim(key, value, keep_ms)
        if since_ms is not None and int(born) >= since_ms:
            raise MemoryLost(int(born))
        return held is None or held == value

    def get(self, key: str) -> str | None:
        """See `Store.get`."""
        with self._asking() as client:
            value = client.get(PREFIX + key)
        return None if value is None else str(value)

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """See `Store.put`."""
        with self._asking() as client:
            client.set(PREFIX + key, value, px=keep_ms)

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """See `Store.count`. An answer that is lost on the way makes a hit count twice, never not at all."""
        totals: dict[str, int] = {}
        counters = list(hits.items())
        for start in range(0, len(counters), COUNTERS):
            some = counters[start : start + COUNTERS]
            with self._asking() as client, client.pipeline(transaction=False) as pipe:
                for key, hit in some:
                    pipe.incrby(PREFIX + key, hit)
                    pipe.pexpire(PREFIX + key, keep_ms, nx=True)
                answers = pipe.execute()
            totals |= {key: int(total) for (key, _), total in zip(some, answers[::2], strict=True)}
        return totals

    def ping(self) -> int:
        """See `Store.ping`."""
        _, _, (seconds, microseconds) = self._claim("ping", str(self._now_ms()), 1_000)
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    def close(self) -> None:
        """See `Store.close`."""
        self._client.close()

    def _claim(self, key: str, value: str, keep_ms: int) -> _Claimed:
        arguments = (_CLAIM_SHA, 2, PREFIX + key, BIRTH, value, keep_ms, self._now_ms())
        with self._asking() as client:
            try:
                return cast(_Claimed, client.evalsha(*arguments))
            except NoScriptError:
                with client.pipeline() as pipe:
                    pipe.set(BIRTH, self._now_ms())
                    pipe.script_load(_CLAIM)
                    pipe.execute()
                return cast(_Claimed, client.evalsha(*arguments))

    @contextmanager
    def _asking(self) -> Iterator[redis.Redis]:
        now_s = time.monotonic()
        if now_s < self._away_until_s:
            raise StoreAway from TimeoutError("Redis was away a moment ago")
        if self._away_until_s:
            self._away_until_s = now_s + 1  # longer than the one call that asks can take
        try:
            yield self._client
        except (redis.RedisError, OSError) as exc:
            self._client = self._connections()
            self._away_until_s = time.monotonic() + AWAY_S
            raise StoreAway from exc
        self._away_until_s = 0.0

    def _connections(self) -> redis.Redis:
        pool = redis.BlockingConnectionPool.from_url(
            self._url,
            max_connections=MAX_CONNECTIONS,
            timeout=CONNECTION_WAIT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
            client_name="authsvc",
            decode_responses=True,
            # With protocol 3 a server may push redis-py to wait ten seconds while it is maintained, and one that does
            # not know HELLO answers with an error that repeats the password.
            protocol=2,
        )
        return redis.Redis.from_pool(pool)
