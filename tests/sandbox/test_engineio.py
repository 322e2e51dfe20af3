"""The dialect, packet by packet."""

import asyncio
import json
import socket
from http.client import HTTPResponse

import pytest

from authsvc.sandbox import connection, engineio
from authsvc.sandbox.engineio import decoded, encoded
from tests.sandbox.conftest import Line, Sandbox
from tests.support.running import wait_until

POLLING = "/socket.io/?EIO=3&transport=polling"


def opened_by_polling(sandbox: Sandbox) -> str:
    """Return the path of a connection that polls, after its greeting."""
    packets = list(decoded(sandbox.ask("GET", POLLING).text))
    assert packets[1] == "40"
    greeting = json.loads(packets[0].removeprefix("0"))
    assert greeting["upgrades"] == ["websocket"]
    return f"{POLLING}&sid={greeting['sid']}"


@pytest.mark.parametrize(
    "packets",
    [["40"], ["2probe", "42[]"], ['42["a",{"text":"小明 😀"}]'], ["6", '42["12:34"]', "1"]],
)
def test_bodies_come_back_as_they_were(packets: list[str]) -> None:
    """Lengths count UTF-16 units, as JavaScript's do."""
    assert list(decoded(encoded([packet.encode() for packet in packets]))) == packets


def test_a_length_is_javascripts() -> None:
    """An emoji is two."""
    assert encoded(["4😀".encode()]) == "3:4😀"


@pytest.mark.parametrize("body", ["40", ":40", "x:40", "9:40", "0:", "-1:40", "2:402", "2:4😀"])
def test_bodies_that_are_none(body: str) -> None:
    """A body is read to its end or not at all."""
    with pytest.raises(ValueError):  # noqa: PT011 -- any of them
        list(decoded(body))


def test_a_ping_is_answered_with_what_it_says(line: Line) -> None:
    """The client's ping keeps the connection; also with a text in it."""
    line.say("2")
    assert line.hear() == "3"
    line.say("2 are you there")
    assert line.hear() == "3 are you there"


def test_an_event_may_ask_for_its_arrival(line: Line) -> None:
    """An event with a number is acknowledged by that number."""
    line.say('4217["nothing"]')
    assert line.hear() == "4317[]"


@pytest.mark.parametrize(
    "packet", ["", "9", "4", "40", "42", "42{", "42[]", "42[1]", "42{}", "427", "45", "5", "42null"]
)
def test_nonsense_is_passed_over(line: Line, packet: str) -> None:
    """The connection lives on."""
    line.say(packet)
    line.say("2")
    assert line.hear() == "3"


@pytest.mark.parametrize("packet", ["1", "41"])
def test_a_client_that_says_goodbye(sandbox: Sandbox, line: Line, packet: str) -> None:
    """Its connection is closed."""
    line.say(packet)
    assert line.hear() is None
    assert sandbox.connections() == 0


def test_a_binary_packet_ends_it(line: Line, sandbox: Sandbox) -> None:
    """The SDK sends none."""
    sandbox.run(line._ws.send_bytes(b"\4"))
    assert line.hear() is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 5),
        ("EIO=4&transport=websocket", 5),
        ("EIO=3", 0),
        ("EIO=3&transport=carrier-pigeon", 0),
        ("EIO=3&transport=polling&sid=nobody", 1),
        ("EIO=3&transport=websocket&sid=nobody", 1),
    ],
)
def test_handshakes_that_are_refused(sandbox: Sandbox, query: str, code: int) -> None:
    """Each with the code of the protocol, readable for a page of any origin."""
    answer = sandbox.ask("GET", f"/socket.io/?{query}", headers={"Origin": "http://app.example"})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.headers["Access-Control-Allow-Origin"] == "http://app.example"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_handshake_is_a_get(sandbox: Sandbox, method: str) -> None:
    """Nothing else opens a connection."""
    assert sandbox.ask(method, POLLING).json()["code"] == 2


def test_polling(sandbox: Sandbox) -> None:
    """Packets go by POST and come by GET, several at once."""
    path = opened_by_polling(sandbox)
    assert sandbox.ask("POST", path, data=encoded([b"2", b"2again"])).text == "ok"
    assert sandbox.ask("GET", path).text == "1:36:3again"
    assert sandbox.ask("POST", path, data=encoded([b"1"])).text == "ok"
    assert sandbox.ask("GET", path).status_code == 400


