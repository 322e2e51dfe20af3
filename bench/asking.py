"""
Single requests to a server, for what has to be there before a load.
"""

import base64
import http.client
import json
import secrets
import time
from dataclasses import dataclass

from authsvc.payloads import payload
from bench import made_up, traffic
from bench.processes import BenchError


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    cookie: str = ""


def ask(port: int, method: str, path: str, *, headers: dict[str, str], body: str | bytes = "") -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
        return Answer(response.status, response.read(), cookie)
    finally:
        connection.close()


def as_user(port: int, method: str, path: str, body: str = "") -> Answer:
    """Ask as a logged-in user."""
    headers = {"Authorization": f"Bearer {traffic.token('user-0000000')}"}
    return ask(port, method, path, headers=headers | ({"Content-Type": "application/json"} if body else {}), body=body)


def log_in(port: int, user: str) -> str:
    """Log a user in at a peer that has sessions, and return the cookie that it sets."""
    headers = {"Content-Type": "application/json"}
    answer = ask(port, "POST", "/login", headers=headers, body=json.dumps({"user": user}))
    if answer.status != 200 or not answer.cookie:
        raise BenchError(f"login: {answer.status} {answer.body.decode()}")
    return answer.cookie


def begin_memory(port: int) -> None:
    """Have the store's memory begin: payloads from before are refused, so the first claim of all may be."""
    presented = payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=secrets.token_hex(16),
        now_ms=time.time_ns() // 1_000_000,
    )
    headers = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}", "Content-Type": "application/json"}
    answer = ask(port, "POST", "/v1/auth-payload/verify", headers=headers, body=json.dumps(presented.to_dict()))
    if answer.status not in (200, 422):
        raise BenchError(f"verify: {answer.status} {answer.body.decode()}")


def upload(port: int, number: int) -> list[str]:
    """Lay so many files at the vendor's stand-in and return their media ids."""
    return [_uploaded(port, f"file {number}".encode()) for number in range(number)]


def _uploaded(port: int, content: bytes) -> str:
    credentials = base64.b64encode(f"{made_up.APPKEY}:{made_up.MASTER_SECRET}".encode()).decode()
    boundary = "bench-boundary"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    answer = ask(
        port,
        "POST",
        "/v1/resource?type=file",
        headers={
            "Authorization": f"Basic {credentials}",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        },
        body=part.encode() + content + f"\r\n--{boundary}--\r\n".encode(),
    )
    if answer.status != 200:
        raise BenchError(f"the sandbox: {answer.status} {answer.body.decode()}")
    return str(json.loads(answer.body)["media_id"])
