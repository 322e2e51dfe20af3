"""
What is asked: requests as a browser, or the vendor's gateway, would send them, laid in files for `load.lua`.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from authsvc.payloads import payload
from bench import made_up

USERS = 1_000
LIFE_S = 3_600
# Chrome on a page of the same site.
BROWSER = (
    "Host: im.example\r\n"
    "Connection: keep-alive\r\n"
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Windows"\r\n'
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36\r\n"
    "Accept: */*\r\n"
    "Origin: https://im.example\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Referer: https://im.example/chat\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8\r\n"
)
# The header of a login, up to what differs from user to user.
BEARER = "Authorization: Bearer "
COOKIE = "Cookie: "
GATEWAY = f"X-Gateway-Secret: {made_up.GATEWAY_SECRET}\r\nRemoteUser: "
_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests in files: what all begin with, how each goes on, and the one length of these in bytes."""

    head: Path
    items: Path
    length: int
    once: bool = False


def token(user: str, *, key: str = made_up.JWT_KEY) -> str:
    """Return a user's token, signed by HS256; the same length for users of the same length."""
    now_s = int(time.time())
    claims = json.dumps({"sub": user, "iat": now_s, "exp": now_s + LIFE_S}, separators=(",", ":"))
    signed = f"{_HEADER}.{_base64url(claims.encode())}"
    return f"{signed}.{_base64url(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))}"


def tokens(users: int = USERS) -> Iterable[str]:
    """Yield the tokens of so many different users."""
    return map(token, names(users))


def names(users: int = USERS) -> list[str]:
    """Return the names of so many different users."""
    return [f"user-{number:07d}" for number in range(users)]


def session_cookies(logins: int = USERS) -> list[str]:
    """Return the cookies of so many logins, by one user after the other, as Flask-Login has Flask sign a session."""
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    sessions = (
        {"_fresh": True, "_id": secrets.token_hex(64), "_user_id": f"user-{number % USERS:07d}"}
        for number in range(logins)
    )
    return evened([f"session={serializer.dumps(session)}" for session in sessions])


def evened(cookies: Sequence[str]) -> list[str]:
    """Return cookies of one length, as the load wants them: a second cookie of the page makes up for what they lack."""
    longest = max(map(len, cookies))
    return [f"{cookie}; theme={'x' * (1 + longest - len(cookie))}" for cookie in cookies]


def request(method: str, path: str, user_token: str, body: str = "") -> str:
    """Return a whole request as a page sends it."""
    return _beginning(method, path, body) + user_token + "\r\n\r\n" + body


def issue(folder: Path, users: int = USERS) -> Traffic:
    """A payload for each of the users."""
    head = _beginning("POST", "/v1/auth-payload")
    return _laid(folder / f"issue-{users}", head, (f"{one}\r\n\r\n" for one in tokens(users)))


def issue_by(folder: Path, job: str, header: str, logins: Iterable[str], *, once: bool = False) -> Traffic:
    """A payload for each of the logins, which a header brings; `job` names the files."""
    items = (f"{one}\r\n\r\n" for one in logins)
    return _laid(folder / job, _beginning("POST", "/v1/auth-payload", header=header), items, once=once)


def issue_for(folder: Path, appkeys: Sequence[str]) -> Traffic:
    """A payload of each of the apps, for different users."""
    bodies = [json.dumps({"appkey": appkey}) for appkey in appkeys]
    head = _beginning("POST", "/v1/auth-payload", bodies[0])
    users = tokens(max(USERS, len(appkeys)))
    items = (f"{one}\r\n\r\n{bodies[number % len(bodies)]}" for number, one in enumerate(users))
    return _laid(folder / f"apps-{len(appkeys)}", head, items)


def bootstrap(folder: Path) -> Traffic:
    """Everything that a page needs to boot."""
    head = _beginning("POST", "/v1/bootstrap")
    return _laid(folder / "bootstrap", head, (f"{one}\r\n\r\n" for one in tokens()))


def media(folder: Path, media_ids: Sequence[str]) -> Traffic:
    """The URL of one of the media ids; they are of one length."""
    return media_by(folder, "media", BEARER, media_ids, tokens())


def media_by(folder: Path, job: str, header: str, media_ids: Sequence[str], logins: Iterable[str]) -> Traffic:
    """The same for each of the logins, which a header brings."""
    rests = (
        quote(media_ids[number % len(media_ids)], safe="") + f" HTTP/1.1\r\n{BROWSER}{header}{one}\r\n\r\n"
        for number, one in enumerate(logins)
    )
    return _laid(folder / job, "GET /v1/resource?media_id=", rests)


def media_batch(folder: Path, media_ids: Sequence[str]) -> Traffic:
    """The URLs of all the media ids at once."""
    body = json.dumps({"media_ids": list(media_ids)})
    head = _beginning("POST", "/v1/resources", body)
    return _laid(folder / "batch", head, (f"{one}\r\n\r\n{body}" for one in tokens()))


def verify(folder: Path, number: int) -> Traffic:
    """So many fresh payloads, each to be verified once, as the gateway behind a page's socket asks."""
    now_ms = time.time_ns() // 1_000_000
    bodies = (
        json.dumps(
            payload.issue(
                appkey=made_up.APPKEY,
                master_secret=made_up.MASTER_SECRET,
                random_str=secrets.token_hex(16),
                now_ms=now_ms,
            ).to_dict()
        )
        for _ in range(number)
    )
    example = next(bodies)
    head = (
        "POST /v1/auth-payload/verify HTTP/1.1\r\nHost: authsvc.internal\r\nConnection: keep-alive\r\n"
        "User-Agent: gateway/1.0\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {made_up.VERIFIER_KEY}\r\nContent-Length: {len(example)}\r\n\r\n"
    )
    return _laid(folder / "verify", head, bodies, once=True)


def _beginning(method: str, path: str, body: str = "", *, header: str = BEARER) -> str:
    """Return a request up to where its login stands, which is last."""
    kind = "Content-Type: application/json\r\n" if body else ""
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\n{BROWSER}{kind}{length}{header}"


def _laid(name: Path, head: str, items: Iterable[str], *, once: bool = False) -> Traffic:
    begins, goes_on = name.with_suffix(".head"), name.with_suffix(".items")
    begins.write_text(head, newline="")
    lengths = set()
    with goes_on.open("w", newline="") as file:
        for item in items:
            lengths.add(len(item))
            file.write(item)
    (length,) = lengths
    return Traffic(begins, goes_on, length, once)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
