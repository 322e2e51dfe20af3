"""The demo: the made-up app beside the service, and how the two stay apart."""

import json
import socket
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from authsvc.app import create_app
from authsvc.bind import Bind
from authsvc.demo import made_up_app, process
from authsvc.demo.door import by_browser, guard, join
from authsvc.demo.made_up_app import create_page
from authsvc.errors import Expired, SettingsError
from authsvc.payloads import payload
from authsvc.settings.model import Settings
from tests.support.demo_process import Demo
from tests.support.running import free_port, is_listening, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo's settings, with its store in the test's folder; its sandbox is nowhere."""
    return process.draw_settings(tmp_path, sandbox=Bind("127.0.0.1", free_port()))


def sandbox_of(settings: Settings) -> Bind:
    return Bind.parse(settings.vendor_url.removeprefix("http://"))


@pytest.fixture
def joined(settings: Settings) -> Iterator[Client]:
    """The made-up app and the service at one address, and below those of two browsers."""
    service = create_app(settings)
    yield Client(by_browser(join(create_page(settings, sandbox=sandbox_of(settings)), service)))
    service.extensions["authsvc"].stop()


@pytest.fixture
def page(settings: Settings) -> FlaskClient:
    """The made-up app alone."""
    return create_page(settings, sandbox=sandbox_of(settings), sdk_script=b"// theirs").test_client()


def test_its_secrets_are_new_each_time(tmp_path: Path) -> None:
    """No secret of one start is that of another."""
    one, other = (process.draw_settings(tmp_path, sandbox=Bind("127.0.0.1", 1)) for _ in range(2))
    assert one.appkey != other.appkey
    for name in ("master_secret", "session_key", "verifier_keys", "account_key"):
        assert getattr(one, name) != getattr(other, name)


def test_paths_are_split(joined: Client) -> None:
    """The page and what belongs to it are the app's, everything else is the service's."""
    assert joined.get("/", buffered=True).mimetype == "text/html"
    for path in ("/demo/main.js", "/demo/sdk.js"):
        assert joined.get(path, buffered=True).mimetype == "text/javascript"
    assert joined.get("/demo/demo.css", buffered=True).mimetype == "text/css"
    assert joined.get("/healthz").get_json() == {"alive": True}
    assert joined.get("/browser-2/healthz").get_json() == {"alive": True}
    for path in ("/demonstration", "/browser-1", "/browser-3/healthz", "/browser-1/browser-2/healthz"):
        assert joined.get(path, buffered=True).mimetype == "application/problem+json"


def test_the_apps_login_is_the_services(joined: Client) -> None:
    """Whoever logs in to the app gets payloads, whoever logs out gets none."""
    assert joined.post("/v1/auth-payload").status_code == 401
    assert joined.post("/demo/login", json={"user": "anna"}).get_json() == {"user": "anna"}
    assert joined.get("/demo/session").get_json() == {"user": "anna"}
    assert joined.post("/v1/auth-payload", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert joined.post("/demo/logout").get_json() == {"user": None}
    assert joined.post("/v1/auth-payload").status_code == 401


def test_two_sessions_in_one_browser(joined: Client) -> None:
    """Each of the two paths has a session of its own, and where there is neither nobody is logged in."""
    sessions = {"/browser-1": "ming", "/browser-2": "anna"}
    for path, user in sessions.items():
        assert joined.post(f"{path}/demo/login", json={"user": user}).get_json() == {"user": user}
    for path, user in sessions.items():
        assert joined.get(f"{path}/demo/session").get_json() == {"user": user}
    assert joined.get("/demo/session").get_json() == {"user": None}
    assert joined.post("/browser-1/v1/auth-payload").status_code == 200
    assert joined.post("/v1/auth-payload").status_code == 401
    joined.post("/browser-1/demo/logout")
    assert joined.get("/browser-2/demo/session").get_json() == {"user": "anna"}


@pytest.mark.parametrize("asked", [{"user": "eve"}, {"user": ["anna"]}, {}, [], "anna"])
def test_only_made_up_users(page: FlaskClient, asked: object) -> None:
    """Nobody but the two made-up users can log in."""
    assert page.post("/demo/login", json=asked).status_code == 400
    assert page.get("/demo/session").get_json() == {"user": None}


def test_a_cookie_of_an_earlier_run_is_taken_back(page: FlaskClient) -> None:
    """The page replaces a session that it cannot read, so that the service does not refuse it as bad."""
    page.set_cookie(made_up_app.COOKIE, "signed.by.another.key")
    answer = page.get("/demo/session")
    assert "Expires=Thu, 01 Jan 1970" in answer.headers["Set-Cookie"]


def headers_are_strict(answer: TestResponse) -> bool:
    policy = answer.headers["Content-Security-Policy"]
    return "default-src 'none'" in policy and "unsafe" not in policy


def test_headers(page: FlaskClient) -> None:
    """Pages run only their own script, are kept by nobody, and are framed by nobody."""
    for path in ("/", "/demo/main.js", "/demo/sdk.js", "/demo/session"):
        answer = page.get(path, buffered=True)
        assert headers_are_strict(answer)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}


def test_the_page_may_reach_the_sandbox(page: FlaskClient, settings: Settings) -> None:
    """Its gateway and its files, and no other host."""
    policy = page.get("/", buffered=True).headers["Content-Security-Policy"]
    where = sandbox_of(settings)
    assert f"connect-src 'self' ws://{where} http://{where};" in policy
    assert f"img-src 'self' data: http://{where};" in policy


@pytest.mark.parametrize("path", ["/demo/drop", "/demo/expired"])
def test_only_for_who_is_logged_in(page: FlaskClient, path: str) -> None:
    """A foreign page, which comes without the cookie, gets nothing signed and breaks nothing."""
    assert page.post(path).status_code == 401


POSTS = [
    ("POST", f"{path}/demo/{name}") for path in ("", "/browser-1") for name in ("login", "logout", "drop", "expired")
]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_foreign_name_is_refused(settings: Settings, host: str) -> None:
    """On every route, the service's too: a page whose name resolves to here gets nothing (DNS rebinding)."""
    page = create_page(settings, sandbox=sandbox_of(settings))
    guarded = Client(by_browser(guard(page, Bind("127.0.0.1", 8000))))
    for method, path in [("GET", "/"), ("GET", "/demo/session"), ("POST", "/v1/bootstrap"), ("GET", "/x"), *POSTS]:
        answer = guarded.open(path, method=method, headers={"Host": host})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
    for own in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert guarded.get("/demo/session", headers={"Host": own}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9000", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_page_does_nothing(settings: Settings, headers: dict[str, str]) -> None:
    """What it POSTs is refused, with the visitor's cookie too; what the demo's own page does is done."""
    page = create_page(settings, sandbox=sandbox_of(settings))
    guarded = Client(by_browser(guard(page, Bind("127.0.0.1", 8000))))
    own = {"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert guarded.post("/demo/login", json={"user": "ming"}, headers=own).status_code == 200
    for _, path in POSTS:
        assert (
            guarded.post(path, json={"user": "anna"}, headers={"Host": "localhost:8000"} | headers).status_code == 403
        )
    assert guarded.get("/demo/session", headers={"Host": "localhost:8000"}).get_json() == {"user": "ming"}


def test_an_expired_payload(page: FlaskClient, settings: Settings) -> None:
    """It is signed right and a minute too old."""
    page.post("/demo/login", json={"user": "ming"})
    old = payload.parse(page.post("/demo/expired").get_json())
    assert settings.master_secret is not None
    payload.check_signature(old, [settings.master_secret.reveal()])
    with pytest.raises(Expired):
        payload.check_time(old, old.timestamp_ms + made_up_app.OLD_MS)


def test_sandbox_gone(page: FlaskClient) -> None:
    """When the sandbox does not answer, the app says so."""
    page.post("/demo/login", json={"user": "ming"})
    assert page.post("/demo/drop").status_code == 502


def test_the_vendors_file(page: FlaskClient, settings: Settings, tmp_path: Path) -> None:
    """When it is given the page is sent to it, else to the stand-in."""
    assert page.get("/demo/vendor-sdk.js").data == b"// theirs"
    assert settings.sdk_script == "/demo/sdk.js"
    given = process.draw_settings(tmp_path, sandbox=sandbox_of(settings), sdk=tmp_path / "sdk.js")
    assert given.sdk_script == "/demo/vendor-sdk.js"


def test_the_vendors_file_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or is none, is refused with the reason before anything starts."""
    for path, reason in ((tmp_path / "none.js", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=f"--sdk: .* cannot be read: {reason}"):
            process.serve(Bind("127.0.0.1", 0), path)


def test_the_sandbox_is_next_door() -> None:
    """It has the next port, and any other one if that is taken or there is none."""
    port = free_port()
    assert process._beside(Bind("127.0.0.1", port - 1)).port == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert process._beside(Bind("127.0.0.1", port - 1)).port != port
    assert process._beside(Bind("127.0.0.1", 65_535)).port > 0


def test_no_sandbox(settings: Settings, tmp_path: Path) -> None:
    """A sandbox that cannot listen ends the demo; its own line says why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", sandbox_of(settings).port))
        taken.listen()
        with (
            pytest.raises(SettingsError, match="did not start"),
            process._sandbox(sandbox_of(settings), settings, tmp_path, service=Bind("127.0.0.1", 1)),
        ):
            pass


def test_no_unix_socket() -> None:
    """A place where no browser can come is refused with the reason."""
    with pytest.raises(SettingsError, match="--bind: a browser cannot"):
        process.serve(Bind.parse("unix:/run/authsvc.sock"))


def browser() -> OpenerDirector:
    """A client that keeps cookies."""
    return build_opener(HTTPCookieProcessor(CookieJar()))


def post(opener: OpenerDirector, url: str, body: bytes = b"") -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        with opener.open(Request(url, data=body, headers=headers, method="POST"), timeout=60) as answer:  # noqa: S310 -- http, see Demo
            return answer.status, answer.read()
    except HTTPError as refusal:
        return refusal.code, refusal.read()


def test_as_a_process(tmp_path: Path) -> None:
    """One command serves it all: the account is registered with the sandbox, a picture found; Ctrl-C ends it."""
    demo = Demo(tmp_path)
    demo.start()
    try:
        opener = browser()
        assert post(opener, f"{demo.url}browser-1/demo/login", b'{"user": "ming"}')[0] == 200
        status, told = post(opener, f"{demo.url}browser-1/v1/bootstrap")
        assert status == 200
        boot = json.loads(told)
        assert boot["login"]["username"] == "ming"
        asked = b'{"media_ids": ["qiniu/image/r/0A1B2C3D4E5F6071.png"]}'
        status, told = post(opener, f"{demo.url}browser-1/v1/resources", asked)
        (found,) = json.loads(told)["results"].values()
        assert found["code"] == 0
        with opener.open(found["url"], timeout=60) as picture:
            assert picture.read(4) == b"\x89PNG"
        assert post(opener, f"{demo.url}browser-1/demo/drop")[0] == 200
        sandbox = demo.sandbox
        assert boot["sdk"]["options"]["address"] == f"ws://{sandbox}"
        assert boot["sdk"]["options"]["upload_file"] == f"http://{sandbox}/resource"
        assert is_listening(sandbox.port)
        for url in (demo.url, f"http://{sandbox}/sandbox"):
            with pytest.raises(HTTPError, match="403"):
                opener.open(Request(url, headers={"Host": "evil.example"}), timeout=60)  # noqa: S310 -- the demo's own
    finally:
        assert demo.stop() == 0
    assert not is_listening(sandbox.port)
    assert "Traceback" not in demo.log()


def test_the_sandbox_ends_with_the_demo(tmp_path: Path) -> None:
    """Even a demo that dies without a word leaves no sandbox behind."""
    demo = Demo(tmp_path)
    demo.start()
    try:
        assert is_listening(demo.sandbox.port)
    finally:
        demo.die()
    wait_until(lambda: not is_listening(demo.sandbox.port))
