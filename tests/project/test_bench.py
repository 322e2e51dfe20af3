"""Tests of the benchmark: that the peers do the same job, and that the report has what was measured."""

import dataclasses
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import jwt
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from authsvc import clock
from authsvc.payloads import payload
from bench import asking, chart, crowd, loading, made_up, report, results, servers, traffic
from bench.parts import logins
from bench.processes import BenchError, Process, free_port
from bench.proxy import DELAY_S, Proxy
from bench.results import Part, Row
from bench.servers import Stage
from bench.targets import TARGETS, Target
from bench.upstream import Upstream
from tests.support import needed
from tests.support.running import is_listening, wait_until

SECRETS = [made_up.MASTER_SECRET]
NOW_S = int(time.time())
GOOD = {"sub": "user-1", "iat": NOW_S, "exp": NOW_S + 86_400}  # this is read long before the tests here are run


def signed(claims: dict[str, object], *, key: str = made_up.JWT_KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def issued_by(process: Process, token: str) -> asking.Answer:
    return asking.ask(process.port, "POST", "/v1/auth-payload", headers={"Authorization": f"Bearer {token}"})


def fresh(*, age_ms: int = 0) -> dict[str, str]:
    return payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=f"bench-{time.monotonic_ns():020d}",
        now_ms=clock.now_ms() - age_ms,
    ).to_dict()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Ours on granian, as the benchmark starts it."""
    stage = Stage(tmp_path_factory.mktemp("ours"), cores=None, load_cores=None)
    with servers.server("authsvc-granian", stage) as process:
        asking.begin_memory(process.port)
        yield process


@pytest.mark.parametrize("name", servers.ISSUING)
def test_a_peer_does_the_whole_job(name: str, tmp_path: Path) -> None:
    """It answers with a payload that our own rules accept, and each time with another random_str."""
    if missing := servers.missing(name):
        needed.do_without(missing)
    with servers.server(name, Stage(tmp_path, workers=1, cores=None)) as process:
        answers = [issued_by(process, signed(dict(GOOD))) for _ in range(2)]
        now_ms = clock.now_ms()
        refused = [
            issued_by(process, token).status
            for token in (
                signed(dict(GOOD), key=made_up.JWT_KEY[::-1]),
                signed(dict(GOOD), key=made_up.JWT_KEY + "2" * 32, algorithm="HS512"),
                signed(GOOD | {"exp": NOW_S - 5}),
                signed({"sub": "user-1"}),
                signed({"exp": NOW_S + 600}),
                "nonsense",
            )
        ]
        good_again = issued_by(process, signed(dict(GOOD))).status
    payloads = [payload.parse(json.loads(answer.body)) for answer in answers]
    assert len({one.random_str for one in payloads}) == 2
    for one in payloads:
        payload.check_signature(one, SECRETS)
        payload.check_time(one, now_ms)
        assert one.appkey == made_up.APPKEY
        assert re.fullmatch("[0-9a-f]{32}", one.random_str)
    assert refused == [401] * 6
    assert good_again == 200


@pytest.mark.parametrize("name", servers.WITH_SESSIONS)
def test_a_peer_with_sessions_knows_who_has_logged_in(name: str, tmp_path: Path) -> None:
    """Its cookie gets payloads that our own rules accept; without it, or with one that was changed, nobody does."""
    if missing := servers.missing(name):
        needed.do_without(missing)
    with servers.server(name, Stage(tmp_path, workers=1, cores=None)) as process:
        cookie = asking.log_in(process.port, "user-1")
        # The last characters of base64 may stand for no bits.
        changed = f"{cookie[:-8]}{'A' if cookie[-8] != 'A' else 'B'}{cookie[-7:]}"

        def issued(headers: dict[str, str]) -> asking.Answer:
            return asking.ask(process.port, "POST", "/v1/auth-payload", headers=headers)

        answers = [issued({"Cookie": f"{cookie}; theme=x"}) for _ in range(2)]
        now_ms = clock.now_ms()
        assert [issued(headers).status for headers in ({}, {"Cookie": changed})] == [401, 401]
    payloads = [payload.parse(json.loads(answer.body)) for answer in answers]
    assert len({one.random_str for one in payloads}) == 2
    for one in payloads:
        payload.check_signature(one, SECRETS)
        payload.check_time(one, now_ms)


def test_every_job_of_logging_in_is_answered(tmp_path: Path) -> None:
    """Each request is good, two of a kind are of different users, and the app is asked for its own."""
    with Upstream() as app:
        stage = Stage(tmp_path, cores=None, load_cores=None, settings={"LOGIN_URL": app.url})
        with servers.server("authsvc-granian", stage) as process:
            for job, traffic_of in logins.jobs(tmp_path, lambda _: None).items():
                asked = traffic_of()
                head, items = asked.head.read_bytes(), asked.items.read_bytes()
                first, second = items[: asked.length], items[asked.length : 2 * asked.length]
                assert first != second
                assert sent(process.port, head + first).startswith(b"HTTP/1.1 200 "), job
            assert sent(process.port, head.replace(b"Cookie", b"X-Cookie") + first).startswith(b"HTTP/1.1 401 ")


def test_cookies_at_first_sight_are_all_different() -> None:
    """A cookie that comes again would be remembered."""
    cookies = [*traffic.session_cookies(1_500), *traffic.session_cookies(1_500)]
    assert len(set(cookies)) == 3_000
    assert len({len(cookie) for cookie in traffic.evened(cookies)}) == 1


def sent(port: int, request: bytes) -> bytes:
    """Return the first bytes of the answer to a request as it is."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request)
        return client.recv(100)


