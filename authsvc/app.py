"""
The wiring: `create_app` builds all parts from the settings and connects them. Nothing happens at import.
"""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.util import Finalize
from socket import socket

from flask import Flask

from authsvc import clock, stores
from authsvc.auth.authenticator import Authenticator
from authsvc.errors import StoreUnavailable
from authsvc.logins import Logins
from authsvc.outbound.availability import Availability
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.payloads.apps import Apps
from authsvc.payloads.verifying import Verifiers
from authsvc.ratelimit.limiter import Limiter
from authsvc.ratelimit.rate import Rate
from authsvc.settings import loader
from authsvc.settings.model import Settings
from authsvc.settings.watcher import Watcher
from authsvc.stores.instrumented import InstrumentedStore
from authsvc.stores.store import Store
from authsvc.telemetry import access_log, exporter, tracing
from authsvc.telemetry.access_log import RequestLog
from authsvc.telemetry.health import Readiness
from authsvc.telemetry.metrics import Metrics
from authsvc.telemetry.periodic import PeriodicThread, every
from authsvc.telemetry.recorder import Recorder, Sampler
from authsvc.telemetry.shared_slots import Slots
from authsvc.vendor.accounts import Accounts
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Vendor
from authsvc.vendor.media import Media
from authsvc.web import flask_app
from authsvc.web.direct import Direct
from authsvc.web.forks import PerProcess
from authsvc.web.handlers import Handlers
from authsvc.web.lifecycle import Lifecycle
from authsvc.web.routes import routes

_log = logging.getLogger(__name__)

RECORD_S = 0.05  # by which the log is late, and what of it is lost when a worker is killed
TICK_S = 0.5  # between two reconciliations of the limiter, and two looks at the secret files
SETTLED_S = 2.0  # without a failure, until the log has that the store is available again
SAMPLE_EVERY = 30  # ticks between two samples of the gauges
BULKHEAD_SLOTS = 24  # threads of a worker that may wait for the vendor; the others stay free for everything else
SHARE = 4  # one user may use the vendor's budget divided by this


def preload(settings: Settings) -> None:
    """
    Import the modules that `create_app` imports only when it is called.

    Before the fork, so that the workers share them and start faster.
    """
    if settings.metrics_bind is not None:
        from authsvc.telemetry import exposition  # noqa: F401 -- preloaded
    if settings.store_url.reveal().startswith("sqlite:"):
        from authsvc.stores import sqlite  # noqa: F401 -- the same
    else:
        from authsvc.stores import redis  # noqa: F401 -- the same


