"""Tests of gunicorn's worker: the answers stay gunicorn's own to the byte, with fewer system calls."""

import gc
import http.client
import re
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from authsvc.server.gunicorn_http import Socket
from authsvc.server.gunicorn_worker import Worker
from authsvc.server.limits import ANSWERED_S, READ_S, SENT_S
from tests.conftest import bearer_of
from tests.support import needed
from tests.support.running import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GET = b"GET / HTTP/1.1\r\nHost: im.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.fixture(autouse=True)
def _gunicorns_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class of answers, which our worker replaces."""
    monkeypatch.setattr(wsgi, "Response", Response)


def answering(
    *headers: tuple[str, str], status: str = "200 OK", pieces: Iterable[bytes] = (b"ab", b"c")
) -> "WSGIApplication":
    def app(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, list(headers))
        return pieces

    return app


def wrapping(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer with a file, which a server may send by sendfile."""
    start_response("200 OK", [("Content-Length", "3")])
    return environ["wsgi.file_wrapper"](Path(__file__).open("rb"))  # type: ignore[no-any-return] # WSGI's is untyped


def echoing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer with the body."""
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def failing(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "3")])
    raise ValueError


def made(kind: type[ThreadWorker], app: "WSGIApplication") -> Any:
    cfg = Config()
    worker = kind(1, 0, [], SimpleNamespace(wsgi=lambda: app), 30, cfg, Logger(cfg))
    worker.tmp.close()
    if kind is Worker:
        worker.load_wsgi()
    else:
        worker.wsgi = app  # all that gunicorn's own would do here
    return worker


@contextmanager
def connected(worker: Any) -> Iterator[tuple[TConn, socket.socket]]:
    """Give a connection of the worker's, and the client's end of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=60) as client,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock, address = listener.accept()
        conn = TConn(worker.cfg, sock, address, ("127.0.0.1", 80))
        conn.data_ready = True
        try:
            yield conn, client
        finally:
            conn.sock.close()


