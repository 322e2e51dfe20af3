"""Requests to other services: one deadline, whatever a server drips, and answers that are none."""

import gc
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from authsvc.outbound import http_client
from authsvc.outbound.availability import cause
from authsvc.outbound.host_names import HostNames
from authsvc.outbound.http_client import Answer, BadAnswer, HttpClient, NoAnswer, TooSlow
from tests.support.certificates import NAME, Certificates, make_certificates
from tests.support.raw_server import raw_server
from tests.support.running import free_port
from tests.support.vendor_stand_in import Reply, vendor_stand_in

WITHIN_S = 0.5
DRIPS_S = 0.1  # each well within any time-out of a socket
LONG_S = 60.0  # for what is to be answered
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    """What the test has opened is closed at its end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For 127.0.0.1."""
    return make_certificates(tmp_path_factory.mktemp("certificates") / "own")


def ask(client: HttpClient, url: str, within_s: float = LONG_S, max_bytes: int = 1000) -> Answer:
    return client.ask("GET", url, headers={"User-Agent": "authsvc"}, within_s=within_s, max_bytes=max_bytes)


def asked(url: str, within_s: float = LONG_S) -> Answer:
    """Ask once, by a client of its own."""
    with closing(HttpClient(url, connections=1)) as client:
        return ask(client, url, within_s)


def is_given_up(url: str) -> str:
    """Return why it was, at the deadline: what drips goes on for minutes."""
    began_s = time.monotonic()
    with pytest.raises(TooSlow) as slow:
        asked(url, WITHIN_S)
    assert WITHIN_S <= time.monotonic() - began_s < LONG_S
    return cause(slow.value)


