"""A Redis that was unavailable: which call tries it again, when, and over which connections."""

import pytest
import redis
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    TryAgainError,
)

from authsvc.errors import StoreUnavailable
from authsvc.stores import redis_url
from authsvc.stores.redis_client import Client
from authsvc.stores.topology import AWAY_S, CLUSTER, Primaries, Server, is_clusters_own, is_moving
from tests.support.services import RedisServer


class Moment:
    """A clock that stands still, in seconds."""

    now_s = 0.5

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    """The time that a server goes by, half a second after the machine's start."""
    moment = Moment()
    monkeypatch.setattr("authsvc.stores.topology.time.monotonic", moment)
    return moment


def test_one_looks_whether_it_is_there_again(moment: Moment) -> None:
    """After a failure nobody asks for a moment; then one does, and the others wait until he knows, but not for ever."""
    server = Server()
    assert not server.enter()
    server.leave(failed=True)
    with pytest.raises(StoreUnavailable) as raised:
        server.enter()
    assert str(raised.value.__cause__) == "Redis was unavailable a moment ago"
    moment.now_s += AWAY_S
    assert server.enter()
    moment.now_s += 0.999
    with pytest.raises(StoreUnavailable):
        server.enter()
    moment.now_s += 0.001
    assert server.enter()
    server.leave(failed=False)
    assert not server.enter()


def test_connections_replaced_once() -> None:
    """Of the callers that the same client failed only the first replaces it."""
    server = Server("redis://127.0.0.1")
    failed = server.client
    server.begin_anew(failed)
    made = server.client
    server.begin_anew(failed)
    assert server.client is made
    assert made is not failed


def test_slow_only_if_others_had_answers(moment: Moment) -> None:
    """A failure is that of one connection if another had an answer since the question, and of no other kind."""
    server = Server()
    assert not server.is_slow(redis.TimeoutError(), moment.now_s)
    server.leave(failed=False)
    assert server.is_slow(redis.TimeoutError(), moment.now_s - 0.1)
    assert server.is_slow(redis.ConnectionError(), moment.now_s - 0.1)
    assert not server.is_slow(redis.ResponseError(), moment.now_s - 0.1)
    assert not server.is_slow(redis.TimeoutError(), moment.now_s)


def test_asked_again_over_new_connections(redis_server: RedisServer) -> None:
    """None of those to a server that did not answer is used again: the same name may mean another by now."""
    asked: list[Client] = []

    def question(client: Client) -> object:
        asked.append(client)
        if len(asked) == 1:
            raise redis.TimeoutError
        return client.execute("PING")

    primaries = Primaries(redis_url.parse(redis_server.url))
    assert primaries.ask(0, question) == "PONG"
    primaries.close()
    assert len(set(map(id, asked))) == 2


@pytest.mark.parametrize(
    ("failure", "is_own", "is_of_a_move"),
    [
        (AskError("1 127.0.0.1:7000"), True, True),
        (MovedError("1 127.0.0.1:7000"), True, False),
        (ClusterCrossSlotError(), True, False),
        (ClusterDownError("the slot is not served"), True, False),
        (TryAgainError(), False, True),
        (MasterDownError("the link is down"), False, False),
        (redis.ResponseError(), False, False),
        ("an answer", False, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_a_cluster(failure: object, *, is_own: bool, is_of_a_move: bool) -> None:
    """Those that only a node of a Cluster returns, and those that concern one slot for a moment."""
    assert is_clusters_own(failure) == is_own
    assert is_moving(failure) == is_of_a_move


def test_node_of_a_cluster_as_one_server(moment: Moment) -> None:
    """The failure has the remedy, also for the calls that wait after it."""
    primaries = Primaries(redis_url.parse("redis://127.0.0.1"))

    def question(_: Client) -> None:
        raise ClusterCrossSlotError

    causes = []
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as raised:
            primaries.ask(0, question)
        assert raised.value.remedy == CLUSTER
        causes.append(type(raised.value.__cause__))
    assert causes == [ClusterCrossSlotError, TimeoutError]
