"""
What is relied on of libraries beyond their documentation, one test a library: it fails by the name of what has changed.

Whoever raises an upper bound in pyproject.toml starts here, and reads what the library's new version does there. The
modules that reach into a library say what for. What of OpenTelemetry is relied on is held in test_span_encoding.
"""

import pytest

from tests.support.private_parts import changed

GTHREAD = "gunicorn.workers.gthread:ThreadWorker"


def test_gunicorn() -> None:
    """How its worker hands connections on and its parser keeps what it has read; what its arbiter does on signals."""
    parameters = {
        "gunicorn.workers.gthread:TConn": "cfg sock client server",
        "gunicorn.workers.gthread:TConn.wait_for_data": "self timeout",
        "gunicorn.workers.gthread:TConn.close": "self graceful",
        "gunicorn.workers.base:Worker": "age ppid sockets app timeout cfg log",
        f"{GTHREAD}.init_signals": "self",
        f"{GTHREAD}.load_wsgi": "self",
        f"{GTHREAD}.wait_for_and_dispatch_events": "self timeout",
        f"{GTHREAD}.accept": "self listener",
        f"{GTHREAD}.enqueue_req": "self conn",
        f"{GTHREAD}.handle": "self conn",
        f"{GTHREAD}.handle_request": "self req conn",
        f"{GTHREAD}.finish_request": "self conn fs",
        f"{GTHREAD}.murder_pending": "self",
        f"{GTHREAD}.set_accept_enabled": "self enabled",
        "gunicorn.http.unreader:Unreader.read": "self size read_ahead",
        "gunicorn.http.unreader:Unreader.unread": "self data",
        "gunicorn.http.unreader:Unreader.take_buffered": "self",
        "gunicorn.http.errors:LimitRequestHeaders": "msg",
        "gunicorn.arbiter:Arbiter.spawn_worker": "self",
        "gunicorn.arbiter:Arbiter.handle_term": "self",
        "gunicorn.arbiter:Arbiter.handle_int": "self",
        "gunicorn.arbiter:Arbiter.handle_hup": "self",
        "gunicorn.glogging:Logger.setup": "self cfg",
    }
    uses = {
        "gunicorn.workers.gthread:TConn": "sock parser initialized data_ready timeout",
        "gunicorn.workers.gthread:TConn.init": "initialized get_parser sock",
        "gunicorn.workers.base:Worker": "age alive app cfg sockets tmp",
        GTHREAD: "_accepting nr_conns pending_conns poller",
        f"{GTHREAD}.run": "set_accept_enabled wait_for_and_dispatch_events murder_pending",
        f"{GTHREAD}.init_signals": "signal",
        f"{GTHREAD}.load_wsgi": "wsgi app",
        f"{GTHREAD}.accept": "TConn enqueue_req nr_conns",
        f"{GTHREAD}.enqueue_req": "submit handle finish_request",
        f"{GTHREAD}.handle": "_DEFER init setblocking next handle_request _keepalive_after",
        f"{GTHREAD}._keepalive_after": "finish_body",
        f"{GTHREAD}.handle_request": "create",
        f"{GTHREAD}.finish_request": "_DEFER pending_conns append register on_pending_socket_readable buf enqueue_req",
        f"{GTHREAD}.on_pending_socket_readable": "pending_conns remove data_ready enqueue_req",
        f"{GTHREAD}.murder_pending": "pending_conns timeout close nr_conns",
        f"{GTHREAD}.set_accept_enabled": "_accepting sockets",
        "gunicorn.http.parser:Parser": "unreader mesg req_count",
        "gunicorn.http.parser:Parser.__next__": "mesg should_close finish_body req_count",
        "gunicorn.http.parser:Parser.finish_body": "mesg body read TimeoutError",
        "gunicorn.http.unreader:Unreader": "buf",
        "gunicorn.http.unreader:SocketUnreader.chunk": "sock recv",
        "gunicorn.http.message:Message.set_body_reader": "Body ChunkedReader LengthReader",
        "gunicorn.http.body:Body": "reader",
        "gunicorn.http.body:LengthReader": "length",
        "gunicorn.http.wsgi:create": "_expected_100_continue",
        "gunicorn.arbiter:Arbiter.spawn_workers": "spawn_worker",
        "gunicorn.glogging:Logger": "error_log",
    }
    assert changed(parameters, uses) == []


