"""Tests of deploy/nginx.conf: nobody becomes a user by what he sends, and what it answers itself has our shape."""

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from authsvc.web import problems
from authsvc.web.chinese import CHINESE
from authsvc.web.english import ENGLISH
from tests.deploy import gateway as gateways
from tests.deploy.gateway import ADDRESSES, ALLOWED, CONF, NAME, Gateway, read, request
from tests.deploy.login_app import RENEWED
from tests.support import made_up, needed
from tests.support.running import Answer, Service, clean_environment, is_listening, wait_until
from tests.support.vendor_stand_in import Reply, url_of, vendor_stand_in

ISSUE = "POST /v1/auth-payload"
EMPTY = "Content-Length: 0"
MING = "Cookie: session=ming"
FORGED = "X-Forwarded-User: eve"
SECRET = f"X-Gateway-Secret: {made_up.GATEWAY_SECRET}"


class Site:
    """The gateway, one instance of the service behind it, and the port of the app."""

    def __init__(self, gateway: Gateway, service: Service, app: int) -> None:
        self.gateway, self.service, self.app = gateway, service, app


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All of it, running, shared by the tests here; the second instance is down."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        app = stack.enter_context(gateways.login_app())
        vendor = stack.enter_context(vendor_stand_in())
        vendor.reply = lambda asked: Reply.json({"url": url_of(asked)})
        first, second = stack.enter_context(
            gateways.pair(
                folder,
                AUTHSVC_RATE_LIMIT="20/minute",
                AUTHSVC_SIGNATURE_ROUTE="true",
                AUTHSVC_ALLOWED_ORIGINS=ALLOWED,
                AUTHSVC_VENDOR_URL=vendor.url,
            )
        )
        first.start("--workers", "1")
        gateway = Gateway(folder, (first.port, second.port), app)
        stack.callback(gateway.stop)
        gateway.start()
        yield Site(gateway, first, app)
        assert "Traceback" not in first.log()
        assert not any(canary in gateway.log() + first.log() for canary in made_up.CANARIES)


def is_issued(answer: bytes) -> bool:
    return b'"signature"' in answer


def test_the_configuration_is_accepted(site: Site) -> None:
    """By `nginx -t`, without a warning."""
    assert "warn" not in site.gateway.test()


def test_a_user_of_the_app_gets_payloads(site: Site) -> None:
    """Over both versions of HTTP, with one of the two instances down."""
    for _ in range(4):
        answer = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=ming"})
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"]
    curl = needed.program("curl")
    resolve = ["--resolve", f"{NAME}:{site.gateway.port}:127.0.0.1", "--cacert", str(site.gateway.certificate)]
    command = [
        curl,
        "-sS",
        "--http2",
        *resolve,
        "-X",
        "POST",
        "-b",
        "session=ming",
        "-w",
        " %{http_code} %{http_version}",
    ]
    url = f"https://{NAME}:{site.gateway.port}/v1/auth-payload"
    told = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert '"signature"' in told
    assert told.endswith(" 200 2")


def test_the_user_is_the_one_that_the_app_names(site: Site) -> None:
    """Whoever names somebody else meanwhile uses up his own limit, not the other's."""

    def left(*lines: str) -> int:
        quota = read(site.gateway.send(request(ISSUE, *lines, EMPTY))).headers["RateLimit"]
        return int(quota.split("r=")[1].split(";")[0])

    before = left("Cookie: session=chen")
    assert left("Cookie: session=victim") == 19
    for lines in ((FORGED.replace("eve", "victim"),), ("X_Forwarded_User: victim", "x-FORWARDED-user: victim")):
        left("Cookie: session=chen", *lines)
    assert left("Cookie: session=chen") == before - 3
    assert left("Cookie: session=victim") == 18


