"""The metrics, in one process and over all workers, and their text."""

import http.client
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authsvc.app import create_app
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.telemetry import exporter, metrics
from authsvc.telemetry.access_log import Finished
from authsvc.telemetry.figures import BUCKETS_S
from authsvc.telemetry.metrics import Metrics
from authsvc.telemetry.shared_slots import Slots
from tests.conftest import Clock, bearer_of
from tests.support import made_up
from tests.support.running import AS_SHIPPED, Service, free_port, wait_until

ISSUE, VERIFY = "/v1/auth-payload", "/v1/auth-payload/verify"
Figures = dict[tuple[str, ...], float]


def figures(text: bytes | str) -> Figures:
    """Return every sample by its name and its labels' values, in the order of the labels' names."""
    families = text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text)
    return {
        (sample.name.removeprefix("authsvc_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def done(status: int = 200, took_s: float = 0.002, **more: object) -> Finished:
    return Finished(method="POST", route=ISSUE, status=status, asked_ms=0, took_s=took_s, request_id="r", **more)  # type: ignore[arg-type] # a test's own


def test_requests_and_payloads() -> None:
    """Counted by route, status and code; issued and verified by app; refusals by name."""
    counted = Metrics()
    for finished in (
        *[done(action="issued", appkey=made_up.APPKEY)] * 3,
        done(action="verified", appkey=made_up.APPKEY),
        done(429, 0.3, code=889003, refusal="too-many-requests", action="issued", appkey=made_up.APPKEY),
    ):
        counted.requests([finished])
    counted.publish()
    counted.publish()
    values = figures(counted.text())
    assert values["requests_total", "", ISSUE, "200"] == 4
    assert values["requests_total", "889003", ISSUE, "429"] == 1
    assert values["payloads_issued_total", made_up.APPKEY] == 3
    assert values["payloads_verified_total", made_up.APPKEY] == 1
    assert values["refusals_total", "889003", "too-many-requests", ISSUE] == 1


@pytest.mark.parametrize("took_s", [0.0, 0.001, 0.0011, 0.25, 5.0, 99.0])
def test_histograms_are_prometheus_own(took_s: float) -> None:
    """Many observed at once give what its own `observe` gives, at the buckets' boundaries too."""
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    reference = prometheus_client.Histogram(
        "authsvc_request_duration_seconds", "", ["route"], buckets=BUCKETS_S, registry=registry
    )
    counted = Metrics()
    all_s = (took_s, took_s, 0.07)
    for one_s in all_s:
        reference.labels(ISSUE).observe(one_s)
        counted.requests([done(took_s=one_s)])
    counted.publish()
    expected = figures(prometheus_client.generate_latest(registry))
    values = figures(counted.text())
    compared = [name for name in expected if not name[0].endswith("_created")]
    assert len(compared) == len(BUCKETS_S) + 3
    assert {name: values[name] for name in compared} == pytest.approx({name: expected[name] for name in compared})


def test_calls_and_lookups() -> None:
    """By operation and outcome."""
    counted = Metrics()
    counted.call("store", "add", "ok", 0.01)
    counted.call("store", "add", "unavailable", 0.9)
    counted.call("vendor", "GET", "200", 0.1)
    counted.media("requested")
    counted.media("joined")
    counted.publish()
    values = figures(counted.text())
    assert values["store_calls_total", "add", "ok"] == values["store_calls_total", "add", "unavailable"] == 1
    assert values["store_call_duration_seconds_count", "add"] == 2
    assert values["vendor_calls_total", "GET", "200"] == 1
    assert values["media_lookups_total", "requested"] == values["media_lookups_total", "joined"] == 1


def test_what_nobody_publishes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where figures cannot be handed over, the latest are kept, and no more than a bounded number."""
    monkeypatch.setattr(metrics, "MAX_UNCOUNTED", 3)
    counted = Metrics()
    for _ in range(5):
        counted.call("store", "add", "ok", 0.01)
        counted.media("requested")
    counted.publish()
    values = figures(counted.text())
    assert values["store_calls_total", "add", "ok"] == values["media_lookups_total", "requested"] == 3


def gauged(counted: Metrics, **changed: object) -> Figures:
    given: dict[str, object] = {
        "version": "1.2.3",
        "checks": {"store": "ok", "vendor": "ok", "draining": "yes"},
        "budget_left": {made_up.APPKEY: 539},
        "offsets_ms": {"vendor": -1_500},
        "fingerprints": frozenset({(made_up.APPKEY, "old")}),
    }
    counted.gauges(**(given | changed))  # type: ignore[arg-type] # as given above
    return figures(counted.text())


def test_gauges() -> None:
    """The state as it is: a retired secret is gone."""
    counted = Metrics()
    values = gauged(counted)
    assert values["ready", "store"] == 1
    assert values["ready", "draining"] == values["vendor_unavailable",] == 0
    assert values["vendor_budget_left", made_up.APPKEY] == 539
    assert values["clock_offset_seconds", "vendor"] == -1.5
    assert values["build_info", "1.2.3"] == values["master_secret_workers", made_up.APPKEY, "old"] == 1
    values = gauged(counted, checks={"vendor": "unavailable"}, fingerprints=frozenset({(made_up.APPKEY, "new")}))
    assert values["vendor_unavailable",] == 1
    assert ("master_secret_workers", made_up.APPKEY, "old") not in values
    assert values["master_secret_workers", made_up.APPKEY, "new"] == 1


def test_what_the_service_counts(settings: Settings, store: Store, clock: Clock) -> None:
    """Everything is wired: requests, payloads, the store's calls, the secret's fingerprint; and no user is named."""
    app = create_app(settings, store=store, now_ms=clock)
    client = app.test_client()
    issued = client.post(ISSUE, headers=bearer_of("ming")).get_json()
    for _ in range(2):
        client.post(VERIFY, json=issued, headers={"Authorization": f"Bearer {made_up.VERIFIER_KEY}"})
    text = app.extensions["authsvc.recorder"].metrics.text
    wait_until(lambda: ("master_secret_workers", made_up.APPKEY, fingerprint()) in figures(text()))
    app.extensions["authsvc"].stop()
    values = figures(text())
    assert values["payloads_issued_total", made_up.APPKEY] == 1
    assert values["payloads_verified_total", made_up.APPKEY] == 1
    assert values["refusals_total", "889001", "replayed", VERIFY] == 1
    assert values["store_calls_total", "add", "ok"] == 2
    assert b"ming" not in text()


def fingerprint() -> str:
    return Secret(made_up.MASTER_SECRET).fingerprint()


COUNT_ONE = done(action="issued", appkey="app")
STATE = {"version": "1", "budget_left": {"app": 5}, "fingerprints": frozenset({("app", "f")})}


@contextmanager
def worker(slots: Slots, *, offset_ms: int = 0, checks: str = "ok") -> Iterator[int]:
    """Count one request in a process that is forked now, set its gauges, and let it live until the end."""
    ready, is_ready = os.pipe()
    stay, leave = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(leave)
            slots.take()
            counted = Metrics(slots)
            counted.requests([COUNT_ONE])
            counted.publish()
            counted.gauges(checks={"vendor": checks}, offsets_ms={"vendor": offset_ms}, **STATE)  # type: ignore[arg-type]
            os.write(is_ready, b"x")
            os.read(stay, 1)  # until the parent closes its end
        finally:
            os._exit(0)
    os.close(is_ready)
    os.close(stay)
    try:
        assert os.read(ready, 1)
        yield pid
    finally:
        os.close(ready)
        os.close(leave)
        os.waitpid(pid, 0)


def test_workers_that_have_ended() -> None:
    """What they counted stays, their gauges end, and who takes a slot over goes on from there."""
    slots = Slots(2)
    for _ in range(5):  # more than there are slots
        with worker(slots):
            pass
    with worker(slots, offset_ms=9_000, checks="unavailable"), worker(slots, offset_ms=1_500):
        values = figures(Metrics(slots).text())
    assert values["payloads_issued_total", "app"] == values["request_duration_seconds_count", ISSUE] == 7
    assert values["master_secret_workers", "app", "f"] == 2, "the sum"
    assert values["vendor_unavailable",] == 1, "the highest"
    assert values["ready", "vendor"] == 0, "the lowest"
    assert values["clock_offset_seconds", "vendor"] == 1.5, "the last"
    values = figures(Metrics(slots).text())
    assert values["payloads_issued_total", "app"] == 7
    assert ("master_secret_workers", "app", "f") not in values


def test_more_workers_than_slots(caplog: pytest.LogCaptureFixture) -> None:
    """Who finds no slot is counted for itself, and harms nobody."""
    slots = Slots(1)
    with ExitStack() as stack:
        for _ in range(slots.number):
            stack.enter_context(worker(slots))
        assert slots.take() is None
        slots.beat()
        counted = Metrics(slots)
        counted.requests([COUNT_ONE])
        counted.publish()
        assert figures(counted.text())["payloads_issued_total", "app"] == slots.number + 1


def test_no_more_is_counted_than_there_is_room_for(caplog: pytest.LogCaptureFixture) -> None:
    """New series are dropped, which is logged once; the others are still counted and published."""
    slots = Slots(1)
    slots.take()
    counted = Metrics(slots)
    apps = [f"{number:024}" for number in range(3_000)]
    for _ in range(2):
        for appkey in apps:
            counted.requests([done(action="verified", appkey=appkey)])
        counted.publish()
        gauged(counted, budget_left=dict.fromkeys(apps, 2**63))
    assert caplog.messages == ["the memory for metrics is full: new series are not counted"]
    slots.own = None
    values = figures(Metrics(slots).text())
    assert values["payloads_verified_total", apps[0]] == 2
    assert ("payloads_verified_total", apps[-1]) not in values
    assert len([name for name in values if name[0] == "payloads_verified_total"]) > 1_000


@pytest.fixture
def scraped(service: Service) -> Service:
    """A service with metrics, and how to scrape them."""
    service.variables["AUTHSVC_METRICS_BIND"] = f"127.0.0.1:{free_port()}"
    return service


def scrape(service: Service) -> Figures:
    asked = Service.__new__(Service)
    asked.port = int(service.variables["AUTHSVC_METRICS_BIND"].rpartition(":")[2])
    answer = asked.ask("GET", "/metrics")
    assert answer.status == 200
    assert asked.ask("GET", "/").status == 404
    assert asked.ask("POST", "/metrics").status == 405
    return figures(answer.body)


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_every_worker_returns_the_metrics_of_all(scraped: Service, server: str) -> None:
    """On its own address only; a killed worker's counts stay, its place in the gauges is taken by the next."""
    scraped.start("--server", server, "--workers", "2")
    workers = scraped.wait_for_workers(2)
    secret = ("master_secret_workers", made_up.APPKEY, fingerprint())
    wait_until(lambda: scrape(scraped).get(secret) == 2, what=scraped.log)
    for number in range(20):
        assert scraped.ask("POST", ISSUE, headers=bearer_of(f"user-{number}")).status == 200
    issued = ("payloads_issued_total", made_up.APPKEY)
    wait_until(lambda: scrape(scraped).get(issued) == 20, what=scraped.log)
    os.kill(min(workers), signal.SIGKILL)
    wait_until(lambda: min(workers) not in scraped.workers(), what=scraped.log)
    scraped.wait_for_workers(2)
    wait_until(lambda: scrape(scraped).get(secret) == 2, what=scraped.log)
    assert scrape(scraped)[issued] == 20
    assert scraped.ask("GET", "/metrics").status == 404


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_metrics_on_every_address(host: str) -> None:
    """`[::]` is asked by IPv4 too, as what scrapes a container may do; an address is asked by its own kind alone."""
    with exporter.listen(host, 0) as listener:
        port = listener.getsockname()[1]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                assert (client.connect_ex((address, port)) == 0) is (host in {"::", address})


def test_where_metrics_cannot_be_served(service: Service) -> None:
    """A port that is taken ends the start with one line that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service.variables["AUTHSVC_METRICS_BIND"] = f"127.0.0.1:{taken.getsockname()[1]}"
        assert service.launch("--bind", f"127.0.0.1:{service.port}").wait(60) == 2
    (line,) = service.log().splitlines()
    assert "AUTHSVC_METRICS_BIND: cannot listen on" in line


def is_scraped(service: Service) -> bool:
    """Return whether it is, and was not given up on a machine that stood still."""
    try:
        return bool(scrape(service))
    except (OSError, http.client.HTTPException):
        return False


def test_a_scraper_that_dribbles(scraped: Service) -> None:
    """Who sends a request byte by byte, for ever, keeps the next one waiting for a moment alone."""
    scraped.command = AS_SHIPPED
    scraped.start("--workers", "1")
    port = int(scraped.variables["AUTHSVC_METRICS_BIND"].rpartition(":")[2])
    is_over = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as client:

        def dribble() -> None:
            with suppress(OSError):
                while not is_over.wait(0.1):
                    client.sendall(b"x")

        thread = threading.Thread(target=dribble)
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        thread.start()
        try:
            wait_until(lambda: is_scraped(scraped), what=scraped.log)
        finally:
            is_over.set()
            thread.join()


def test_a_scraper_that_disconnects(scraped: Service) -> None:
    """It takes nobody's place for long, and leaves no trace in the log."""
    scraped.start("--workers", "1")
    port = int(scraped.variables["AUTHSVC_METRICS_BIND"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    scrape(scraped)
    assert "Traceback" not in scraped.log()
