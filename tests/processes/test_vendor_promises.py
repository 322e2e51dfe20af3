"""What the vendor side promises, held with real workers, real sockets and a vendor that misbehaves."""

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authsvc.app import create_app
from authsvc.errors import InvalidMediaId
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from authsvc.vendor import media_url
from authsvc.vendor.client import SLOTS
from tests.conftest import bearer_of
from tests.support import canaries, made_up
from tests.support.running import AS_SHIPPED, Service, wait_until
from tests.support.vendor_stand_in import Reply, VendorStandIn, url_of, vendor_stand_in

MEDIA = "/v1/resource?media_id="


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback."""
    with vendor_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def running(service: Service, stand_in: VendorStandIn) -> Service:
    """The service with four workers, its vendor the stand-in."""
    start(service, stand_in)
    return service


def start(service: Service, stand_in: VendorStandIn, *, workers: int = 4) -> None:
    service.variables |= {"AUTHSVC_VENDOR_URL": stand_in.url, "AUTHSVC_RATE_LIMIT": "100000/minute"}
    service.start("--workers", str(workers))


@dataclass(frozen=True, slots=True)
class Told:
    """An answer's status and body."""

    status: int
    body: bytes


async def ask_together(port: int, requests: list[bytes]) -> list[Told]:
    """Open a connection for each request first, then send all of them at once."""
    everybody = asyncio.Barrier(len(requests))

    async def ask(request: bytes) -> Told:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await everybody.wait()
        writer.write(request)
        head = canaries.checked(await reader.readuntil(b"\r\n\r\n"))
        body = canaries.checked(await reader.read())
        writer.close()
        return Told(int(head.split(b" ", 2)[1]), body)

    return list(await asyncio.gather(*map(ask, requests)))


def request(method: str, path: str, user_id: str = "ming") -> bytes:
    authorization = bearer_of(user_id)["Authorization"]
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()


