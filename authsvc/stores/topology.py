"""
The topology of Redis: one server, the primary that sentinels name, or the primaries of a Cluster; and the calls to
them.

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
BUCKETS = 64  # in a Cluster; each is one slot, so at most so many primaries share the work

# With a host that drops all packets, a call waits for a connection and for an answer, discovers the primary, and waits
# for an answer again. In all that is less than the second that the protocol allows.
TIMEOUT_S = 0.25
RETRY_WITHIN_S = 0.5
AWAY_S = 0.25

CLUSTER = "this Redis is a node of a Cluster; begin the URL with redis+cluster:// or rediss+cluster://"
T = TypeVar("T")


class Server:
    """A Redis: its client, and until when it is not to be tried. Without a URL, one that is not discovered yet."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.client = self._anew()
        self._away_until_s = 0.0
        self._answered_s = 0.0
        self._remedy: str | None = None

    def begin_anew(self, failed: Client) -> None:
        """
        Replace the connections: after a failover the host name may have another address.

        Only the first caller of those that the same client failed replaces it, or they would close each other's.
        """
        if self.client is failed:
            self.client = self._anew()

    def enter(self) -> bool:
        """
        Return whether this caller is the one that tries the server again; raise StoreUnavailable if it should wait.

        A Redis that hangs must not block every thread of the process.
        """
        now_s = time.monotonic()
        if now_s < self._away_until_s:
            raise StoreUnavailable(self._remedy) from TimeoutError("Redis was unavailable a moment ago")
        is_trying = self._away_until_s > 0
        if is_trying:
            self._away_until_s = now_s + 1  # longer than the trying call can take
        return is_trying

    def leave(self, *, failed: bool, remedy: str | None = None) -> None:
        """Note the outcome of a call; `remedy` is for the callers that wait, too."""
        self._remedy = remedy
        now_s = time.monotonic()
        self._away_until_s = now_s + AWAY_S if failed else 0.0
        if not failed:
            self._answered_s = now_s

    def is_slow(self, failure: Exception, since_s: float) -> bool:
        """
        Whether only one connection has failed, because others had answers in between.

        When many TLS connections are made at once on few cores, some take too long. To close all of them would start
        that again.
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
        """Return the buckets on the same primary, as far as is known, including this one."""
        servers = self._servers
        return [other for other, server in enumerate(servers) if server is servers[bucket]]

    def groups(self) -> list[list[int]]:
        """Return the buckets by primary. Raises StoreUnavailable if no primary is known or found."""
        if not self._servers[0].url:
            self.ask(0, lambda _: None)
        return sorted(self.beside(bucket) for bucket in range(len(self.prefixes)) if self.beside(bucket)[0] == bucket)

    def ask(self, bucket: int, question: Callable[[Client], T]) -> T:
        """
        Return the answer of a bucket's primary to a question.

        If the connection broke, the primary is discovered and asked once more. After a failure other calls fail at once
        for a moment; then one call at a time discovers the primary and asks it.

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
        """Close all connections."""
        for server in set(self._servers):
            server.client.close()

    def _look(self, bucket: int) -> Server:
        known = {server.url: server for server in self._servers}
        urls = self._find()
        known |= {url: Server(url) for url in {*urls} - known.keys()}
        self._servers = [known[url] for url in urls]
        return self._servers[bucket]


def is_clusters_own(failure: object) -> bool:
    """Whether this is an error that only a node of a Cluster returns."""
    is_own = isinstance(failure, AskError | ClusterCrossSlotError | ClusterDownError)
    return is_own and not isinstance(failure, MasterDownError)


def is_moving(failure: object) -> bool:
    """Whether this is the error of a node of a Cluster for a slot that is being moved; other slots work."""
    return isinstance(failure, AskError | TryAgainError) and not isinstance(failure, MovedError)