def test_spans_are_counted() -> None:
    """Of each request that comes to the collector."""
    spans = ScopeSpans(spans=[Span(name="a"), Span(name="b")])
    body = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[spans, spans])]).SerializeToString()
    with Upstream() as collector:
        port = int(collector.url.rpartition(":")[2])
        assert asking.ask(port, "POST", "/v1/traces", headers={}, body=body).status == 200
        assert asking.ask(port, "GET", "/", headers={}).status == 401
        assert collector.spans == 4


def test_the_peer_that_verifies_claims_each_payload_once(tmp_path: Path) -> None:
    """It refuses what ours does: shape, appkey, signature, time, replay, and a wrong key of its caller."""
    if missing := servers.missing("fastify-redis"):
        needed.do_without(missing)
    stage = Stage(tmp_path, workers=1, cores=None, load_cores=None)
    with servers.redis(stage) as redis:
        url = f"redis://127.0.0.1:{redis.port}/0"
        with servers.server("fastify-redis", stage, redis_url=url) as process:

            def verify(fields: dict[str, str], key: str = made_up.VERIFIER_KEY) -> int:
                headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
                path = "/v1/auth-payload/verify"
                return asking.ask(process.port, "POST", path, headers=headers, body=json.dumps(fields)).status

            used = fresh()
            assert [verify(used), verify(used)] == [200, 409]
            assert verify(fresh() | {"signature": "0" * 32}) == 422
            assert verify(fresh(age_ms=600_000)) == 422
            assert verify(fresh(age_ms=-60_000)) == 422
            assert verify(fresh() | {"appkey": "0" * 24}) == 404
            assert verify(fresh() | {"random_str": "short"}) == 400
            assert verify(fresh(), key="x" * len(made_up.VERIFIER_KEY)) == 401


def test_a_load_is_counted_and_a_refusal_ends_it(ours: Process, tmp_path: Path) -> None:
    """The CPU time is of all the workers; answers other than 2xx are no result."""
    needed.program("wrk")
    asked = traffic.issue(tmp_path, users=50)
    runs = (loading.load(ours, asked, seconds=1, cores=None) for _ in range(3))
    run = next(run for run in runs if run.requests > 32)  # a machine may stand still for all of one
    assert 1 < run.cpu_us < 2e6 / run.requests_s * 1.5  # of two cores at most, and of the time around the load
    assert 0 < run.p50_us <= run.p99_us <= run.p999_us <= run.max_us
    asked.items.write_bytes(asked.items.read_bytes().replace(b".", b"!"))
    with pytest.raises(BenchError, match="refused"):
        loading.load(ours, asked, seconds=1, cores=None)


def test_payloads_are_presented_once_and_then_the_load_ends(ours: Process, tmp_path: Path) -> None:
    """A replay would be refused, and so end in an error; the load does not wait for its time to be over."""
    needed.program("wrk")
    began_s = time.monotonic()
    run = loading.load(ours, traffic.verify(tmp_path, 300), seconds=60, cores=None)
    assert time.monotonic() - began_s < 30
    assert 300 - loading.CONNECTIONS - 1 <= run.requests < 300


