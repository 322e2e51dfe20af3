"""Requests that wait to be logged: in their order, up to a bound, and not lost when a worker ends."""

import json
import logging
import os
import signal
import time
from collections.abc import Iterator

import pytest

from authsvc.telemetry import recorder
from authsvc.telemetry.access_log import Finished, RequestLog
from authsvc.telemetry.metrics import Metrics
from authsvc.telemetry.recorder import Recorder
from tests.conftest import bearer_of
from tests.support.running import Service

DONE = Finished(method="GET", route="/v1/resource", status=200, asked_ms=0, took_s=0.001, request_id="r")


def test_recorded_requests_are_logged_by_flush() -> None:
    """Nothing is written while a request is answered; then all of it in one write, in turn."""
    written: list[bytes] = []
    recorded = Recorder(RequestLog(write=written.append), Metrics())
    for number in range(3):
        recorded.record(DONE._replace(request_id=f"r-{number}"))
    assert written == []
    recorded.flush()
    recorded.flush()
    (lines,) = written
    assert [json.loads(line)["request_id"] for line in lines.splitlines()] == ["r-0", "r-1", "r-2"]


def test_flush_writes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pause between them, in which requests are answered; each piece ends with a line, and none is left over."""
    monkeypatch.setattr(recorder, "PIECE", 2)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    written: list[bytes] = []
    recorded = Recorder(RequestLog(write=written.append), Metrics())
    for number in range(5):
        recorded.record(DONE._replace(request_id=f"r-{number}"))
    recorded.flush()
    assert [[json.loads(line)["request_id"] for line in piece.splitlines()] for piece in written] == [
        ["r-0", "r-1"],
        ["r-2", "r-3"],
        ["r-4"],
    ]
    assert pauses == [recorder.PAUSE_S] * 2


def test_counted_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece whose log's reader is stuck has been counted; what is not for the log writes nothing, and counts too."""
    counted = Metrics()
    sample = 'requests_total{code="",route="%s",status="200"} 1.0'
    before_write: list[bool] = []

    def write(_lines: bytes) -> None:
        counted.publish()
        before_write.append(sample % "/v1/resource" in counted.text().decode())

    recorded = Recorder(RequestLog(write=write), counted)
    for route in ("/v1/resource", "/healthz"):
        recorded.record(DONE._replace(route=route))
        recorded.flush()
    assert before_write == [True]
    assert sample % "/healthz" in counted.text().decode()


def test_a_stuck_reader(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Only a bounded number of requests is kept for it; the number of the lost ones is logged when it reads again."""
    monkeypatch.setattr(recorder, "MAX_UNRECORDED", 5)
    written: list[bytes] = []
    recorded = Recorder(RequestLog(write=written.append), Metrics())
    for _ in range(8):
        recorded.record(DONE)
    with caplog.at_level(logging.ERROR):
        recorded.flush()
        recorded.flush()
    assert len(written[0].splitlines()) == 5
    assert caplog.messages == ["3 requests are not in the log, because its reader was stuck"]


@pytest.fixture
def patient(service: Service) -> Iterator[Service]:
    """A service whose log nobody reads, until the test does."""
    read, write = os.pipe()
    service.log_to = write
    yield service
    os.close(write)
    os.close(read)
    service.stop()


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_what_is_left_when_a_worker_ends(service: Service, server: str) -> None:
    """The line of the last request before the stop is there."""
    service.start("--server", server, "--workers", "1")
    assert service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming") | {"X-Request-Id": "last"}).status == 200
    service.signal(signal.SIGTERM)
    assert service.process is not None
    assert service.process.wait(60) == 0
    assert service.log().count('"request_id":"last"') == 2


def test_a_log_that_nobody_reads(patient: Service) -> None:
    """The pipe is full, and payloads are issued all the same."""
    patient.start("--workers", "1")
    for number in range(400):  # some 400 bytes each, and the pipe takes 65 536
        assert patient.ask("POST", "/v1/auth-payload", headers=bearer_of(f"user-{number}")).status == 200