def test_a_poll_waits_for_a_while(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is told that there is nothing."""
    monkeypatch.setattr(engineio, "POLL_S", 0.05)
    path = opened_by_polling(sandbox)
    assert sandbox.ask("GET", path).text == "1:6"


def test_one_poll_at_a_time(sandbox: Sandbox) -> None:
    """Two would share the packets out between them, so the connection ends."""
    path = opened_by_polling(sandbox)
    with socket.create_connection((sandbox.bind.host, sandbox.bind.port)) as first:
        first.sendall(f"GET {path} HTTP/1.1\r\nHost: {sandbox.bind}\r\n\r\n".encode())
        sandbox.wait_polled()
        assert sandbox.ask("GET", path).json()["code"] == 3
        assert first.recv(100).startswith(b"HTTP/1.1 200")
    assert sandbox.connections() == 0


def test_garbage_ends_a_polling_connection(sandbox: Sandbox) -> None:
    """Who cannot count is not listened to."""
    path = opened_by_polling(sandbox)
    assert sandbox.ask("POST", path, data="7:garbage, and more").json()["code"] == 3
    assert sandbox.connections() == 0


def test_a_packet_that_no_client_sends(sandbox: Sandbox, line: Line) -> None:
    """A megabyte is the end of the connection that it comes from, and of no other."""
    path = opened_by_polling(sandbox)
    assert sandbox.ask("POST", path, data=encoded([b"2" + b"x" * engineio.MAX_PACKET])).json()["code"] == 3
    other = Line.opened(sandbox)
    other.say("2" + "x" * engineio.MAX_PACKET)
    assert other.hear() is None
    line.say("2")
    assert line.hear() == "3"


def test_who_does_not_read_is_cut_off(sandbox: Sandbox, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that waits for him is bounded; nobody else is disturbed, whichever way the connection came."""
    monkeypatch.setattr(connection, "MAX_BACKLOG", 100_000)
    path = opened_by_polling(sandbox)
    with socket.create_connection((sandbox.bind.host, sandbox.bind.port)) as other:
        other.sendall(
            b"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        wait_until(lambda: sandbox.connections() == 3)

        async def push() -> None:
            for _ in range(500):
                for open_socket in list(sandbox.hub.sockets.values()):
                    if open_socket.sid != mine:
                        open_socket.emit("event", "x" * 50_000)
                await asyncio.sleep(0)

        mine = next(iter(sandbox.hub.sockets))
        sandbox.run(push())
        wait_until(lambda: sandbox.connections() == 1)
    assert sandbox.ask("GET", path).status_code == 400
    line.say("2")
    assert line.hear() == "3"


def test_a_packet_of_any_length(sandbox: Sandbox, line: Line) -> None:
    """Each side of where the head of a frame becomes longer; all of them in one write, in order."""
    lengths = [0, 100, 125, 126, 127, 65_535, 65_536, 70_000]

    async def push() -> None:
        for length in lengths:
            next(iter(sandbox.hub.sockets.values())).send(b"x" * length)

    sandbox.run(push())
    assert [line.hear() for _ in lengths] == ["x" * length for length in lengths]


def test_connections_are_bounded(sandbox: Sandbox, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused, those that are there stay."""
    monkeypatch.setattr(engineio, "MAX_CONNECTIONS", 1)
    assert sandbox.ask("GET", POLLING).status_code == 503
    line.say("2")
    assert line.hear() == "3"


def test_from_polling_to_websocket(sandbox: Sandbox) -> None:
    """A client that begins by polling moves over, and nothing is lost or said twice."""
    path = opened_by_polling(sandbox)
    line = Line(sandbox, path.partition("?")[2].replace("polling", "websocket"))
    line.say("2")  # too early: nobody reads it yet
    line.say("2probe")
    assert line.hear() == "3probe"
    sandbox.ask("POST", path, data=encoded([b"2late"]))
    line.say("5")
    assert line.hear() == "3late"
    line.say("2")
    assert line.hear() == "3"
    line.close()
    wait_until(lambda: sandbox.connections() == 0)


def test_a_poll_is_let_go_for_the_move(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client moves only once its poll has come back."""
    path = opened_by_polling(sandbox)
    with socket.create_connection((sandbox.bind.host, sandbox.bind.port)) as poll:
        poll.sendall(f"GET {path} HTTP/1.1\r\nHost: {sandbox.bind}\r\n\r\n".encode())
        sandbox.wait_polled()
        line = Line(sandbox, path.partition("?")[2].replace("polling", "websocket"))
        line.say("2probe")
        assert line.hear() == "3probe"
        answer = HTTPResponse(poll)
        answer.begin()
        assert answer.read() == b"1:6"
        assert sandbox.ask("GET", path).text == "1:6"  # one that was on its way meanwhile does not wait either
        line.close()  # before it has moved
    monkeypatch.setattr(engineio, "POLL_S", 0.2)
    wait_until(lambda: sandbox.ask("GET", path).elapsed.total_seconds() > 0.2)
    assert sandbox.connections() == 1


def test_a_silent_client_is_forgotten(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that it was told."""
    monkeypatch.setattr(engineio, "PING_INTERVAL_MS", 50)
    monkeypatch.setattr(engineio, "PING_TIMEOUT_MS", 50)
    line = Line.opened(sandbox)
    assert line.hear() is None
    assert sandbox.connections() == 0