@pytest.mark.parametrize(
    "lines",
    [
        (FORGED,),
        (FORGED, FORGED),
        (FORGED, "X-Forwarded-User: ming"),
        ("X_Forwarded_User: eve",),
        ("X-Forwarded_User: eve", FORGED),
        ("x-fOrWaRdEd-uSeR: eve",),
        ("X-Forwarded-User: eve, ming",),
        ("X-Forwarded-User : eve",),
        (FORGED, "X-Gateway-Secret: guessed-secret"),
        (FORGED, "X_Gateway_Secret: guessed-secret"),
        (FORGED, SECRET),
        (FORGED, SECRET, "X-User: eve"),
        ("X-Auth-Assertion: e30.e30.", SECRET),
        (FORGED, SECRET, "Connection: X-Gateway-Secret, X-Forwarded-User"),
        (FORGED, SECRET, "User-Agent: kube-probe/1.31"),
        (FORGED, SECRET, "X-Original-URI: /healthz", "X-Rewrite-URL: /v1/auth-payload"),
        (b"X-Forwarded-User: eve\rX-Gateway-Secret: x",),
        (b"X-Forwarded-User: \xe5\x80\x8b",),
        ("Cookie: session=", FORGED, SECRET),
        ("Cookie: session=nameless", FORGED, SECRET),
        ("Cookie: session=broken", FORGED, SECRET),
        ("Cookie: session=a, b",),
        ("Authorization: Basic ZXZlOmV2ZQ==", FORGED, SECRET),
    ],
)
def test_nobody_becomes_a_user_by_headers(site: Site, lines: tuple[str | bytes, ...]) -> None:
    """Forged, duplicate, underscore, mixed case, comma-joined, and even with the right secret: none gets a payload."""
    answer = site.gateway.send(request(ISSUE, *lines, EMPTY))
    assert not is_issued(answer)
    assert read(answer).status in {400, 401, 503}


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/../v1/auth-payload",
        "/healthz/%2e%2e/v1/auth-payload",
        "/healthz%2f..%2fv1/auth-payload",
        "/healthz/..%2fv1/auth-payload",
        "/problems/../v1/auth-payload",
        "/problems/..%2f..%2fv1/auth-payload",
        "/problems/%2e%2e/v1/auth-payload?x=/healthz",
        "//v1/auth-payload",
        "/v1//auth-payload",
        "/%76%31/auth-payload",
        "/V1/auth-payload",
        "/v1/auth-payload/",
        "/v1/auth-payload;/healthz",
        "/v1/auth-payload%00",
        "/v1/auth-payload/../../healthz",
        "/client.js/../v1/auth-payload",
        "/_login",
        "/_login/../v1/auth-payload",
        f"https://{NAME}/v1/auth-payload",
    ],
)
def test_no_path_is_a_way_in(site: Site, path: str) -> None:
    """However the path is written, without a login there is no payload; the header and the secret change nothing."""
    for method in ("POST", "GET"):
        assert not is_issued(site.gateway.send(request(f"{method} {path}", FORGED, SECRET, EMPTY)))


@pytest.mark.parametrize(
    "path", ["/v1/resource/../../healthz", "/v1/resource/%2e%2e/%2e%2e/client.js", "/v1/resource/x"]
)
def test_no_open_path_is_a_way_to_media(site: Site, path: str) -> None:
    """A path that nginx takes for an open one and the service for a picture's is nobody's."""
    answer = read(site.gateway.send(request(f"GET {path}", FORGED, SECRET)))
    assert answer.status in {200, 401}
    assert "Location" not in answer.headers
    assert b"alive" in answer.body or b"export" in answer.body or answer.status == 401


@pytest.mark.parametrize(
    "lines", [(FORGED,), (FORGED, "X-Gateway-Secret: guessed-secret"), (FORGED, "X_Gateway_Secret: x"), (MING, FORGED)]
)
def test_a_stranger_at_the_service_itself(site: Site, lines: tuple[str, ...]) -> None:
    """Whoever reaches the service past the gateway is nobody without its secret."""
    headers = dict(line.split(": ", 1) for line in lines)
    answer = site.service.ask("POST", "/v1/auth-payload", headers=headers)
    assert answer.status in {400, 401}


@pytest.mark.parametrize("path", ["/healthz", "/openapi.yaml", "/client.js", "/client.d.ts", "/problems/expired"])
def test_what_is_open(site: Site, path: str) -> None:
    """What a page needs before anybody is logged in, and the question whether all is well."""
    assert site.gateway.ask("GET", path).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/readyz", "//readyz", "/healthz/../readyz", "/%72eadyz"])