def create_app(
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    vendor: Vendor | None = None,
    now_ms: Callable[[], int] = clock.now_ms,
    is_draining: Callable[[], bool] = lambda: False,
    twins_pass: bool = False,
    metrics_listener: socket | None = None,
    slots: Slots | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Flask:
    """
    Return the WSGI app. Call it in each worker if possible: it starts threads and may connect. A process that is forked
    later builds its own app at its first request, so additions to this one must be middleware.

    Args:
        settings: None loads them from `variables`, and watches the files that these name.
        store: None opens the store of the settings.
        vendor: None creates a client of the API at the URL of the settings.
        is_draining: whether this process is stopping, for `/readyz`.
        metrics_listener: the socket of `/metrics`; None turns it off.
        slots: of all workers, for their common metrics; None for a single process.
        twins_pass: whether the server accepts `X_Forwarded_User`, which WSGI does not distinguish from
            `X-Forwarded-User`.

    Raises:
        SettingsError: with every fault.
    """
    variables = dict(variables)  # a server may take the secrets out of the process's environment afterwards
    again = partial(
        create_app,
        settings,
        store=store,
        vendor=vendor,
        now_ms=now_ms,
        is_draining=is_draining,
        twins_pass=twins_pass,
        metrics_listener=metrics_listener,
        slots=slots,
        variables=variables,
    )
    watch = Watcher(variables) if settings is None else None  # before they are loaded, or a change could be missed
    used = settings or loader.load(variables, Settings)
    recorder = Recorder(_request_log(used), Metrics(slots))
    trace = tracing.create(variables)
    store = store or stores.open_store(used.store_url.reveal(), now_ms=now_ms)
    store_availability = Availability("the store", "AUTHSVC_STORE_URL", settled_s=SETTLED_S)
    store = InstrumentedStore(store, recorder.on_store_call, store_availability)
    apps = Apps(used.apps, now_ms())
    logins = Logins(used, store, twins_pass=twins_pass, now_ms=now_ms, on_call=recorder.on_login_call)
    authenticator = Authenticator(logins.ways(used), allowed_origins=used.allowed_origins)
    verifiers = Verifiers(used.verifier_keys)
    limiter = Limiter(used.rate_limit, store)
    budget = Budget(used.vendor_budget, store)
    vendor = vendor or Vendor(
        used.vendor_url,
        budget=budget,
        breaker=CircuitBreaker(),
        now_ms=now_ms,
        on_call=recorder.on_vendor_call,
        trace_headers=trace.headers,
    )
    bulkhead = Bulkhead(BULKHEAD_SLOTS)
    vendor_limiter = Limiter(_share_of(used.vendor_budget), store, what="media")
    media = Media(
        vendor,
        store,
        hosts=used.media_hosts,
        bulkhead=bulkhead,
        limiter=vendor_limiter,
        on_lookup=recorder.metrics.media,
    )
    accounts = _accounts(used, vendor, store, bulkhead)

    def apply(changed: Settings) -> None:
        nonlocal used
        if changed.store_url != used.store_url:
            _log.warning("AUTHSVC_STORE_URL: the new store is used after a restart")
        used = changed
        recorder.log.users = _users(changed)
        _replace(apps, changed, now_ms())
        authenticator.replace(logins.ways(changed))
        verifiers.replace(changed.verifier_keys)
        if accounts is not None and changed.account_key is not None:
            accounts.replace(changed.account_key)

    recording = PeriodicThread("authsvc-recorder", [recorder.flush], interval_s=RECORD_S, at_end=[recorder.flush])
    jobs: list[Callable[[], None]] = [limiter.reconcile, vendor_limiter.reconcile, store_availability.look]
    if watch is not None:
        jobs.append(partial(watch.look, apply))
    jobs.append(lambda: apps.reconcile(store, now_ms()))
    at_end = [media.close, vendor.close, recording.stop, trace.close, logins.close]
    background = PeriodicThread("authsvc-background", jobs, interval_s=TICK_S, at_end=at_end)
    readiness = Readiness(
        store,
        broken_files=tuple if watch is None else watch.broken,
        is_vendor_unavailable=vendor.is_unavailable,
        is_at_work=lambda: background.is_alive() and recording.is_alive(),
        is_draining=is_draining,
    )
    sampler = Sampler(recorder.metrics, apps, budget, readiness, vendor, now_ms)
    jobs.append(every(SAMPLE_EVERY, sampler.sample))

    lifecycle = Lifecycle(
        allowed_origins=used.allowed_origins,
        allowed_headers=used.allowed_headers,
        record=recorder.record,
        tracing=trace,
        now_ms=now_ms,
    )
    sdk = {"script": used.sdk_script, "integrity": used.sdk_integrity, "options": used.sdk_options}
    handlers = Handlers(authenticator, apps, verifiers, limiter, accounts, media, sdk, store, now_ms)
    table = routes(handlers, readiness, for_jchat_web=used.signature_route)
    app = flask_app.create(table, lifecycle)
    direct = Direct(app.wsgi_app, flask_app.unless_hooked(app, table), lifecycle)
    app.wsgi_app = PerProcess(direct, again)  # type: ignore[method-assign] # as in Flask's documentation
    # A new store's birth mark must be older than the first payload, or that payload would count as expired.
    with suppress(StoreUnavailable):
        store.ping()
    apps.reconcile(store, now_ms())
    background.start()
    recording.start()
    # At its end a worker logs the last requests. The workers of both servers run this, and so does an embedding
    # process.
    Finalize(None, background.stop, exitpriority=1)
    if metrics_listener is not None:
        exporter.start(metrics_listener, recorder.metrics.text)
    app.extensions |= {"authsvc": background, "authsvc.direct": direct, "authsvc.recorder": recorder}
    return app


def _replace(apps: Apps, settings: Settings, now_ms: int) -> None:
    before = apps.fingerprints()
    apps.replace(settings.apps, now_ms)
    for appkey, fingerprint in sorted(apps.fingerprints() - before):
        _log.warning("appkey %s: signs with the masterSecret of fingerprint %s now", appkey, fingerprint)


def _request_log(settings: Settings) -> RequestLog:
    return RequestLog(level=settings.log_level, form=settings.log_format, users=_users(settings))


def _users(settings: Settings) -> access_log.Users:
    if settings.log_users == "id":
        return access_log.plain
    return access_log.hashed(settings.apps[0].master_secret.reveal().encode())


def _share_of(budget: Rate) -> Rate:
    return Rate(max(1, budget.limit // SHARE), budget.window_ms)


def _accounts(settings: Settings, vendor: Vendor, store: Store, bulkhead: Bulkhead) -> Accounts | None:
    if settings.account_key is None:
        return None
    return Accounts(
        settings.account_key,
        vendor,
        store,
        bulkhead,
        adopt=settings.account_adopt,
        style=settings.account_names,
    )