@pytest.mark.parametrize(
    "dripped",
    [
        b"HTTP/1.1 200 " + b"O" * 1000,
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000,
    ],
    ids=["status line", "headers"],
)
def test_a_head_that_drips(exits: ExitStack, dripped: bytes) -> None:
    """Each byte comes in time, the head does not."""
    server = exits.enter_context(raw_server(dripped, drips_s=DRIPS_S))
    assert is_given_up(server.url) == f"timed out: no complete answer within {WITHIN_S} s"


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked", "Connection: close"])
def test_a_body_that_drips(exits: ExitStack, length: str) -> None:
    """With a length, in chunks, and until the connection ends: what the deadline cuts off is no whole answer."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: Reply(body=b"x" * 1000, piece_s=DRIPS_S, headers={"Connection": "close"})
        is_given_up(stand_in.url)
    server = exits.enter_context(raw_server(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode() + b"3", drips_s=0.002))
    is_given_up(server.url)


def test_a_handshake_that_drips(exits: ExitStack) -> None:
    """TLS is begun by the client; a server's hello of 16 KB a byte at a time is one that hangs."""
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + b"x" * 10_000
    server = exits.enter_context(raw_server(record, drips_s=DRIPS_S, listens_first=False))
    is_given_up(f"https://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("is_tls_proxy", [False, True])
def test_a_proxy_that_drips(
    exits: ExitStack, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, scheme: str, *, is_tls_proxy: bool
) -> None:
    """In its answer to CONNECT, to a whole URL, or in the handshake with the proxy itself."""
    head = b"HTTP/1.1 200 Connection established\r\nX-Long: "
    server = exits.enter_context(raw_server(head, drips_s=DRIPS_S, listens_first=not is_tls_proxy))
    proxy = f"{'https' if is_tls_proxy else 'http'}://127.0.0.1:{server.port}"
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    if is_tls_proxy:
        server.answer = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"
    is_given_up(f"{scheme}://{NAME}/")


def test_a_name_server_that_hangs(exits: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up is part of the same time, and known again at once when it answers."""
    answering = threading.Event()
    exits.callback(answering.set)

    def look_up(_host: str) -> list[str]:
        assert answering.wait(60)
        return ["127.0.0.1"]

    monkeypatch.setattr(http_client, "_names", HostNames(look_up))
    server = exits.enter_context(raw_server(WELL))
    url = f"http://somewhere.example:{server.port}/"
    assert is_given_up(url) == f"timed out: no complete answer within {WITHIN_S} s"
    answering.set()
    assert asked(url).content == b"{}"


def test_the_next_address_is_tried(exits: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as one of a host's addresses takes a connection; if none does, the cause is the last one's."""
    server = exits.enter_context(raw_server(WELL))
    monkeypatch.setattr(http_client, "_names", HostNames(lambda _: ["127.0.0.2", "127.0.0.1"]))
    assert asked(f"http://somewhere.example:{server.port}/").status == 200
    with pytest.raises(NoAnswer, match="cannot be reached") as unreached:
        asked(f"http://somewhere.example:{free_port()}/")
    assert cause(unreached.value) == "connection refused"


def test_a_host_that_takes_no_connection(exits: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not answer is not waited for until the deadline."""
    monkeypatch.setattr(http_client, "CONNECT_S", 0.1)
    listener = exits.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    clients = [exits.enter_context(socket.socket()) for _ in range(4)]
    for client in clients:  # until its queue is full
        client.settimeout(0)
        client.connect_ex(listener.getsockname())
    with pytest.raises(TooSlow, match="did not answer in time"):
        asked(f"http://127.0.0.1:{listener.getsockname()[1]}/", 10)


def test_a_kept_connection_that_drips(exits: ExitStack) -> None:
    """The deadline is the request's and not the connection's; the one after it is answered at once."""
    server = exits.enter_context(raw_server(WELL))
    client = exits.enter_context(closing(HttpClient(server.url, connections=1)))
    for _ in range(2):
        assert ask(client, server.url).status == 200
    assert server.connections == 1
    server.drips_s = DRIPS_S
    with pytest.raises(TooSlow):
        ask(client, server.url, WITHIN_S)
    server.drips_s = 0
    assert ask(client, server.url).content == b"{}"
    assert server.connections == 2


BAD: dict[str, tuple[bytes, type[NoAnswer]]] = {
    "interim": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + WELL, BadAnswer),
    "switching": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", BadAnswer),
    "100 Continue, many": (b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, BadAnswer),
    "gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx", BadAnswer),
    "a bomb": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(gzip.compress(bytes(10_000_000))),
        BadAnswer,
    ),
    "too large": (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, BadAnswer),
    "too large, in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3E9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        BadAnswer,
    ),
    "huge chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 70_000 + b"\r\n", BadAnswer),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 10,
        TooSlow,
    ),
    "headers, many": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", NoAnswer),
    "header, long": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", BadAnswer),
    "HTTP/0.9": (b"{}", TooSlow),
    "HTTP/0.9, a line": (b"<html>\r\n\r\n", NoAnswer),
    "status, long": (b"HTTP/1.1 2000 OK\r\n\r\n", NoAnswer),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", NoAnswer),
    "more promised": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", TooSlow),
    "nulls": (bytes(100_000), BadAnswer),
}


@pytest.mark.parametrize(("sent", "failure"), BAD.values(), ids=BAD.keys())
def test_an_answer_that_is_none(exits: ExitStack, sent: bytes, failure: type[NoAnswer]) -> None:
    """
    It is no exception of a library's, it ends at the deadline, and leaves the client as it was.

    More times than there are connections: none is lost, and what was left on one is nobody's answer.
    """
    server = exits.enter_context(raw_server(sent))
    client = exits.enter_context(closing(HttpClient(server.url, connections=2)))
    for _ in range(3):
        with pytest.raises(NoAnswer) as refused:
            ask(client, server.url, WITHIN_S if failure is TooSlow else LONG_S)
        assert type(refused.value) is failure
    server.answer = WELL
    assert ask(client, server.url).content == b"{}"


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    ("begun", "repeats"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n" + b"X: y\r\n" * 90 + b"\r\n"),
        (CHUNKS + b"0\r\n", b"X: y\r\n"),
        (CHUNKS, b"1;" + b"x" * 10_000 + b"\r\nx\r\n"),
    ],
    ids=["interim answers", "their headers", "trailers", "chunks"],
)
def test_an_answer_without_end(exits: ExitStack, begun: bytes, repeats: bytes) -> None:
    """It is given up long before the deadline, until which it would cost all of a CPU, and the client goes on."""
    server = exits.enter_context(raw_server(begun, repeats=repeats))
    client = exits.enter_context(closing(HttpClient(server.url, connections=1)))
    for _ in range(2):
        with pytest.raises(BadAnswer, match="bytes beside its content"):
            ask(client, server.url, LONG_S, 2_000)
    server.answer, server.repeats = WELL, b""
    assert ask(client, server.url).content == b"{}"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_two_lengths(exits: ExitStack) -> None:
    """None is believed. urllib3 leaves such a connection to the collector, which closes it."""
    server = exits.enter_context(raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n{}"))
    with pytest.raises(NoAnswer, match="closed the connection early"):
        asked(server.url)
    gc.collect()


def test_more_than_was_promised(exits: ExitStack) -> None:
    """What follows an answer on its connection is nobody's: the next request gets its own."""
    server = exits.enter_context(raw_server(WELL + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntheir"))
    client = exits.enter_context(closing(HttpClient(server.url, connections=1)))
    assert [ask(client, server.url).content for _ in range(3)] == [b"{}"] * 3


def test_a_redirect_is_an_answer(exits: ExitStack) -> None:
    """It is followed by nobody."""
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    server = exits.enter_context(raw_server(head))
    answer = asked(server.url)
    assert (answer.status, answer.headers["location"], answer.content) == (302, "http://127.0.0.1:9/", b"")


def test_by_tls(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that this machine trusts is believed, another is not; a kept connection is watched here too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with vendor_stand_in(certificates) as stand_in:
        stand_in.reply = lambda _: Reply(body=b"{}")
        url = f"https://127.0.0.1:{stand_in.port}/"
        with closing(HttpClient(url, connections=1)) as client:
            assert [ask(client, url).content for _ in range(2)] == [b"{}"] * 2
            stand_in.reply = lambda _: Reply(body=b"x" * 100, piece_s=DRIPS_S)
            with pytest.raises(TooSlow):
                ask(client, url, WITHIN_S)
        monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__)))
        with pytest.raises(NoAnswer, match="cannot be reached"):
            asked(url)