def test_what_is_closed(site: Site, path: str) -> None:
    """What only the inside is told."""
    answer = site.gateway.ask("GET", path, headers={"Cookie": "session=ming"})
    assert answer.status == 404
    assert b"checks" not in answer.body


def test_other_names_are_nobody(site: Site) -> None:
    """A Host that is not the app's gets no answer, and plain HTTP leads to the app's own name."""
    assert site.gateway.send(request(ISSUE, MING, EMPTY).replace(NAME.encode(), b"evil.example")) == b""
    service = Service(site.gateway.folder)
    service.port = site.gateway.plain_port
    answer = service.ask("POST", "/v1/auth-payload?a=b", headers={"Host": "evil.example"})
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{NAME}/v1/auth-payload?a=b")


def test_the_request_id(site: Site) -> None:
    """The caller's own if it is well formed, else a new one, in the answer and in both logs."""
    for given in ("my-id-1", "bad id", "x" * 129, '"}'):
        answer = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=li", "X-Request-Id": given})
        told = answer.headers["X-Request-Id"]
        assert (told == given) is (given == "my-id-1")
        assert told in site.gateway.log()
        refused = site.gateway.ask("POST", "/v1/auth-payload", headers={"X-Request-Id": given})
        assert refused.json()["request_id"] == refused.headers["X-Request-Id"]


def test_the_app_gets_no_forged_header(site: Site) -> None:
    """Neither does the app itself, for all other paths."""
    told = site.gateway.ask("GET", "/any", headers={"X-Forwarded-User": "eve", "X-Gateway-Secret": "x"}).body
    assert b"x-forwarded-proto: https" in told
    assert b"eve" not in told
    assert b"gateway-secret" not in told


def shape(answer: Answer) -> dict[str, object]:
    told = answer.json()
    assert told["detail"] == told["message"]
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    return {name: value for name, value in told.items() if name not in {"detail", "message", "request_id"}}


def promised(name: str) -> dict[str, object]:
    title = ENGLISH.problems[name].title
    told = problems.to_dict(problems.BY_NAME[name], title=title, detail="", request_id="", now_ms=0)
    return {name: value for name, value in told.items() if name not in {"detail", "message", "request_id"}}


def test_a_login_that_redirects_to_its_form(site: Site) -> None:
    """As most frameworks' does: nobody is logged in, and the page is not told to try again for ever."""
    answer = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=form"})
    assert shape(answer) == promised("not-logged-in")
    assert "Location" not in answer.headers


def test_its_own_refusals_have_our_shape(site: Site) -> None:
    """Nobody logged in, a body too large, the login out of order."""
    headers = {"Cookie": "session=ming"}
    answer = site.gateway.ask("POST", "/v1/auth-payload")
    assert shape(answer) == promised("not-logged-in")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="authsvc"'
    answer = site.gateway.ask("POST", "/v1/auth-payload", headers=headers, body="x" * 65_536)
    assert shape(answer) == promised("body-too-large")
    answer = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=broken"})
    assert shape(answer) == promised("temporarily-unavailable")
    assert answer.headers["Retry-After"] == "5"


BURST = 800  # of which the gateway takes 201, and 20 more a second: also if it stands still meanwhile, not all


def burst(once: bytes) -> bytes:
    return once.replace(b"Connection: close", b"Connection: keep-alive") * BURST


def limited(answers: bytes) -> bytes:
    """Return one of the gateway's refusals; whether the last answer is one depends on when it came."""
    return next(b"HTTP/1.1 " + answer for answer in answers.split(b"HTTP/1.1 ") if answer.startswith(b"429"))


def test_too_many_from_one_address(site: Site) -> None:
    """After a burst an address is told to wait, and others go on."""
    once = request(ISSUE, "Cookie: session=sun", EMPTY)
    answers = site.gateway.send(burst(once) + once)
    assert 201 <= answers.count(b'"user";r=') < BURST
    assert shape(read(limited(answers))) == promised("too-many-requests")
    assert site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=zhou"}).status == 200