def verify_request(payload: bytes) -> bytes:
    return (
        f"POST /v1/auth-payload/verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {made_up.VERIFIER_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    ).encode() + payload


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_a_debug_log_shows_no_secret(service: Service, stand_in: VendorStandIn, server: str) -> None:
    """With everything logged, by the libraries too, no secret is, nor what HTTP Basic makes of it."""
    service.variables |= {
        "AUTHSVC_VENDOR_URL": stand_in.url,
        "AUTHSVC_LOG_LEVEL": "DEBUG",
        "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.ACCOUNT_KEY)),
    }
    service.start("--workers", "1", "--server", server)
    headers = bearer_of("ming")
    assert service.ask("GET", f"{MEDIA}a/b", headers=headers).status == 200
    stand_in.reply = lambda _: Reply.json([{}], status=201)
    assert service.ask("POST", "/v1/bootstrap", headers=headers).status == 200
    stand_in.reply = lambda _: Reply(500)
    assert service.ask("GET", f"{MEDIA}a/c", headers=headers).status == 503
    service.ask("POST", "/v1/auth-payload", headers={"X-Gateway-Secret": made_up.GATEWAY_SECRET})
    log = service.log()
    assert '"level":"debug"' in log
    assert "/v1/resource?mediaId=a%2Fb" in log, "urllib3's own lines are there"
    assert not canaries.is_shown_in(log)


def test_a_thousand_ask_for_one_fresh_id(running: Service, stand_in: VendorStandIn) -> None:
    """Of 1 000 concurrent requests over four workers each is answered, and the vendor is asked four times at most."""

    def reply_to(asked: object) -> Reply:
        time.sleep(0.1)  # as long as a vendor takes
        return Reply.json({"url": "http://dl.im.jiguang.cn/a?token=made-up"})

    stand_in.reply = reply_to
    answers = asyncio.run(ask_together(running.port, [request("GET", f"{MEDIA}a/b", f"u{n}") for n in range(1000)]))
    assert {answer.status for answer in answers} == {200}
    assert {b"dl.im.jiguang.cn/a?token=made-up" in answer.body for answer in answers} == {True}
    assert 1 <= len(stand_in.asked) <= 4


WAITS_FOR_THE_VENDOR = """
from tests.support import patience
patience.with_other_services(setattr)
patience.main()
"""


def test_a_frozen_vendor(service: Service, stand_in: VendorStandIn) -> None:
    """While requests for media wait for it, in as many threads as may, payloads are issued and verified as ever."""
    service.command = (sys.executable, "-c", WAITS_FOR_THE_VENDOR, "serve")
    start(service, stand_in, workers=1)  # of several, one may get too few of the requests to have no thread left
    stand_in.freeze()

    async def both() -> tuple[list[Told], list[Told], list[Told]]:
        asking = asyncio.create_task(
            ask_together(service.port, [request("GET", f"{MEDIA}a/{n}", f"u{n}") for n in range(200)])
        )
        await asyncio.to_thread(wait_until, lambda: len(stand_in.asked) == SLOTS)
        issued = await ask_together(service.port, [request("POST", "/v1/auth-payload")] * 50)
        verified = await ask_together(service.port, [verify_request(answer.body) for answer in issued])
        assert not asking.done(), "all this was while media were waited for"
        stand_in.thaw()
        return await asking, issued, verified

    media, issued, verified = asyncio.run(both())
    assert {answer.status for answer in issued} == {200}
    assert {answer.status for answer in verified} == {200}
    assert {answer.status for answer in media} == {200, 503}


def test_a_vendor_that_stays_frozen(service: Service, stand_in: VendorStandIn) -> None:
    """Media are refused when the vendor's time is over, then at once; the service stays ready and names the vendor."""
    service.command = AS_SHIPPED
    start(service, stand_in)
    stand_in.freeze()
    media = asyncio.run(ask_together(service.port, [request("GET", f"{MEDIA}a/{n}", f"u{n}") for n in range(200)]))
    assert {answer.status for answer in media} == {503, 504}
    numbers = count()

    def is_named() -> bool:
        service.ask("GET", f"{MEDIA}b/{next(numbers)}", headers=bearer_of("ana"))
        answer = service.ask("GET", "/readyz")
        assert answer.status == 200
        return "'vendor': 'unavailable'" in str(answer.json()["checks"])

    wait_until(is_named, what=service.log)
    stand_in.thaw()


@pytest.fixture
def media_client(settings: Settings, store: Store, stand_in: VendorStandIn) -> Iterator[FlaskClient]:
    """A client of the service in this process."""
    app: Flask = create_app(settings.model_copy(update={"vendor_url": stand_in.url}), store=store)
    yield app.test_client()
    app.extensions["authsvc"].stop()


IDS = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            ["..", "%2e%2e", "/", "//", "@", "\r\n", "\0", "．．", "․․", "a", "qiniu/image/", "?", "#", "&mediaId=b",
             "\\", "http://", "evil.example", ":", "%", " ", ";", "~", "users"]
        ),
        max_size=8,
    ).map("".join),
    st.from_regex(r"[A-Za-z0-9_./-]{1,255}", fullmatch=True),
    st.just("a" * 8192),
)  # fmt: skip


