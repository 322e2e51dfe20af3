"""Tests of granian behind nginx: how long the one waits for the other."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from authsvc.server.limits import KEPT_S
from tests.support import needed
from tests.support.running import Service, clean_environment, free_port, is_listening, wait_until

IDLE_S = 5.5  # for which granian kept no connection when it gave a head and an idle connection the same 5 s
ESTABLISHED = "01"


@pytest.fixture
def granian(service: Service) -> Service:
    """The service on granian, with one worker. Running."""
    service.start("--server", "granian", "--workers", "1")
    return service


@pytest.fixture
def nginx(granian: Service) -> Iterator[Service]:
    """The service as nginx passes it on, over connections that nginx keeps."""
    passed, folder = Service.__new__(Service), granian.folder
    passed.port = free_port()
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy"))
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/nginx.log; events {{}}\n"
        f"http {{ {temporary} access_log off; upstream authsvc {{ server 127.0.0.1:{granian.port}; keepalive 4; }}\n"
        f"server {{ listen 127.0.0.1:{passed.port}; location / {{ proxy_pass http://authsvc; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_next_upstream off; } } }\n'
    )
    command = [
        needed.program("nginx"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        f"{folder}/nginx.log",
    ]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, env=clean_environment()))
        stack.callback(process.terminate)
        wait_until(lambda: is_listening(passed.port))
        yield passed


def connections_to(port: int) -> set[str]:
    """Return the local addresses of the connections that this machine has to that loopback port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {local for _, local, remote, state, *_ in lines if state == ESTABLISHED and remote.endswith(f":{port:04X}")}


def test_nginx_finds_the_connection_that_it_kept(granian: Service, nginx: Service) -> None:
    """A request after a pause is served over the same connection; one that granian has closed would be a 502."""
    assert nginx.ask("GET", "/healthz").status == 200
    kept = connections_to(granian.port)
    assert len(kept) == 1
    threading.Event().wait(IDLE_S)  # the pause is what is tested
    assert connections_to(granian.port) == kept
    assert nginx.ask("GET", "/healthz").status == 200
    assert connections_to(granian.port) == kept


def test_it_is_kept_longer_than_nginx_does() -> None:
    """nginx keeps it for a minute unless it is told otherwise, as in deploy/nginx.conf; gunicorn's side is the same."""
    assert KEPT_S > 60


def test_the_start_names_what_granian_lacks(granian: Service) -> None:
    """Who starts it learns that it must not be reached by anybody but a gateway that buffers requests."""
    (line,) = [line for line in granian.log().splitlines() if "waits for a slow body for ever" in line]
    assert '"level":"warning"' in line
