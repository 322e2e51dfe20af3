"""The demo: the made-up app beside the service, and how the two stay apart."""

from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from authsvc import demo
from authsvc.app import create_app
from authsvc.bind import Bind
from authsvc.config import Settings
from authsvc.errors import SettingsError
from tests.demo_process import Demo
from tests.running import free_port

NOBODY = Bind("127.0.0.1", 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo's settings, with its store in the test's folder."""
    return demo.draw_settings(tmp_path)


@pytest.fixture
def joined(settings: Settings) -> Iterator[Client]:
    """The made-up app and the service at one address; the service that the page's gateway asks is nowhere."""
    service = create_app(settings)
    yield Client(demo.join(demo.create_page(settings, service=Bind("127.0.0.1", free_port())), service))
    service.extensions["authsvc"].stop()


@pytest.fixture
def page(settings: Settings) -> FlaskClient:
    """The made-up app alone."""
    return demo.create_page(settings, service=NOBODY).test_client()


def test_its_secrets_are_new_each_time(tmp_path: Path) -> None:
    """No secret of one start is that of another."""
    one, other = (demo.draw_settings(tmp_path) for _ in range(2))
    assert one.appkey != other.appkey
    for name in ("master_secret", "session_key", "verifier_keys"):
        assert getattr(one, name) != getattr(other, name)


def test_paths_are_split(joined: Client) -> None:
    """The page and what belongs to it are the app's, everything else is the service's."""
    assert joined.get("/", buffered=True).mimetype == "text/html"
    assert joined.get("/demo/demo.js", buffered=True).mimetype == "text/javascript"
    assert joined.get("/demo/demo.css", buffered=True).mimetype == "text/css"
    assert joined.get("/healthz").get_json() == {"alive": True}
    assert joined.get("/demonstration", buffered=True).mimetype == "application/problem+json"


def test_the_apps_login_is_the_services(joined: Client) -> None:
    """Whoever logs in to the app gets payloads, whoever logs out gets none."""
    assert joined.post("/v1/auth-payload").status_code == 401
    assert joined.post("/demo/login", json={"user": "ana"}).get_json() == {"user": "ana"}
    assert joined.get("/demo/session").get_json() == {"user": "ana"}
    assert joined.post("/v1/auth-payload", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert joined.post("/demo/logout").get_json() == {"user": None}
    assert joined.post("/v1/auth-payload").status_code == 401


@pytest.mark.parametrize("asked", [{"user": "eve"}, {"user": ["ana"]}, {}, [], "ana"])
def test_only_made_up_users(page: FlaskClient, asked: object) -> None:
    """Nobody but the three made-up users can log in."""
    assert page.post("/demo/login", json=asked).status_code == 400
    assert page.get("/demo/session").get_json() == {"user": None}


def test_a_cookie_of_an_earlier_run_is_taken_back(page: FlaskClient) -> None:
    """The page replaces a session that it cannot read, so that the service does not refuse it as bad."""
    page.set_cookie(demo.COOKIE, "signed.by.another.key")
    answer = page.get("/", buffered=True)
    assert "Expires=Thu, 01 Jan 1970" in answer.headers["Set-Cookie"]


def headers_are_strict(answer: TestResponse) -> bool:
    policy = answer.headers["Content-Security-Policy"]
    return "default-src 'none'" in policy and "unsafe" not in policy


def test_headers(page: FlaskClient) -> None:
    """Pages run only their own script, are kept by nobody, and are framed by nobody."""
    for path in ("/", "/demo/demo.js", "/demo/session"):
        answer = page.get(path, buffered=True)
        assert headers_are_strict(answer)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}


def test_service_gone(joined: Client) -> None:
    """When the service does not answer, the gateway that the page plays says so."""
    assert joined.post("/demo/verify", data=b"{}").status_code == 502


def test_no_unix_socket() -> None:
    """A place where no browser can come is refused with the reason."""
    with pytest.raises(SettingsError, match="--bind: a browser cannot"):
        demo.serve(Bind.parse("unix:/run/authsvc.sock"))


def browser() -> OpenerDirector:
    """A client that keeps cookies."""
    return build_opener(HTTPCookieProcessor(CookieJar()))


def post(opener: OpenerDirector, url: str, body: bytes = b"") -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        with opener.open(Request(url, data=body, headers=headers, method="POST"), timeout=10) as answer:  # noqa: S310 -- http, see Demo
            return answer.status, answer.read()
    except HTTPError as refusal:
        return refusal.code, refusal.read()


def test_as_a_process(tmp_path: Path) -> None:
    """One command serves it all: a payload is issued, verified over HTTP, refused the second time; Ctrl-C ends it."""
    demo = Demo(tmp_path)
    demo.start()
    try:
        opener = browser()
        assert post(opener, f"{demo.url}demo/login", b'{"user": "omar"}')[0] == 200
        status, payload = post(opener, f"{demo.url}v1/auth-payload")
        assert status == 200
        assert post(opener, f"{demo.url}demo/verify", payload)[0] == 200
        status, refusal = post(opener, f"{demo.url}demo/verify", payload)
        assert status == 409
        assert b"/problems/replayed" in refusal
    finally:
        assert demo.stop() == 0
    assert "Traceback" not in demo.log()
