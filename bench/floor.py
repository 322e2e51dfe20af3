"""
A server that says ok, with libraries imported but not used: what they take when nothing of ours is there.

`python -m bench.floor PORT before|after LIBRARY...`, which are imported before the fork of two workers, or after it, in
each. Without granian among them it is three processes of Python that do nothing, and a listening socket.
"""

import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WORKERS, THREADS = 2, 32


def main() -> None:
    """Serve until stopped."""
    port, when, *libraries = sys.argv[1:]
    before = libraries if when == "before" else []

    def build() -> "WSGIApplication":
        _imported(libraries)
        return _app

    _imported(before)
    if "granian" in libraries:
        _serve(int(port), build)
    else:
        _wait(int(port))


def _imported(libraries: Iterable[str]) -> None:
    for name in libraries:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _app(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _serve(port: int, build: object) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.server import Server

    server = Server(
        "floor",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=WORKERS,
        blocking_threads=THREADS,
        http=HTTPModes.http1,
        websockets=False,
    )
    server.serve(target_loader=build, wrap_loader=False)  # type: ignore[arg-type] # as its wrap_loader=False has it


def _wait(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        for _ in range(WORKERS):
            if os.fork() == 0:
                break
        signal.pause()


if __name__ == "__main__":
    main()
