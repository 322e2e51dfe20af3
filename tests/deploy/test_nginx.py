"""Tests of deploy/nginx.conf: nobody becomes a user by what he sends, and what it answers itself has our shape."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from authsvc import problems
from tests import made_up, needed
from tests.deploy import gateway as gateways
from tests.deploy.gateway import NAME, Gateway, read, request
from tests.running import Answer, Service

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
        first, second = stack.enter_context(
            gateways.pair(folder, AUTHSVC_RATE_LIMIT="20/minute", AUTHSVC_SIGNATURE_ROUTE="true")
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
    told = problems.to_dict(problems.all_problems()[name], detail="", request_id="", now_ms=0)
    return {name: value for name, value in told.items() if name not in {"detail", "message", "request_id"}}


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


def test_too_many_from_one_address(site: Site) -> None:
    """After a burst an address is told to wait, and others go on."""
    once = request(ISSUE, "Cookie: session=sun", EMPTY)
    answers = site.gateway.send(once.replace(b"Connection: close", b"Connection: keep-alive") * 60 + once)
    assert 41 <= answers.count(b'"user";r=') <= 55
    limited = b"HTTP/1.1 " + answers.rpartition(b"HTTP/1.1 ")[2]
    assert shape(read(limited)) == promised("too-many-requests")
    assert site.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=zhou"}).status == 200


def test_preflight(site: Site) -> None:
    """A preflight brings no cookie and is let through to be answered, and never makes anybody a user."""
    answer = site.gateway.ask(
        "OPTIONS", "/v1/auth-payload", headers={"Origin": "https://other.example", "X-Forwarded-User": "eve"}
    )
    assert answer.status == 200
    assert "POST" in answer.headers["Allow"]
    assert "Access-Control-Allow-Origin" not in answer.headers


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
