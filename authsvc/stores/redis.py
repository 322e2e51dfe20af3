"""
The store of several hosts: Redis, version 7 or later, as one server, behind sentinels or as a Cluster.

Imports `errors`, `store`, `redis_client`, `topology` and `redis_url`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import redis
from redis.exceptions import NoScriptError

from authsvc.errors import MemoryLost
from authsvc.stores import redis_url
from authsvc.stores.redis_client import Client, Command
from authsvc.stores.store import Pulse
from authsvc.stores.topology import Primaries, is_moving

COUNTERS = 5_000  # in one round trip
WAIT_MS = 150  # for the replicas to have a claim; shorter than the time-out of an answer

# A server has a new replication id after a start, after a promotion, and when it no longer keeps the history from which
# a replica would continue. So lost data shows by the id, even if the server has the old mark. A missing script shows
# less: a server that was demoted and promoted again while running still has it.
# To read the id costs the server 3 of the 8 microseconds of a claim (Redis 7.0, one core).
_HISTORY = "local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')"
# GET distinguishes our own first attempt, whose answer was lost, from another's claim. To set it again gives WAIT a
# write to wait for, and the first one is before it.
_CLAIM = f"""
{_HISTORY}
local mark = redis.call('GET', KEYS[2])
if not history then return redis.error_reply('ERR this server has no master_replid') end
if not mark or string.sub(mark, 1, #history + 1) ~= history .. ':' then return history end
local held = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2])
if held == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {{held, string.sub(mark, #history + 2)}}
"""
# Only in the history that the claim returned: the time is read after that, so it cannot be from before its start.
# A mark that another worker has set in between stays, and no mark goes back in time, by any clock.
_MARK = f"""
{_HISTORY}
local mark = redis.call('GET', KEYS[1]) or ':0'
if history ~= ARGV[1] or string.sub(mark, 1, #history + 1) == history .. ':' then return end
local born = string.match(mark, '%d+$')
if tonumber(born) < tonumber(ARGV[2]) then born = ARGV[2] end
redis.call('SET', KEYS[1], history .. ':' .. born)
"""
CLAIM_SHA = hashlib.sha1(_CLAIM.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """
    A store in the Redis at `url`. Safe to use from many threads, and before and after a fork.

    Each bucket has a birth mark beside its claims, with the id of the replication history in which it was set. A claim
    is a script that compares this id with the server's. If they differ, the server was restarted, or promoted in place
    of the one with our latest claims; then the script claims nothing until the mark is set again.

    Args:
        url: as `redis_url.parse` accepts it.
    """

    def __init__(self, url: str, *, now_ms: Callable[[], int]) -> None:
        parsed = redis_url.parse(url)
        self._wait: list[Command] = [("WAIT", parsed.wait, WAIT_MS)] if parsed.wait else []
        self._primaries = Primaries(parsed)
        self._now_ms = now_ms

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        """See `Store.add`."""
        bucket = self._primaries.bucket(key)
        claims = [(bucket, key)]
        claimed, *_ = self._primaries.ask(bucket, lambda client: self._claim(client, claims, value, keep_ms))
        held, born = cast(tuple[str | None, str], claimed)
        if since_ms is not None and int(born) >= since_ms:
            raise MemoryLost(int(born))
        return held is None or held == value

    def get(self, key: str) -> str | None:
        """See `Store.get`."""
        value = self._primaries.ask(self._primaries.bucket(key), lambda client: client.execute("GET", self._name(key)))
        return None if value is None else str(value)

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """See `Store.put`."""
        name = self._name(key)
        self._primaries.ask(
            self._primaries.bucket(key), lambda client: client.execute("SET", name, value, "PX", keep_ms)
        )

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """See `Store.count`. After a lost answer a hit counts twice, but never not at all."""
        totals: dict[str, int] = {}
        for buckets in self._primaries.groups():
            counters = [(key, hit) for key, hit in hits.items() if self._primaries.bucket(key) in buckets]
            for start in range(0, len(counters), COUNTERS):
                some = counters[start : start + COUNTERS]
                commands: list[Command] = []
                for key, hit in some:
                    commands += [("INCRBY", self._name(key), hit), ("PEXPIRE", self._name(key), keep_ms, "NX")]
                answers = self._primaries.ask(buckets[0], partial(_all_of, commands=commands))
                totals |= {key: cast(int, total) for (key, _), total in zip(some, answers[::2], strict=True)}
        return totals

    def ping(self) -> Pulse:
        """See `Store.ping`. Of several primaries' clocks, it returns the one furthest from ours."""
        groups = self._primaries.groups()
        pulses = [self._primaries.ask(buckets[0], partial(self._pulse, buckets)) for buckets in groups]
        now_ms = self._now_ms()
        clock_ms = max((pulse.clock_ms for pulse in pulses), key=lambda clock_ms: abs(clock_ms - now_ms))
        return Pulse(clock_ms, next((pulse.worry for pulse in pulses if pulse.worry), None))

    def close(self) -> None:
        """See `Store.close`."""
        self._primaries.close()

    def _name(self, key: str) -> str:
        return self._primaries.prefixes[self._primaries.bucket(key)] + key

    def _pulse(self, buckets: Sequence[int], client: Client) -> Pulse:
        claims = [(bucket, "ping") for bucket in buckets]
        *_, time, memory = self._claim(client, claims, str(self._now_ms()), 1_000, ("TIME",), ("INFO", "memory"))
        seconds, microseconds = map(int, cast(list[str], time))
        policy = re.search(r"^maxmemory_policy:(\S+)", cast(str, memory), re.MULTILINE)
        worry = f"maxmemory-policy is {policy[1]}" if policy and policy[1] != "noeviction" else None
        return Pulse(seconds * 1_000 + microseconds // 1_000, worry)

    def _claim(
        self, client: Client, claims: Sequence[tuple[int, str]], value: str, keep_ms: int, *more: Command
    ) -> list[object]:
        """
        Return the value of each claimed key and its birth mark, in one round trip, with the answers to `more`.

        The first call on a server, and the first in a replication history without a mark, take more round trips.
        """
        prefixes = self._primaries.prefixes
        names = [(prefixes[bucket] + key, f"{prefixes[bucket]}birth") for bucket, key in claims]
        script: Command = ("EVALSHA", CLAIM_SHA)
        for _ in range(3):
            commands = [(*script, 2, *pair, value, keep_ms) for pair in names]
            # Several claims are a ping, and a ping does not fail because a slot is being moved.
            answers = _all_of(client, [*commands, *self._wait, *more], slots_may_move=len(claims) > 1)
            unmade = [answer for answer in answers[: len(claims)] if not isinstance(answer, list)]
            if any(isinstance(answer, NoScriptError) for answer in unmade):
                script = ("EVAL", _CLAIM)
            elif histories := [answer for answer in unmade if isinstance(answer, str)]:
                self._mark(client, claims[0][0], histories[0])
            else:
                if self._wait and cast(int, answers.pop(len(claims))) < cast(int, self._wait[0][1]):
                    raise redis.RedisError("too few replicas had the claim in time")
                return answers
        raise redis.RedisError("the server started another replication history during a claim")

    def _mark(self, client: Client, bucket: int, history: str) -> None:
        """Set the birth mark of every bucket that is on the same server."""
        now_ms = self._now_ms()
        names = [f"{self._primaries.prefixes[other]}birth" for other in self._primaries.beside(bucket)]
        _all_of(client, [("EVAL", _MARK, 1, name, history, now_ms) for name in names], slots_may_move=True)


def _all_of(client: Client, commands: Sequence[Command], *, slots_may_move: bool = False) -> list[object]:
    """Return the answers to all commands, in one round trip. Raises any error except that of an unknown script."""
    answers = client.ask(commands)
    for answer in answers:
        is_borne = isinstance(answer, NoScriptError) or (slots_may_move and is_moving(answer))
        if isinstance(answer, Exception) and not is_borne:
            raise answer
    return answers