def answered(kind: type[ThreadWorker], app: "WSGIApplication", request: bytes) -> tuple[bool, bytes]:
    """Return whether the connection is kept, and what was answered, with its date left out."""
    worker = made(kind, app)
    with connected(worker) as (conn, client):
        client.sendall(request)
        is_kept = worker.handle(conn)
        conn.sock.close()
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    return bool(is_kept), re.sub(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", rb"\r\nDate: now", answer)


@pytest.mark.parametrize(
    ("app", "request_"),
    [
        pytest.param(answering(("Content-Length", "3")), GET, id="plain"),
        pytest.param(answering(("content-length", "3"), ("Vary", " Origin\t")), GET, id="spelt otherwise"),
        pytest.param(answering(), GET, id="chunked"),
        pytest.param(answering(pieces=[]), GET, id="empty"),
        pytest.param(answering(pieces=[b"ab", b"", b"c"]), GET, id="an empty piece"),
        pytest.param(answering(("Content-Length", "3")), GET.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(answering(), GET.replace(b"1.1", b"1.0"), id="HTTP/1.0 without a length"),
        pytest.param(answering(("Content-Length", "3")), GET.replace(b"GET", b"HEAD"), id="HEAD"),
        pytest.param(answering(status="204 No Content", pieces=[]), GET, id="204"),
        pytest.param(answering(("ETag", '"1"'), status="304 Not Modified", pieces=[]), GET, id="304"),
        pytest.param(answering(("Content-Length", "2")), GET, id="too much"),
        pytest.param(answering(("Content-Length", "3"), ("Connection", "close"), ("TE", "gzip")), GET, id="hop by hop"),
        pytest.param(answering(("Content-Length", "3")), GET[:-2] + b"Connection: close\r\n\r\n", id="close"),
        pytest.param(answering(("X Y", "z")), GET, id="a name that is none"),
        pytest.param(answering(("X-Y", "z\r\nSet-Cookie: a=b")), GET, id="a value of two lines"),
        pytest.param(answering(("X-Y", b"z")), GET, id="bytes"),  # type: ignore[arg-type] # that is the point
        pytest.param(failing, GET, id="raises"),
        pytest.param(wrapping, GET, id="a file"),
        pytest.param(echoing, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", id="a body"),
        pytest.param(answering(), b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", id="a body that nobody reads"),
        pytest.param(echoing, CHUNKED, id="chunks"),
        pytest.param(answering(), CHUNKED, id="chunks that nobody reads"),
        pytest.param(answering(), b"nonsense\r\n\r\n", id="no request"),
    ],
)
def test_answers_are_gunicorns(app: "WSGIApplication", request_: bytes) -> None:
    """What gunicorn's own worker would send is what is sent, and the connection is kept as it would be."""
    kept, answer = answered(ThreadWorker, app, request_)
    assert answer
    assert answered(Worker, app, request_) == (kept, answer)


def test_the_date_goes_on() -> None:
    """It is made once a second, and not once."""
    app = answering(("Content-Length", "3"))
    worker, dates = made(Worker, app), set()
    with connected(worker) as (conn, client):
        for pause_s in (0, 1.01):
            time.sleep(pause_s)
            client.sendall(GET)
            assert worker.handle(conn)
            dates.add(re.search(rb"\r\nDate: (.*)\r\n", client.recv(65_536))[1])  # type: ignore[index] # or it fails
    assert len(dates) == 2


def test_an_answer_leaves_no_cycle() -> None:
    """What a request has made goes at once; a collector that has it to find takes a tenth of a request's time."""
    worker = made(Worker, answering(("Content-Length", "3")))
    with connected(worker) as (conn, client):
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                client.sendall(GET)
                assert worker.handle(conn)
                assert client.recv(65_536)
            assert gc.collect() < 10
        finally:
            gc.enable()


def test_one_body_after_the_other() -> None:
    """What a request leaves of its body is not taken for the next request."""
    worker = made(Worker, answering(("Content-Length", "3")))
    with connected(worker) as (conn, client):
        for _ in range(3):
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n".ljust(2000))
            assert worker.handle(conn)
            assert client.recv(65_536).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("kind", [ThreadWorker, Worker])
def test_nothing_is_read_past_the_last_request(kind: type[ThreadWorker]) -> None:
    """What comes behind a request that closes the connection is no request, also if somebody looks for one."""
    worker = made(kind, answering(("Content-Length", "3")))
    with connected(worker) as (conn, client):
        client.sendall(GET[:-2] + b"Connection: close\r\n\r\n" + GET)
        assert not worker.handle(conn)
        with pytest.raises(StopIteration):
            next(conn.parser)


@pytest.mark.parametrize("timeout_s", [0.0, 0.05, None])
def test_a_time_out_holds_when_it_matters(timeout_s: float | None) -> None:
    """The worker's socket waits for data as long as it was last told, however often it was told before."""
    ours, client = socket.socketpair()
    with client, Socket(ours) as sock:
        for before_s in (3.0, None, timeout_s):
            sock.settimeout(before_s)
        assert sock.gettimeout() == timeout_s
        if timeout_s is None:
            client.sendall(b"x")
            assert sock.recv(2) == b"x"
        else:
            with pytest.raises(TimeoutError if timeout_s else BlockingIOError):
                sock.recv(2)


def test_a_worker_looks_its_settings_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later they are plain attributes, with what they were before."""
    cfg = Config()
    worker = Worker(1, 0, [], SimpleNamespace(wsgi=lambda: None), 30, cfg, Logger(cfg))
    before = {name: getattr(cfg, name) for name in cfg.settings}
    worker.load_wsgi()
    worker.tmp.close()
    monkeypatch.delattr(Config, "__getattr__")
    assert {name: getattr(cfg, name) for name in cfg.settings} == before


# However long a busy machine lets the client wait before it asks again.
WAITS_FOR_THE_NEXT = """
from authsvc.server import gunicorn_http
gunicorn_http.STAY_MS = 60_000
from authsvc.__main__ import main
main()
"""


def test_few_system_calls_a_request(service: Service) -> None:
    """A worker receives, sends, and waits for the next request in the same thread, for who asks one after the other."""
    trace, requests = service.folder / "calls", 100
    service.command = (sys.executable, "-c", WAITS_FOR_THE_NEXT, "serve")
    calls = ("recvfrom", "sendto", "ioctl", "poll", "epoll_ctl")
    service.variables["AUTHSVC_RATE_LIMIT"] = f"{requests}/minute"
    service.prefix = (needed.program("strace"), "-Dfqq", "-e", f"trace={','.join(calls)}", "-o", str(trace))
    service.start("--server", "gunicorn", "--workers", "1")
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        before = trace.stat().st_size
        for _ in range(requests):
            connection.request("POST", "/v1/auth-payload", headers=bearer_of("ming"))
            assert connection.getresponse().read().startswith(b'{"appkey"')
    counted = Counter(re.findall(r"(\w+)\(", trace.read_text()[before:]))
    assert counted["sendto"] >= requests
    assert counted["recvfrom"] >= requests
    assert counted.total() < 5 * requests, counted


def test_a_dripping_head_is_given_up(service: Service) -> None:
    """All of a head has five seconds, however often a piece of it comes, and whoever else has connected meanwhile."""
    service.start("--server", "gunicorn", "--workers", "1")
    began_s = time.monotonic()
    with ExitStack() as stack:
        others = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(2)]
        dripping = others.pop()
        dripping.settimeout(0.2)
        dripping.sendall(GET[:5])
        while True:
            others.append(stack.enter_context(socket.create_connection(("127.0.0.1", service.port))))
            try:
                assert dripping.recv(1) == b""
                break
            except TimeoutError:
                dripping.sendall(b"x")
            except ConnectionResetError:
                break
    assert READ_S <= time.monotonic() - began_s < READ_S + 30, "and not the time of a connection without a request"


def test_a_request_in_pieces() -> None:
    """It is parsed when all of it has come; the thread is free meanwhile, and what came is kept."""
    worker = made(Worker, echoing)
    with connected(worker) as (conn, client):
        for request in (POST + b"abc", CHUNKED, GET):
            for place in range(len(request) - 1):
                client.sendall(request[place : place + 1])
                assert worker.handle(conn) is _DEFER
            client.sendall(request[-1:])
            assert worker.handle(conn) is True
            assert client.recv(65_536).endswith(b"0\r\n\r\n" if request == GET else b"abc\r\n0\r\n\r\n")
        assert conn.parser.req_count == 3


def test_the_last_request_in_pieces() -> None:
    """That it asks for an end of the connection is kept too."""
    worker = made(Worker, echoing)
    with connected(worker) as (conn, client):
        client.sendall(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\na")
        assert worker.handle(conn) is _DEFER
        client.sendall(b"bc")
        assert worker.handle(conn) is False
        assert client.recv(65_536).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("begun", [POST + b"a", CHUNKED[:-7]], ids=["length", "chunks"])
def test_a_body_that_ends_early(begun: bytes) -> None:
    """There is nothing to wait for, and the app is told by an error."""
    seen: list[BaseException | bytes] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            seen.append(environ["wsgi.input"].read())
        except OSError as exc:
            seen.append(exc)
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []

    worker = made(Worker, app)
    with connected(worker) as (conn, client):
        client.sendall(begun)
        client.shutdown(socket.SHUT_WR)
        worker.handle(conn)
        assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")
    assert isinstance(seen[0], OSError) or seen == [b"a"]


@pytest.mark.parametrize("begun", [POST.replace(b"3", b"65537"), CHUNKED[:-5] + b"1\r\nx\r\n" * 25_000])
def test_no_thread_waits_for_a_large_body(begun: bytes) -> None:
    """It is not kept: the app refuses it at once, and the connection is closed."""
    worker = made(Worker, answering(("Content-Length", "3")))
    with connected(worker) as (conn, client):
        sending = threading.Thread(target=client.sendall, args=[begun])
        sending.start()
        while (is_kept := worker.handle(conn)) is _DEFER:
            pass
        sending.join()
        assert is_kept is False
        assert client.recv(65_536).endswith(b"\r\n\r\nabc")


def test_a_client_that_waits_to_be_asked_for_its_body() -> None:
    """It is asked once; and not, if its body has come anyway."""
    worker = made(Worker, echoing)
    expecting = POST[:-2] + b"Expect: 100-continue\r\n\r\n"
    with connected(worker) as (conn, client):
        for _ in range(2):
            client.sendall(expecting)
            assert worker.handle(conn) is _DEFER
            assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"ab")
            assert worker.handle(conn) is _DEFER
            for sent in (b"c", expecting + b"abc"):
                client.sendall(sent)
                assert worker.handle(conn) is True
                assert client.recv(65_536).startswith(b"HTTP/1.1 200 OK")


def test_a_worker_that_stops_waits_for_a_request() -> None:
    """It gives no connection back any more, so its thread receives what is still to come, and answers it."""
    worker = made(Worker, echoing)
    worker.alive = False
    with connected(worker) as (conn, client):
        client.sendall(POST + b"a")
        later = threading.Timer(0.05, client.sendall, [b"bc"])
        later.start()
        assert worker.handle(conn) is False
        later.join()
        assert b"\r\nConnection: close\r\n" in (answer := client.recv(65_536))
        assert b"abc" in answer


def test_a_head_too_large() -> None:
    """What is kept of a head is bounded; the refusal is gunicorn's own."""
    worker = made(Worker, echoing)
    with connected(worker) as (conn, client):
        client.sendall(GET[:-2])
        while (is_kept := worker.handle(conn)) is _DEFER:
            client.sendall(b"X: " + b"x" * 5_000 + b"\r\n")
        assert not is_kept
        assert client.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_a_connection_that_cannot_be_accepted() -> None:
    """With no file left, or a fault of the network: the worker goes on."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.close()
    made(Worker, echoing).accept(listener)


def test_who_reads_no_answer_is_given_up() -> None:
    """An answer that has not gone out in time is not sent, and its thread is free."""
    worker = made(Worker, echoing)
    with connected(worker) as (conn, client):
        conn.sock = Socket(conn.sock)
        worker._begun_s[conn] = time.monotonic()
        conn.sock.sends_since_s = time.monotonic() - SENT_S - 1
        worker.murder_pending()
        with pytest.raises(BrokenPipeError):
            conn.sock.sendall(b"answer")
        assert client.recv(6) == b""


def test_what_comes_after_the_last_answer_is_thrown_away() -> None:
    """A connection is closed when its client has closed it, and what it sends until then takes no answer back."""
    worker = made(Worker, echoing)
    worker.poller = selectors.DefaultSelector()
    with closing(worker.poller), connected(worker) as (conn, client):
        conn.sock = Socket(conn.sock)
        worker.nr_conns = 1
        worker._linger(conn)
        for sent in (b"more", b"and more"):
            client.sendall(sent)
            ((key, _),) = worker.poller.select(60)
            key.data(conn.sock)
            assert (worker.nr_conns, len(worker.pending_conns)) == (1, 1)
        client.shutdown(socket.SHUT_WR)
        ((key, _),) = worker.poller.select(60)
        key.data(conn.sock)
        assert (worker.nr_conns, len(worker.pending_conns)) == (0, 0)


@pytest.mark.parametrize(("age_s", "sent"), [(READ_S + 1, b"answer"), (ANSWERED_S + 1, b"")])
def test_a_request_that_a_thread_holds_too_long(age_s: float, sent: bytes) -> None:
    """After five seconds nothing more of it is received; its answer still goes out, for as long as one may take."""
    worker = made(Worker, echoing)
    with connected(worker) as (conn, client):
        worker._begun_s[conn] = time.monotonic() - age_s
        worker.murder_pending()
        conn.sock.settimeout(60)
        assert conn.sock.recv(1) == b""
        with suppress(BrokenPipeError):
            conn.sock.sendall(b"answer")
        assert client.recv(6) == sent
