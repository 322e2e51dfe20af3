"""
Who tells where the primaries are: sentinels, or any node of a Cluster.

redis-py's own clients for Sentinel and Cluster connect when they are made, and go on trying for longer than a store may
take; this asks the same questions within its second. Imports `redis_client` and `redis_url`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import redis

from authsvc.stores.redis_client import Client
from authsvc.stores.redis_url import RedisUrl

LOOK_TIMEOUT_S = 0.1  # for one sentinel or node; a second one is asked if that leaves time
LOOK_S = 0.15

T = TypeVar("T")


class _Directory:
    """Who can tell where the primaries are. Each has its turn to be first, because one may be away or out of date."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._given = tuple(urls)
        self._urls = list(urls)

    def ask(self, question: Callable[[Client], T], *, enough: int) -> list[T]:
        """Return what so many of them answer, or fewer, if the time is over; raise the last failure if none does."""
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
        """Ask these too from now on, and those that were learned before no longer, which may be gone for good."""
        known = dict.fromkeys((*self._given, *urls))
        self._urls = sorted(known, key=lambda url: self._urls.index(url) if url in self._urls else -1)


class Sentinels:
    """
    The primary is where the sentinel says that knows of the latest failover.

    One that has not heard of it yet names the old primary, which may be there again and not know it either.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._directory = _Directory(url.asked)

    def primary(self) -> list[str]:
        """Return its URL, as the only one."""
        _, host, port = max(self._directory.ask(self._named, enough=len(self._url.asked)))
        return [self._url.at(host, port)]

    def _named(self, client: Client) -> tuple[int, str, int]:
        told: Any = client.tell("SENTINEL", "MASTER", self._url.master_name)
        named = dict(zip(told[::2], told[1::2], strict=True))
        return int(named["config-epoch"]), named["ip"], int(named["port"])


class Nodes:
    """The primaries are where a node of the Cluster says; every node knows all."""

    def __init__(self, url: RedisUrl, slots: Sequence[int]) -> None:
        self._url = url
        self._slots = slots
        self._directory = _Directory(url.asked)

    def primaries(self) -> list[str]:
        """Return the URL of the primary of each slot."""
        (urls,) = self._directory.ask(self._told, enough=1)
        self._directory.learn(urls)
        return urls

    def _told(self, client: Client) -> list[str]:
        ranges: Any = client.tell("CLUSTER", "SLOTS")
        owners = {
            slot: self._url.at(host or client.host, port)
            for first, last, (host, port, *_), *_ in ranges
            for slot in self._slots
            if first <= slot <= last
        }
        if len(owners) < len(self._slots):
            raise redis.RedisError("the Cluster has slots that are on no node")
        return [owners[slot] for slot in self._slots]