@given(media_id=IDS)
@example("..")
@example("%2e%2e/users")
@example("//evil.example/a")
@example("a@evil.example")
@example("a\r\nHost: evil.example")
@example("a\0b")
@example("a" * 255)
@example("a" * 256)
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_vendor_gets_exactly_the_id_or_nothing(
    media_client: FlaskClient, stand_in: VendorStandIn, media_id: str
) -> None:
    """Any id, by each of the three routes: refused, or asked of the one vendor as one parameter of one path."""
    stand_in.asked.clear()
    stand_in.reply = lambda _: Reply(404)
    headers = bearer_of(f"user-{hash(media_id)}")
    try:
        media_url.check_media_id(media_id)
        is_good = True
    except InvalidMediaId:
        is_good = False
    one = media_client.get("/v1/resource", query_string={"media_id": media_id}, headers=headers)
    many = media_client.post("/v1/resources", json={"media_ids": [media_id]}, headers=headers)
    path = media_client.get(f"/v1/resource/{quote(media_id, safe='')}", headers=headers)
    assert one.status_code in ({404, 429} if is_good else {400})
    assert path.status_code in ({404, 429} if is_good else {400} if media_id else {404})
    (told,) = many.get_json()["results"].values()
    assert told["code"] in ({880005, 889003} if is_good else {880003})
    for asked in stand_in.asked:
        assert is_good
        assert (asked.method, asked.path, asked.query) == ("GET", "/v1/resource", (("mediaId", media_id),))


@pytest.mark.parametrize(
    "url",
    [
        "http://a.im.jiguang.cn.evil.com/x",
        "http://im.jiguang.cn@evil.example/x",
        "http://dl.im.jiguang.cn:x@evil.example/x",
        "http://10.0.0.1/x",
        "http://[::1]/x",
        "//dl.im.jiguang.cn/x",
        "javascript:alert(1)//dl.im.jiguang.cn",
        "http://dl.im.jiguang.cn/x\r\nSet-Cookie: a=b",
        "http://dl.im.jiguang.cn\\@evil.example/x",
        "ftp://dl.im.jiguang.cn/x",
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(media_client: FlaskClient, stand_in: VendorStandIn, url: str) -> None:
    """A URL on no allowed host reaches no page, as JSON, as a redirect or in a batch."""
    stand_in.reply = lambda _: Reply.json({"url": url})
    headers = bearer_of("ming")
    assert media_client.get(f"{MEDIA}a/b", headers=headers).status_code == 502
    answer = media_client.get("/v1/resource/a/b", headers=headers)
    assert (answer.status_code, answer.headers.get("Location")) == (502, None)
    results = media_client.post("/v1/resources", json={"media_ids": ["a/b"]}, headers=headers).get_json()["results"]
    assert results["a/b"]["code"] == 889004


def test_an_image_redirect(media_client: FlaskClient, stand_in: VendorStandIn) -> None:
    """`<img src>` is sent to the URL, byte for byte, and the browser may keep that for as long as the URL lives."""
    stand_in.reply = lambda asked: Reply.json({"url": url_of(asked, lives_s=3600) + "|~%7C+"})
    answer = media_client.get("/v1/resource/qiniu%2Fimage/a.png", headers=bearer_of("ming"))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("http://dl.im.jiguang.cn/qiniu/image/a.png?e=")
    assert answer.headers["Location"].endswith("token=made-up:token=|~%7C+")
    kept, _, seconds = answer.headers["Cache-Control"].partition("max-age=")
    assert kept == "private, "
    assert 3590 <= int(seconds) <= 3600


@pytest.mark.parametrize("path", ["/v1/resource//avatar", "/v1/resource/%2Favatar"])
def test_one_leading_slash(media_client: FlaskClient, stand_in: VendorStandIn, path: str) -> None:
    """An id that begins with a slash, as the vendor's examples have it, works in a path too."""
    assert media_client.get(path, headers=bearer_of("ming")).status_code == 302
    assert stand_in.asked[0].query == (("mediaId", "/avatar"),)


@pytest.mark.parametrize("path", ["a%0Ab", "%0A", "a%0A", "a%0D%0Ab", "a%E2%80%A8b", "a%C2%85"])
def test_a_line_break_in_a_path(media_client: FlaskClient, stand_in: VendorStandIn, path: str) -> None:
    """An id with one is a bad id and no unknown route."""
    answer = media_client.get(f"/v1/resource/{path}", headers=bearer_of("ming"))
    assert (answer.status_code, answer.get_json()["type"]) == (400, "/problems/invalid-media-id")
    assert stand_in.asked == []
