"""
Redis discovery: the addresses of the primaries, from sentinels or from any node of a Cluster.

redis-py's own clients for Sentinel and Cluster connect when they are created, and retry for longer than a call to a
store may take. This module sends the same commands within that second. Imports `redis_client` and `redis_url`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import redis

from authsvc.stores.redis_client import Client
from authsvc.stores.redis_url import RedisUrl

LOOK_TIMEOUT_S = 0.1  # for one sentinel or node; if there is time left, the next one is asked
LOOK_S = 0.15

T = TypeVar("T")


class _Directory:
    """The servers that know the primaries. Each is asked first in turn: one may be unavailable or out of date."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._given = tuple(urls)
        self._urls = list(urls)

    def ask(self, question: Callable[[Client], T], *, enough: int) -> list[T]:
        """Return `enough` answers, or fewer if the time is over. Raise the last failure if there is no answer."""
        until_s = time.monotonic() + LOOK_S
        answers: list[T] = []
        failure: Exception = redis.TimeoutError()
        for url in self._urls:
            if len(answers) == enough or time.monotonic() > until_s:
                break
            self._urls = [*(other for other in self._urls if other != url), url]
            try:
                with closing(Client(url, LOOK_TIMEOUT_S)) as client:
                    answers.append(question(client))
            except (redis.RedisError, OSError) as exc:
                failure = exc
        if not answers:
            raise failure
        return answers

    def learn(self, urls: Sequence[str]) -> None:
        """Ask these too from now on, in place of those learned before, which may no longer exist."""
        known = dict.fromkeys((*self._given, *urls))
        self._urls = sorted(known, key=lambda url: self._urls.index(url) if url in self._urls else -1)


class Sentinels:
    """
    The primary, as named by the sentinel with the latest failover.

    A sentinel that has missed a failover names the old primary, which may be running again without having noticed it.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._directory = _Directory(url.asked)

    def primary(self) -> list[str]:
        """Return its URL, in a list of one."""
        _, host, port = max(self._directory.ask(self._named, enough=len(self._url.asked)))
        return [self._url.at(host, port)]

    def _named(self, client: Client) -> tuple[int, str, int]:
        fields: Any = client.execute("SENTINEL", "MASTER", self._url.master_name)
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        return int(named["config-epoch"]), named["ip"], int(named["port"])


class Nodes:
    """The primaries of a Cluster, as named by one of its nodes; every node knows all."""

    def __init__(self, url: RedisUrl, slots: Sequence[int]) -> None:
        self._url = url
        self._slots = slots
        self._directory = _Directory(url.asked)

    def primaries(self) -> list[str]:
        """Return the URL of the primary of each slot."""
        (urls,) = self._directory.ask(self._owners, enough=1)
        self._directory.learn(urls)
        return urls

    def _owners(self, client: Client) -> list[str]:
        ranges: Any = client.execute("CLUSTER", "SLOTS")
        owners = {
            slot: self._url.at(host or client.host, port)
            for first, last, (host, port, *_), *_ in ranges
            for slot in self._slots
            if first <= slot <= last
        }
        if len(owners) < len(self._slots):
            raise redis.RedisError("the Cluster has slots without a node")
        return [owners[slot] for slot in self._slots]
