"""
A smoke test of the versions of the libraries that are installed: `python -m tests.support.floors`. It needs the service
and its extra `granian` alone. On both servers: issue, verify, media, chunked, pipelined, a compressed bomb, drain.
"""

import gzip
import json
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import jwt

from tests.support import made_up
from tests.support.running import Service, wait_until

LIBRARIES = ("flask", "granian", "gunicorn", "pydantic", "pyjwt", "redis", "urllib3")
MEDIA_ID = "qiniu/image/j/00C3BEE89B8F3C2A5F3F"
BOMB = gzip.compress(b" " * 50_000_000)


class Vendor(BaseHTTPRequestHandler):
    """Knows one picture; of any other it sends a bomb."""

    def do_GET(self) -> None:
        url = {"url": "https://dl.im.jiguang.cn/a?e=9999999999"}
        is_known = "00C3BEE89B8F3C2A5F3F" in self.path
        body = json.dumps(url).encode() if is_known else BOMB
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if not is_known:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        pass


def main() -> None:
    """Exit with a traceback unless everything works with what is installed."""
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))  # noqa: T201 -- it reports
    vendor = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=vendor.serve_forever, daemon=True).start()
    for server in ("gunicorn", "granian"):
        with tempfile.TemporaryDirectory() as folder:
            service = Service(Path(folder))
            service.variables |= {
                "AUTHSVC_VENDOR_URL": f"http://127.0.0.1:{vendor.server_port}",
                "AUTHSVC_DRAIN_DELAY_S": "2",
            }
            service.start("--server", server, "--workers", "2")
            try:
                for smoke in (issue_and_verify, media, chunked, pipelined, drain):
                    smoke(service)
                    print(f"{server}: {smoke.__name__}")  # noqa: T201 -- the same
            finally:
                service.stop()
    vendor.shutdown()


def login() -> dict[str, str]:
    token = jwt.encode({"sub": "ming", "exp": int(time.time()) + 600}, made_up.JWT_KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


def issue_and_verify(service: Service) -> None:
    payload = service.ask("POST", "/v1/auth-payload", headers=login()).json()
    verifier = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}

    def ask() -> int:
        return service.ask("POST", "/v1/auth-payload/verify", headers=verifier, body=payload).status

    assert [ask(), ask()] == [200, 409]


def media(service: Service) -> None:
    assert service.workers()
    answer = service.ask("GET", f"/v1/resource?media_id={MEDIA_ID}", headers=login())
    assert answer.status == 200, answer
    for number in range(8):
        bomb = service.ask("GET", f"/v1/resource?media_id=qiniu/image/j/{number:020X}", headers=login())
        assert bomb.status == 502, bomb
    for pid in service.workers():
        peak_kb = int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0])
        assert peak_kb < 150_000, f"{peak_kb} kB: it was inflated whole"


def chunked(service: Service) -> None:
    """An appkey that is not ours is seen in a body that comes in chunks."""
    body = json.dumps({"appkey": "f" * 24}).encode()
    sent = request("POST /v1/auth-payload", "Content-Type: application/json", "Transfer-Encoding: chunked")
    assert statuses(service, sent + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), 1) == [404]


def pipelined(service: Service) -> None:
    one = request("POST /v1/auth-payload", "Content-Length: 0")
    assert statuses(service, one * 20, 20) == [200] * 20


def drain(service: Service) -> None:
    service.signal(signal.SIGTERM)
    wait_until(lambda: service.ask("GET", "/readyz").status == 503, what=service.log)
    assert service.ask("POST", "/v1/auth-payload", headers=login()).status == 200
    assert service.stop() == 0


def request(first: str, *lines: str) -> bytes:
    authorization = f"Authorization: {login()['Authorization']}"
    return "\r\n".join((f"{first} HTTP/1.1", "Host: localhost", authorization, *lines, "", "")).encode()


def statuses(service: Service, sent: bytes, number: int) -> list[int]:
    """Send this on one connection, and return the status of so many answers."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(sent)
        while len(found := re.findall(rb"HTTP/1\.1 (\d{3})", answer)) < number:
            answer += connection.recv(65_536) or sys.exit("the connection was closed")
    return [int(status) for status in found]


if __name__ == "__main__":
    main()