def test_a_storm_waits_for_every_answer(ours: Process) -> None:
    """The worst wait is part of the whole; one refusal fails it."""
    requests = [traffic.request("POST", "/v1/auth-payload", one).encode() for one in traffic.tokens(100)]
    waits = crowd.storm(ours.port, requests, timeout_s=60)
    assert 0 < waits.worst_s <= waits.all_s
    with pytest.raises(BenchError, match="401"):
        crowd.storm(ours.port, [*requests[:5], requests[0].replace(b"eyJ", b"???")], timeout_s=60)


def test_memory_counts_every_process(ours: Process) -> None:
    """Parent and two workers; shared pages count once in PSS."""
    memory = ours.memory()
    assert memory.processes >= 3
    assert memory.pss is None or 10e6 < memory.pss < memory.rss


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_floor_imports_its_modules(when: Literal["before", "after"], tmp_path: Path) -> None:
    """Python alone is the least; with a library, a parent and two workers print ok."""
    stage = Stage(tmp_path, cores=None)
    with servers.floor(stage, []) as process:
        wait_until(lambda: len(process.pids()) == 3)
        alone = process.memory()
    with servers.floor(stage, ["granian", "orjson"], when=when) as process:
        assert asking.ask(process.port, "GET", "/", headers={}).body == b"ok"
        having = [pid for pid in process.pids() if "orjson" in Path(f"/proc/{pid}/maps").read_text()]
        assert len(having) >= (3 if when == "before" else 1)
        assert (min(process.pids()) in having) == (when == "before")
        assert process.memory().rss > alone.rss


def test_what_is_interrupted_ends_what_it_started(tmp_path: Path) -> None:
    """Nothing is left that names its folder, which all its servers do."""
    command = [sys.executable, "-m", "bench", "--quick", "--only", "issue"]
    variables = {**os.environ, "TMPDIR": str(tmp_path)}

    def left() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(tmp_path).encode() in path.read_bytes():
                    found.append(path.parent.name)
            except OSError:
                continue
        return found

    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) as bench:
        wait_until(lambda: len(left()) > 3)  # itself, a server and its workers
        bench.send_signal(signal.SIGTERM)
        bench.wait(timeout=60)
    assert bench.returncode == 130
    assert left() == []
    assert list(tmp_path.iterdir()) == []