def test_granian() -> None:
    """How its workers are made and replaced, and what its signals call; and that it takes the environment late."""
    parameters = {
        "granian.server:Server.signal_handler_interrupt": "self args kwargs",
        "granian.server:Server.signal_handler_reload": "self args kwargs",
        "granian.server:Server._spawn_workers": "self spawn_target target_loader",
        "granian.server:Server._respawn_workers": "self workers spawn_target target_loader delay",
    }
    uses = {
        "granian.server:Server.startup": "signal_handler_interrupt signal_handler_reload _spawn_workers",
        "granian.server:Server._serve_loop": "_respawn_workers",
        "granian.server.mp:WorkerProcess": "get_start_method",
        "granian.wsgi:_callback_wrapper": "environ",  # which is copied once the app is there
    }
    assert changed(parameters, uses) == []


def test_redis() -> None:
    """How a connection is made, and asked without its client."""
    parameters = {
        "redis.connection:parse_url": "url",
        "redis.connection:Connection._connect": "self",
        "redis.connection:Connection.send_packed_command": "self command check_health",
        "redis.crc:key_slot": "key bucket",
    }
    uses = {
        "redis.connection:AbstractConnection.connect_check_health": "_connect",
        "redis.connection:Connection._connect": "getaddrinfo host socket_connect_timeout",
        "redis.connection:SSLConnection._connect": "_connect _wrap_socket_with_ssl",
        "redis.connection:SSLConnection._wrap_socket_with_ssl": "host",
        "redis.connection:Connection.read_response": "_parser disconnect",
    }
    assert changed(parameters, uses) == []


def test_werkzeug() -> None:
    """Its documented parser of cookies fails on bytes that are no UTF-8, with any of which a browser may come."""
    assert changed({"werkzeug.sansio.http:parse_cookie": "cookie cls"}, {}) == []


def test_urllib3() -> None:
    """How pools make connections, and these their sockets; the answers are of Python's own http.client."""
    parameters = {
        "urllib3.connection:HTTPConnection._new_conn": "self",
        "http.client:HTTPResponse": "sock debuglevel method url",
    }
    uses = {
        "urllib3.poolmanager:PoolManager": "pool_classes_by_scheme",
        "urllib3.poolmanager:PoolManager._new_pool": "pool_classes_by_scheme",
        "urllib3.connectionpool:HTTPConnectionPool._new_conn": "ConnectionCls",
        "urllib3.connection:HTTPConnection.connect": "_new_conn",
        "urllib3.connection:HTTPSConnection.connect": "_new_conn",
        "urllib3.connection:HTTPConnection.request": "sock",
        "urllib3.connection:HTTPConnection.getresponse": "getresponse",
        "http.client:HTTPConnection.getresponse": "response_class",
        "http.client:HTTPResponse": "fp makefile",
    }
    assert changed(parameters, uses) == []


@pytest.mark.parametrize(
    ("parameters", "uses", "named"),
    [
        (
            {"gunicorn.http.unreader:Unreader.unread": "self"},
            {},
            "gunicorn.http.unreader:Unreader.unread: takes self data",
        ),
        ({"gunicorn.http.unreader:Unreader.put": "self"}, {}, "gunicorn.http.unreader:Unreader.put: takes None"),
        ({"gunicorn.nothing:Unreader": ""}, {}, "gunicorn.nothing:Unreader: takes None"),
        ({}, {"gunicorn.http.unreader:Unreader": "buf held"}, "gunicorn.http.unreader:Unreader: has no held"),
        ({}, {"gunicorn.http.unreader:gone": "buf"}, "gunicorn.http.unreader:gone: has no buf"),
    ],
)
def test_a_change_would_be_named(parameters: dict[str, str], uses: dict[str, str], named: str) -> None:
    """The tests above can fail."""
    assert changed(parameters, uses) == [named]
