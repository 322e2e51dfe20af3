"""
Where the primaries are, and how they are asked: one Redis, the one that sentinels name, or those of a Cluster.

Imports `errors`, `redis_client`, `discovery` and `redis_url`.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

import redis
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    TryAgainError,
)

from authsvc.errors import StoreUnavailable
from authsvc.stores.discovery import Nodes, Sentinels
from authsvc.stores.redis_client import Client
from authsvc.stores.redis_url import RedisUrl

PREFIX = "authsvc:"
BUCKETS = 64  # in a Cluster; each is one slot, so it is also the number of primaries that can share the work

# Against hosts that swallow everything a call waits for a connection and for an answer, looks where the primary is now,
# and waits for an answer again. Together that stays within the second that the protocol allows.
TIMEOUT_S = 0.25
RETRY_WITHIN_S = 0.5
AWAY_S = 0.25

CLUSTER = "this Redis is a node of a Cluster; begin the URL with redis+cluster:// or rediss+cluster://"
T = TypeVar("T")


class Server:
    """A Redis: its connections, and until when nobody should try them. Without a URL, one that is not found yet."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.client = self._anew()
        self._away_until_s = 0.0
        self._answered_s = 0.0
        self._remedy: str | None = None

    def begin_anew(self, failed: Client) -> None:
        """
        Make connections anew: a failed-over host name may mean another server by now.

        Only for the first of those that the same connections failed, or each would throw away what the others made.
        """
        if self.client is failed:
            self.client = self._anew()

    def enter(self) -> bool:
        """
        Return whether this caller is the one that tries the server again; raise StoreUnavailable if it should wait.

        A Redis that hangs must not hold every thread of the process.
        """
        now_s = time.monotonic()
        if now_s < self._away_until_s:
            raise StoreUnavailable(self._remedy) from TimeoutError("Redis was unavailable a moment ago")
        is_trying = self._away_until_s > 0
        if is_trying:
            self._away_until_s = now_s + 1  # longer than the one call that tries can take
        return is_trying

    def leave(self, *, failed: bool, remedy: str | None = None) -> None:
        """Tell what came of it; `remedy` is what those who wait are told too."""
        self._remedy = remedy
        now_s = time.monotonic()
        self._away_until_s = now_s + AWAY_S if failed else 0.0
        if not failed:
            self._answered_s = now_s

    def is_slow(self, failure: Exception, since_s: float) -> bool:
        """
        Whether a failure is that of one connection, because others had answers meanwhile.

        Many connections that are made at once, by TLS and with few cores, may take too long for some of them. Were all
        thrown away then, it would begin again.
        """
        return isinstance(failure, redis.ConnectionError | redis.TimeoutError) and self._answered_s > since_s

    def _anew(self) -> Client:
        return Client(self.url or "redis://", TIMEOUT_S)


class Primaries:
    """
    The primaries of the Redis at `url`, by bucket. Safe to use from many threads, and before and after a fork.

    Keys are spread over `prefixes`, their buckets. One primary has one bucket; in a Cluster each is a slot.
    """

    def __init__(self, url: RedisUrl) -> None:
        is_cluster = url.shape == "cluster"
        self.prefixes = [f"{PREFIX}{{{bucket:02}}}:" for bucket in range(BUCKETS)] if is_cluster else [PREFIX]
        self._is_single = not url.shape
        self._find: Callable[[], Sequence[str]]
        if is_cluster:
            self._find = Nodes(url, [key_slot(prefix.encode()) for prefix in self.prefixes]).primaries
        elif url.shape:
            self._find = Sentinels(url).primary
        else:
            self._find = lambda: url.asked
        self._servers = [Server()] * len(self.prefixes)

    def bucket(self, key: str) -> int:
        """Return the bucket of a key."""
        return crc32(key.encode()) % len(self.prefixes)

    def beside(self, bucket: int) -> list[int]:
        """Return the buckets that are on the same primary, as far as is known; itself among them."""
        servers = self._servers
        return [other for other, server in enumerate(servers) if server is servers[bucket]]

    def groups(self) -> list[list[int]]:
        """Return the buckets by primary. Raises StoreUnavailable if no primary was found so far, and none is."""
        if not self._servers[0].url:
            self.ask(0, lambda _: None)
        return sorted(self.beside(bucket) for bucket in range(len(self.prefixes)) if self.beside(bucket)[0] == bucket)

    def ask(self, bucket: int, question: Callable[[Client], T]) -> T:
        """
        Return what the primary of a bucket answers.

        A question whose connection broke is asked again, once, of the primary that there is then. After a failure
        others fail at once for a moment; then one at a time looks where the primary is, and asks.

        Raises:
            StoreUnavailable: from redis-py's error or an OSError.
        """
        began_s = time.monotonic()
        server = self._servers[bucket]
        client = server.client
        is_trying = server.enter()
        try:
            if is_trying or not server.url:
                server = self._look(bucket)
                client = server.client
            try:
                answer = question(client)
            except (redis.ConnectionError, redis.TimeoutError, MovedError) as exc:
                if time.monotonic() - began_s > RETRY_WITHIN_S:
                    raise
                if not server.is_slow(exc, began_s):
                    server.begin_anew(client)
                server = self._look(bucket)
                client = server.client
                answer = question(client)
        except (redis.RedisError, OSError) as exc:
            if self._is_single and is_clusters_own(exc):
                server.leave(failed=True, remedy=CLUSTER)
                raise StoreUnavailable(CLUSTER) from exc
            if is_moving(exc):
                server.leave(failed=False)
            elif not server.is_slow(exc, began_s):
                server.begin_anew(client)
                server.leave(failed=True)
            raise StoreUnavailable from exc
        server.leave(failed=False)
        return answer

    def close(self) -> None:
        """Let go of all connections."""
        for server in set(self._servers):
            server.client.close()

    def _look(self, bucket: int) -> Server:
        known = {server.url: server for server in self._servers}
        urls = self._find()
        known |= {url: Server(url) for url in {*urls} - known.keys()}
        self._servers = [known[url] for url in urls]
        return self._servers[bucket]


def is_clusters_own(failure: object) -> bool:
    """Whether only a node of a Cluster answers so."""
    is_own = isinstance(failure, AskError | ClusterCrossSlotError | ClusterDownError)
    return is_own and not isinstance(failure, MasterDownError)


def is_moving(failure: object) -> bool:
    """Whether this is what a node of a Cluster says of one slot that is being moved; with others it goes on."""
    return isinstance(failure, AskError | TryAgainError) and not isinstance(failure, MovedError)