def test_the_proxy_passes_delays_and_refuses() -> None:
    """What is slow comes late, and a connection breaks when it goes down."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while content := self.request.recv(100):
                self.request.sendall(content)

    with socketserver.ThreadingTCPServer(("127.0.0.1", free_port()), Echo) as target:
        target.daemon_threads = True
        threading.Thread(target=target.serve_forever, daemon=True).start()
        with Proxy(target.server_address[1]) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:

                def took_s() -> float:
                    began_s = time.monotonic()
                    client.sendall(b"ping")
                    assert client.recv(100) == b"ping"
                    return time.monotonic() - began_s

                took_s()
                proxy.turn("slow")
                assert took_s() >= DELAY_S
                proxy.turn("down")
                with suppress(ConnectionResetError):
                    assert client.recv(100) == b""
            assert not is_listening(proxy.port)
            proxy.turn("up")
            wait_until(lambda: is_listening(proxy.port))
        target.shutdown()


def made_up_results() -> results.Results:
    """Two parts: ours is as fast as Go and half as large as Fastify; no number of Express."""
    rows = [
        Row("authsvc-granian", "authsvc, granian", {"cpu_us": 20.0, "p99_us": 900.0, "rss_mb": 61.5}),
        Row("go", "Go", {"cpu_us": 20.0, "p99_us": 2500.0, "rss_mb": 11.0}),
        Row("fastify", "Fastify <5>", {"cpu_us": 30.0, "p99_us": 900.0, "rss_mb": 123.0}),
        Row("express", "Express", {"cpu_us": None, "p99_us": None, "rss_mb": None}),
    ]
    columns = ["cpu_us", "p99_us", "rss_mb"]
    issue = Part("issue", "Issue", "As it is.", columns, rows, {"when": "today", "commit": "abc", "Go": "1.19"})
    sqlite = Part("sqlite", "SQLite", "", ["max_us"], [Row("authsvc-granian", "authsvc", {"max_us": 250_000.0})])
    return {"issue": issue, "sqlite": sqlite}


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    results.write(made_up_results(), tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == made_up_results()
    assert results.read(tmp_path / "none.json") == {}


def test_the_verdicts_are_of_what_was_measured() -> None:
    """A ratio is of the same part; what was not measured is left out; a missed bound has "no"."""
    lines = report.verdicts(made_up_results()).splitlines()[2:]
    verdicts = {cells[1]: cells[2:5] for line in lines for cells in [[cell.strip() for cell in line.split("|")]]}
    assert verdicts == {
        "issue on granian, CPU a request, against Go net/http": ["at most 1.2 ×", "1.00 ×", "yes"],
        "issue on granian, CPU a request, against Fastify with its token cache": ["at most 0.6 ×", "0.67 ×", "**no**"],
        "issue on granian, p99 at 32 connections, against Fastify": ["under 1 ×", "1.00 ×", "**no**"],
        "memory of two granian workers (RSS of all processes)": ["at most 130 MB", "62 MB", "yes"],
        "the same against Fastify": ["under 1 ×", "0.50 ×", "yes"],
        "verify on SQLite, 4 granian workers at full load: worst wait": ["under 200 ms", "250 ms", "**no**"],
    }


def test_a_ratio_is_of_the_same_round() -> None:
    """A machine that is slow in some rounds is slow for both; what has no rounds is divided as it is."""
    runs = [1.0, 10.0, 2.0], [2.0, 20.0, 40.0]
    rows = [
        Row(name, name, {"cpu_us": 7.0, "rss_mb": 3.0}, [{"cpu_us": one} for one in runs[name == "b"]]) for name in "ab"
    ]
    measured = {"issue": Part("issue", "", "", ["cpu_us"], rows)}
    assert results.ratio(measured, "issue", "a", "b", "cpu_us") == 0.5
    assert results.ratio(measured, "issue", "a", "b", "rss_mb") == 1.0
    assert results.ratio(measured, "issue", "a", "c", "cpu_us") is None
    assert results.ratio(measured, "verify", "a", "b", "cpu_us") is None


@pytest.mark.parametrize(("measured", "holds"), [(0.949, False), (0.95, True), (1.05, True), (1.051, False)])
def test_equal_has_two_bounds(measured: float, *, holds: bool) -> None:
    """Much faster is not equal either."""
    target = next(target for target in TARGETS if target.part == "trouble")
    assert target.holds(measured) == holds
    assert target.bounds() == "0.95 × to 1.05 ×"


def test_every_target_is_of_a_number_that_is_shown() -> None:
    """No target goes unmeasured for a misspelt name: those of the parts' columns are the only ones."""
    assert {target.number for target in TARGETS} <= set(report._COLUMNS)
    assert dataclasses.is_dataclass(Target)


def test_the_readme_is_filled_between_its_marks(tmp_path: Path) -> None:
    """What is around them stays; a second time changes nothing; the chart lies beside it."""
    (tmp_path / "README.md").write_text(f"before\n{report.BEGIN}\nof yore\n{report.END}\nafter\n")
    report.publish(made_up_results(), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "of yore" not in text
    assert "| **authsvc, granian** | 20.0 | 0.90 | 62 |" in text
    assert "| Express |  |  |  |" in text
    report.publish(made_up_results(), tmp_path)
    assert (tmp_path / "README.md").read_text() == text
    assert (tmp_path / report.CHART).exists()


def test_the_chart_reads_in_light_and_dark() -> None:
    """A well-formed picture with a bar for each number, those of ours stressed, cheapest first."""
    picture = report.drawn(made_up_results()["issue"])
    root = ET.fromstring(picture)  # noqa: S314 -- our own
    bars = [element for element in root if element.get("class") in ("ours", "peer")]
    assert [bar.get("class") for bar in bars].count("ours") == 3
    assert len(bars) == 9
    assert all(0 < float(bar.get("width", "0")) < chart.PANEL for bar in bars)
    assert "prefers-color-scheme: dark" in picture
    assert "Fastify &lt;5&gt;" in picture


def test_the_readme_has_the_stored_results() -> None:
    """Neither is changed without the other."""
    assert results.FILE.exists()
    assert report.chapters(results.read()) in (report.FOLDER / "README.md").read_text()
