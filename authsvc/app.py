"""
The only wiring: builds everything from the settings and hands it down. Nothing happens at import.
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
from authsvc.web.lifecycle import Lifecycle
from authsvc.web.routes import routes
from authsvc.web.services import Services

_log = logging.getLogger(__name__)

TELL_S = 0.05  # by how much the log is behind, and what of it is lost when a worker is killed
TICK_S = 0.5  # how often the limiter tells the store, and how soon a changed secret file is seen
SETTLED_S = 2.0  # without a failure, until the log says that the store is back
SAMPLE_EVERY = 30  # ticks, from one look at what gauges tell to the next
BULKHEAD_SLOTS = 24  # of a worker's threads, how many may wait for the vendor; the others are for everything else
SHARE = 4  # one user may spend one part in so many of the vendor's budget


def preload(settings: Settings) -> None:
    """
    Import what `create_app` imports only when it is called.

    Before the fork: then the workers share it, and start sooner.
    """
    if settings.metrics_bind is not None:
        from authsvc.telemetry import exposition  # noqa: F401 -- to have it
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
    Return the WSGI app. Best call it in each worker: it starts threads and may connect. A process that is forked from
    this one later builds an app of its own with its first request, so what is added to this one has to be middleware.

    Args:
        settings: None reads them from `variables`, and goes on watching the files that these name.
        store: None opens the one that the settings name.
        vendor: None makes a client of the API at the URL that the settings name.
        is_draining: whether this process has been asked to stop, for `/readyz`.
        metrics_listener: where `/metrics` is asked for; None serves it nowhere.
        slots: of all workers, whose figures are told together; None if there are no others.
        twins_pass: whether the server lets `X_Forwarded_User` pass for `X-Forwarded-User`, which WSGI cannot tell.

    Raises:
        SettingsError: with every fault in it.
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
    watch = Watcher(variables) if settings is None else None  # before they are read, or a change could be missed
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
            _log.warning("AUTHSVC_STORE_URL: the new one is used after a restart")
        used = changed
        recorder.log.users = _users(changed)
        _replace(apps, changed, now_ms())
        authenticator.replace(logins.ways(changed))
        verifiers.replace(changed.verifier_keys)
        if accounts is not None and changed.account_key is not None:
            accounts.replace(changed.account_key)

    telling = PeriodicThread("authsvc-telling", [recorder.flush], interval_s=TELL_S, at_end=[recorder.flush])
    jobs: list[Callable[[], None]] = [limiter.reconcile, vendor_limiter.reconcile, store_availability.look]
    if watch is not None:
        jobs.append(partial(watch.look, apply))
    jobs.append(lambda: apps.reconcile(store, now_ms()))
    at_end = [media.close, vendor.close, telling.stop, trace.close, logins.close]
    background = PeriodicThread("authsvc-background", jobs, interval_s=TICK_S, at_end=at_end)
    readiness = Readiness(
        store,
        broken_files=tuple if watch is None else watch.broken,
        is_vendor_unavailable=vendor.is_unavailable,
        is_at_work=lambda: background.is_alive() and telling.is_alive(),
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
    services = Services(
        apps=apps,
        authenticator=authenticator,
        verifiers=verifiers,
        limiter=limiter,
        media=media,
        accounts=accounts,
        has_signature_route=used.signature_route,
        sdk={"script": used.sdk_script, "integrity": used.sdk_integrity, "options": used.sdk_options},
        store=store,
        readiness=readiness,
        now_ms=now_ms,
    )
    table = routes(services)
    app = flask_app.create(table, lifecycle)
    direct = Direct(app.wsgi_app, table, lifecycle, is_open=flask_app.watch(app))
    app.wsgi_app = PerProcess(direct, again)  # type: ignore[method-assign] # Flask's documentation has it so
    # A new store's birth mark has to be older than the first payload, or that would count as forgotten.
    with suppress(StoreUnavailable):
        store.ping()
    apps.reconcile(store, now_ms())
    background.start()
    telling.start()
    # A worker that ends tells the last of it; both servers' workers come by here, and those who embed the app may too.
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
