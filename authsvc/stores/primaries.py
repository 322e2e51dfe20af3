"""
Where the primaries are, and how they are asked: one Redis, the one that sentinels name, or those of a Cluster.

redis-py's own clients for Sentinel and Cluster connect when they are made, and go on trying for longer than a store may
take; this asks the same questions within its second. Imports `errors`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar
from zlib import crc32

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, TryAgainError
from redis.retry import Retry

from authsvc.errors import StoreAway
from authsvc.stores.redisurl import RedisUrl

PREFIX = "authsvc:"
BUCKETS = 64  # in a Cluster; each is one slot, so it is also the number of primaries that can share the work

# Against hosts that swallow everything a call waits for a connection and for an answer, looks where the primary is now,
# and waits for an answer again. Together that stays within the second that the protocol allows.
TIMEOUT_S = 0.25
CONNECTION_WAIT_S = 0.1
LOOK_TIMEOUT_S = 0.1  # for one sentinel or node; a second one is asked if that leaves time
LOOK_S = 0.15
RETRY_WITHIN_S = 0.5
MAX_CONNECTIONS = 64  # more than a worker has threads
AWAY_S = 0.25

T = TypeVar("T")
Find = Callable[[], Sequence[str]]


class Server:
    """A Redis: its connections, and until when nobody should try them. Without a URL, one that is not found yet."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self._away_until_s = 0.0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Make connections anew: a failed-over host name may mean another server by now."""
        self.client = _client(self.url or "redis://", TIMEOUT_S, MAX_CONNECTIONS)

    def enter(self) -> bool:
        """
        Return whether the caller is the one to try again whether it is there; raise StoreAway if others should wait.

        A Redis that hangs must not hold every thread of the process.
        """
        now_s = time.monotonic()
        if now_s < self._away_until_s:
            raise StoreAway from TimeoutError("Redis was away a moment ago")
        is_trying = self._away_until_s > 0
        if is_trying:
            self._away_until_s = now_s + 1  # longer than the one call that tries can take
        return is_trying

    def leave(self, *, failed: bool) -> None:
        """Tell what came of it."""
        self._away_until_s = time.monotonic() + AWAY_S if failed else 0.0


class Primaries:
    """
    The primaries of the Redis at `url`, by bucket. Safe to use from many threads, and before and after a fork.

    Keys are spread over `prefixes`, their buckets. One primary has one bucket; in a Cluster each is a slot.
    """

    def __init__(self, url: RedisUrl) -> None:
        is_cluster = url.shape == "cluster"
        self.prefixes = [f"{PREFIX}{{{bucket:02}}}:" for bucket in range(BUCKETS)] if is_cluster else [PREFIX]
        self._find: Find
        if is_cluster:
            self._find = _Nodes(url, [key_slot(prefix.encode()) for prefix in self.prefixes]).primaries
        elif url.shape:
            self._find = _Sentinels(url).primary
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
        """Return the buckets by primary. Raises StoreAway if no primary was found so far, and none is."""
        if not self._servers[0].url:
            self.ask(0, lambda _: None)
        return sorted(self.beside(bucket) for bucket in range(len(self.prefixes)) if self.beside(bucket)[0] == bucket)

    def ask(self, bucket: int, question: Callable[[redis.Redis], T]) -> T:
        """
        Return what the primary of a bucket answers.

        A question whose connection broke is asked again, once, of the primary that there is then. After a failure
        others fail at once for a moment; then one at a time looks where the primary is, and asks.

        Raises:
            StoreAway: from redis-py's error or an OSError.
        """
        began_s = time.monotonic()
        server = self._servers[bucket]
        is_trying = server.enter()
        try:
            if is_trying or not server.url:
                server = self._look(bucket)
            try:
                answer = question(server.client)
            except (redis.ConnectionError, redis.TimeoutError, MovedError):
                if time.monotonic() - began_s > RETRY_WITHIN_S:
                    raise
                server.begin_anew()
                server = self._look(bucket)
                answer = question(server.client)
        except (redis.RedisError, OSError) as exc:
            is_there = is_moving(exc)
            if not is_there:
                server.begin_anew()
            server.leave(failed=not is_there)
            raise StoreAway from exc
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


def is_moving(failure: object) -> bool:
    """Whether this is what a node of a Cluster says of one slot that is being moved; with others it goes on."""
    return isinstance(failure, AskError | TryAgainError) and not isinstance(failure, MovedError)


class _Directory:
    """Who can tell where the primaries are. Each has its turn to be first, because one may be away or out of date."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)

    def ask(self, question: Callable[[redis.Redis], T], *, enough: int) -> list[T]:
        until_s = time.monotonic() + LOOK_S
        answers: list[T] = []
        failure: Exception = redis.TimeoutError()
        for url in self._urls:
            if len(answers) == enough or time.monotonic() > until_s:
                break
            self._urls = [*(other for other in self._urls if other != url), url]
            try:
                with closing(_client(url, LOOK_TIMEOUT_S, 1)) as client:
                    answers.append(question(client))
            except (redis.RedisError, OSError) as exc:
                failure = exc
        if not answers:
            raise failure
        return answers

    def learn(self, urls: Sequence[str]) -> None:
        self._urls += [url for url in dict.fromkeys(urls) if url not in self._urls]


class _Sentinels:
    """
    The primary is where the sentinel says that knows of the latest failover.

    One that has not heard of it yet names the old primary, which may be there again and not know it either.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._directory = _Directory(url.asked)

    def primary(self) -> list[str]:
        _, host, port = max(self._directory.ask(self._named, enough=len(self._url.asked)))
        return [self._url.at(host, port)]

    def _named(self, client: redis.Redis) -> tuple[int, str, int]:
        told = client.execute_command("SENTINEL", "MASTER", self._url.master_name)  # type: ignore[no-untyped-call] # redis-py's own
        named = dict(zip(told[::2], told[1::2], strict=True))
        return int(named["config-epoch"]), named["ip"], int(named["port"])


class _Nodes:
    """The primaries are where a node of the Cluster says; every node knows all."""

    def __init__(self, url: RedisUrl, slots: Sequence[int]) -> None:
        self._url = url
        self._slots = slots
        self._directory = _Directory(url.asked)

    def primaries(self) -> list[str]:
        (urls,) = self._directory.ask(self._told, enough=1)
        self._directory.learn(urls)
        return urls

    def _told(self, client: redis.Redis) -> list[str]:
        asked = client.get_connection_kwargs()["host"]
        ranges = client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call] # redis-py's own
        owners = {
            slot: self._url.at(host or asked, port)
            for first, last, (host, port, *_), *_ in ranges
            for slot in self._slots
            if first <= slot <= last
        }
        if len(owners) < len(self._slots):
            raise redis.RedisError("the Cluster has slots that are on no node")
        return [owners[slot] for slot in self._slots]


def _client(url: str, timeout_s: float, max_connections: int) -> redis.Redis:
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=CONNECTION_WAIT_S,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        client_name="authsvc",
        decode_responses=True,
        # With protocol 3 a server may push redis-py to wait ten seconds while it is maintained, and one that does
        # not know HELLO answers with an error that repeats the password.
        protocol=2,
    )
    return redis.Redis.from_pool(pool)