def test_preflight(site: Site) -> None:
    """A preflight brings no cookie and is let through to be answered, and never makes anybody a user."""
    answer = site.gateway.ask(
        "OPTIONS", "/v1/auth-payload", headers={"Origin": "https://evil.example", "X-Forwarded-User": "eve"}
    )
    assert answer.status == 200
    assert "POST" in answer.headers["Allow"]
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_screen_of_pictures(site: Site) -> None:
    """Eighty pictures that one page asks for at once are all answered, and none with 429."""
    asked = request("GET /v1/resource/qiniu/image/j/FB564290B56CBD0B.png", "Cookie: session=feng")
    assert read(site.gateway.send(asked)).status == 302
    address = next(ADDRESSES)
    with ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(lambda _: read(site.gateway.send(asked, address=address)).status, range(80)))
    assert answers == [302] * 80


def refusals_of(site: Site, origin: str) -> dict[int, bytes]:
    """Return each of the gateway's own refusals, by its status, as a page of this origin gets it."""
    lines = (f"Origin: {origin}", "Sec-Fetch-Site: cross-site")
    large = request(ISSUE, MING, *lines, "Content-Length: 65537") + b"x" * 65_537
    once = request(ISSUE, *lines, EMPTY)
    answers = {
        401: site.gateway.send(once),
        413: site.gateway.send(large),
        429: limited(site.gateway.send(burst(once) + once)),
        503: site.gateway.send(request(ISSUE, "Cookie: session=broken", *lines, EMPTY)),
    }
    assert {read(answer).status for answer in answers.values()} == answers.keys()
    return {status: answer.partition(b"\r\n\r\n")[0] for status, answer in answers.items()}


def test_its_own_refusals_can_be_read_by_a_page_of_an_allowed_origin(site: Site) -> None:
    """A page that could not read a 401 would take it for a broken connection, and try again for ever."""
    for head in refusals_of(site, ALLOWED).values():
        assert re.findall(rb"(?m)^Access-Control-Allow-Origin: (.+?)\r?$", head) == [ALLOWED.encode()]
        assert b"\r\nAccess-Control-Allow-Credentials: true" in head
        assert re.search(rb"\r\nAccess-Control-Expose-Headers: .*Retry-After", head)
        assert b"\r\nVary: Origin" in head
    for head in refusals_of(site, "https://evil.example").values():
        assert b"Access-Control" not in head
    issued = site.gateway.send(request(ISSUE, "Cookie: session=qian", f"Origin: {ALLOWED}", EMPTY))
    assert re.findall(rb"Access-Control-Allow-Origin: (.+?)\r", issued) == [ALLOWED.encode()]


@pytest.mark.parametrize(
    ("preferred", "tag"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("ZH-tw", "zh-CN"), ("en,zh;q=0.5", "en"), ("", "en")]
)
def test_its_own_refusals_are_in_the_language_of_the_page(site: Site, preferred: str, tag: str) -> None:
    """Title and reason are in Chinese or English, as those of authsvc; the title is the same."""
    language = {"zh-CN": CHINESE, "en": ENGLISH}[tag]
    for name, cookie, body in (
        ("not-logged-in", "session=form", ""),
        ("body-too-large", "session=ming", "x" * 65_537),
        ("temporarily-unavailable", "session=broken", ""),
    ):
        headers = {"Cookie": cookie, "Accept-Language": preferred}
        answer = site.gateway.ask("POST", "/v1/auth-payload", headers=headers, body=body)
        refusal = answer.json()
        assert (refusal["type"], refusal["title"]) == (f"/problems/{name}", language.problems[name].title)
        assert refusal["detail"] == refusal["message"]
        assert str(refusal["detail"]).isascii() == (tag == "en")
        assert (answer.headers["Content-Language"], answer.headers["Vary"]) == (tag, "Origin, Accept-Language")


def set_cookies(answer: bytes) -> list[str]:
    return [found.decode() for found in re.findall(rb"(?m)^Set-Cookie: (.+?)\r?$", answer.partition(b"\r\n\r\n")[0])]


