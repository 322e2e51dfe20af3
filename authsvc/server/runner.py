"""
Run the WSGI app on gunicorn or granian, and drain before stopping.

On SIGTERM or SIGINT `/readyz` says no while requests are still served; after the drain delay, or on a second signal,
the server stops accepting and finishes what it has. SIGHUP restarts nothing: every worker looks at the secret files
by itself, twice a second. Imports `app`, `gunicorn_arbiter` for gunicorn, `granian_server` for granian, `bind`,
`limits`, `drain`, `exporter` and `shared_slots`.
"""

import gc
import importlib.util
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from authsvc import __version__
from authsvc.app import create_app
from authsvc.bind import Bind, free
from authsvc.errors import ExtraMissing, SettingsError
from authsvc.server.drain import STOPPING, Drain
from authsvc.server.limits import keep_to_a_cpu
from authsvc.telemetry import exporter
from authsvc.telemetry.shared_slots import Living, Slots

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

BEAT_S = 1.0
HUNG_S = 60  # without a heartbeat; what gunicorn's `timeout` is

Build = Callable[[], "WSGIApplication"]
Load = Callable[[Drain], "WSGIApplication"]


def serve(
    server: str,
    bind: Bind,
    *,
    workers: int,
    drain_delay_s: int,
    log_level: str,
    metrics_bind: Bind | None = None,
    variables: Mapping[str, str] = os.environ,
    preload: Callable[[], None] = lambda: None,
    load: Load | None = None,
    about: str = "",
) -> None:
    """
    Serve until stopped.

    Args:
        server: "gunicorn" or "granian".
        drain_delay_s: how long to go on serving after the first signal.
        metrics_bind: where `/metrics` is served; None serves it nowhere.
        variables: of the environment, which may have no secrets left; each worker reads the settings from them.
        preload: imports what the workers need, before they are made.
        load: builds the app, in each worker; None builds the service from the variables.
        about: what the log tells at the start, beside where it serves and how.

    Raises:
        SettingsError: nothing can listen there, or the server is not installed.
    """
    run = {"gunicorn": _serve_gunicorn, "granian": _serve_granian}[server]
    if server == "granian" and importlib.util.find_spec("granian") is None:
        raise ExtraMissing("--server granian", "granian")
    free(bind)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # all secrets would be in a core file
    listener = None if metrics_bind is None else _listen(metrics_bind)
    slots = Slots(workers)
    load = load or partial(
        _load_service, variables, slots=slots, twins_pass=server == "granian", metrics_listener=listener
    )
    drain = Drain(delay_s=drain_delay_s)
    preload()
    if about:
        _log.info("authsvc %s on %s with %s, %d worker(s); %s", __version__, bind, server, workers, about)
    if server == "granian":
        threading.Thread(target=_kill_hung, args=(slots,), name="authsvc-hung", daemon=True).start()
    run(bind, workers, drain, log_level, partial(_load_apart, load, drain, slots, workers))


def _kill_hung(slots: Slots) -> None:
    """
    Kill workers that show no sign of life, which granian then replaces; gunicorn does so by itself.

    What counts is how often this process has looked meanwhile: if the machine sleeps, nobody has hung.
    """
    seen: dict[int, tuple[Living, int]] = {}
    while True:
        time.sleep(BEAT_S)
        before, seen = seen, {}
        for worker in slots.living():
            known, looks = before.get(worker.number, (worker, 0))
            seen[worker.number] = (worker, looks + 1 if worker == known else 0)
            if seen[worker.number][1] * BEAT_S >= HUNG_S:
                _log.error("worker %d has hung for %d s and is killed", worker.pid, HUNG_S)
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
                del seen[worker.number]


def _listen(bind: Bind) -> socket.socket:
    try:
        return exporter.listen(bind.host, bind.port)
    except OSError as exc:
        raise SettingsError([f"AUTHSVC_METRICS_BIND: cannot listen on {bind}: {exc}"]) from exc


def _load_service(
    variables: Mapping[str, str],
    drain: Drain,
    *,
    slots: Slots,
    twins_pass: bool,
    metrics_listener: socket.socket | None,
) -> "WSGIApplication":
    """
    Build the service; a worker that is made while a secret file is half written waits for it to be whole.

    The settings were good when the parent started. To give up would end the parent, and with it all other workers.
    """
    while True:
        try:
            app = create_app(
                is_draining=drain.is_on,
                twins_pass=twins_pass,
                metrics_listener=metrics_listener,
                slots=slots,
                variables=variables,
            )
        except SettingsError as exc:
            for fault in exc.faults:
                _log.error("waiting for settings that can be used: %s", fault)
            time.sleep(1)
        else:
            # Past what looks for a fork with each request, by a system call: a worker does not fork.
            direct: WSGIApplication = app.extensions["authsvc.direct"]
            return direct


def _load_apart(load: Load, drain: Drain, slots: Slots, workers: int) -> "WSGIApplication":
    """Build the app out of reach of the terminal's Ctrl-C, which is for the parent to act on."""
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    place = slots.take()
    threading.Thread(target=_live, args=(os.getppid(), slots), name="authsvc-parent", daemon=True).start()
    keep_to_a_cpu(place, workers)
    app = load(drain)
    _settle()
    return app


def _settle() -> None:
    """
    Take what is there, and stays, out of what the garbage collector looks through.

    In the parent that keeps memory shared with the workers; in a worker a full collection has less to look through.
    """
    gc.collect()
    gc.freeze()


def _live(parent: int, slots: Slots) -> None:
    """Beat, and end this worker when its parent has gone without a word, or it would go on serving for ever."""
    while os.getppid() == parent:
        slots.beat()
        time.sleep(BEAT_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _serve_gunicorn(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    from authsvc.server import (
        gunicorn_arbiter,  # here, because gunicorn takes memory that granian's workers would have too
    )

    _settle()
    gunicorn_arbiter.serve(bind, workers, drain, log_level, build)


def _serve_granian(bind: Bind, workers: int, drain: Drain, log_level: str, build: Build) -> None:
    from authsvc.server import granian_server  # here, because granian is an extra

    _settle()
    granian_server.serve(bind, workers, drain, log_level, build)