def test_a_session_that_the_app_renews(site: Site) -> None:
    """What the app's login sets reaches the client: a renewed session, and one that has ended."""
    renewed = site.gateway.send(request(ISSUE, "Cookie: session=old", EMPTY))
    assert is_issued(renewed)
    # Before 1.23 nginx knows the first of several alone.
    joins = is_joining()
    assert set_cookies(renewed) == list(RENEWED if joins else RENEWED[:1])
    assert set_cookies(site.gateway.send(request(ISSUE, MING, EMPTY))) == []
    assert set_cookies(site.gateway.send(request(ISSUE, "Cookie: session=ended", EMPTY))) == [
        "session=; Max-Age=0; Path=/"
    ]


def is_joining() -> bool:
    told = subprocess.run([needed.program("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    (version,) = re.findall(r"nginx/(\d+)\.(\d+)", told)
    return tuple(map(int, version)) >= (1, 23)


@pytest.mark.parametrize(
    ("joined", "cookies"),
    [
        ("", []),
        (RENEWED[0], [RENEWED[0]]),
        (", ".join(RENEWED), list(RENEWED)),
        (", ".join(reversed(RENEWED)), list(reversed(RENEWED))),
        (", ".join((*RENEWED, "third=x")), list(RENEWED)),
        ("a=1,b=2", ["a=1", "b=2"]),
        ('a="1, 2"; Path=/, b=2', ['a="1, 2"; Path=/', "b=2"]),
    ],
)
def test_set_cookie_headers_that_nginx_has_joined(maps: Service, joined: str, cookies: list[str]) -> None:
    """Are taken apart again, a comma in a date or a value aside; the first two of them."""
    told = maps.ask("GET", "/", headers={"X-Joined": joined} if joined else {}).body.decode()
    assert [cookie for cookie in told.split("|") if cookie] == cookies


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The configuration's maps of cookies, in an nginx that answers with what they make of a header."""
    folder = tmp_path_factory.mktemp("maps")
    found = re.findall(r"^map \$authsvc_cookies .*?^\}", CONF, re.MULTILINE | re.DOTALL)
    assert len(found) == 2
    door = Service(folder)
    user = "user root root;" if os.geteuid() == 0 else ""
    text = "\n".join(found).replace("$authsvc_cookies", "$http_x_joined")
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi"))
    (folder / "nginx.conf").write_text(
        f"""{user} daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}
        http {{ access_log off; {temporary} scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi; {text}
        server {{ listen 127.0.0.1:{door.port};
        location / {{ return 200 "$authsvc_cookie|$authsvc_cookie_beside"; }} }} }}"""
    )
    command = [needed.program("nginx"), "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/log"]
    door.process = subprocess.Popen(command, env=clean_environment())
    wait_until(lambda: is_listening(door.port), what=(folder / "log").read_text)
    yield door
    door.stop()


def test_the_app_has_its_own_limits(site: Site) -> None:
    """An upload to it that is larger than any body for authsvc goes through; no limit is set for the whole server."""
    told = site.gateway.send(request("POST /upload", "Content-Length: 100000") + b"x" * 100_000)
    assert read(told).status == 200
    (server,) = re.findall(r"^server \{\n    listen 443 ssl http2;\n.*?^\}", CONF, re.MULTILINE | re.DOTALL)
    ours = (
        r"^    (client_(?:max_)?body_\w+|send_timeout|proxy_(?:connect|send|read)_timeout|proxy_max_temp_file_size)\b"
    )
    assert re.findall(ours, server, re.MULTILINE) == []
    (app,) = re.findall(r"^    location / \{.*?^    \}", server, re.MULTILINE | re.DOTALL)
    assert not re.search(r"timeout|_size", app)


def test_verify(site: Site) -> None:
    """A server of your own verifies with its key, and needs no login of the app."""
    issued = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=wang"}).json()
    key = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
    assert site.gateway.ask("POST", "/v1/auth-payload/verify", headers=key, body=issued).status == 200
    assert site.gateway.ask("POST", "/v1/auth-payload/verify", headers=key, body=issued).status == 409
    assert (
        site.gateway.ask("POST", "/v1/auth-payload/verify", headers={"Cookie": "session=wang"}, body=issued).status
        == 401
    )


def test_a_page_of_another_site(site: Site) -> None:
    """The cookie that the browser adds by itself is of no use to it."""
    for origin, status in ((f"https://{NAME}", 200), ("https://evil.example", 403)):
        answer = site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=zhao", "Origin": origin})
        assert answer.status == status
