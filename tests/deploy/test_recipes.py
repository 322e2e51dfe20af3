"""Tests of the recipes for other gateways: the real programs, with what docs/gateways.md shows."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy import gateway as gateways
from tests.deploy.gateway import ALLOWED, NAME
from tests.deploy.login_app import RENEWED
from tests.support import canaries, made_up, needed
from tests.support.docs import ENGLISH
from tests.support.running import Answer, Service, clean_environment, free_port, is_listening, wait_until

RECIPES = ENGLISH.page("gateways")
ISSUE = "/v1/auth-payload"
FORGED = {"X-Forwarded-User": "eve", "X-Gateway-Secret": "guessed-secret"}
MING = {"Cookie": "session=ming"}


class Recipe:
    """A gateway by one of the recipes, running, with one of the two instances up."""

    def __init__(self, port: int, service: Service) -> None:
        self.service = service
        self._door = Service(service.folder)
        self._door.port = port

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        return self._door.ask(method, path, headers={"Host": NAME} | headers)


@pytest.fixture(scope="module", params=["traefik", "envoy"])
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recipe]:
    """The recipe of this name, with only ports, time-outs and the secret replaced."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    with ExitStack() as stack:
        app = stack.enter_context(gateways.login_app())
        first, second = stack.enter_context(gateways.pair(folder, AUTHSVC_ALLOWED_ORIGINS=ALLOWED))
        first.start("--workers", "1")
        (block,) = RECIPES.find("yaml", {"traefik": "forwardAuth:", "envoy": "ext_authz"}[request.param])
        text = gateways.patient(block.text.replace("THE-SECRET", made_up.GATEWAY_SECRET))
        for old, new in (("8001", first.port), ("8002", second.port), ("5000", app), ("8443", port)):
            text = text.replace(old, str(new))
        process = start(request.param, text, port, folder)
        stack.callback(process.wait, 10)
        stack.callback(process.kill)
        found = Recipe(port, first)
        wait_until(lambda: is_open(found), what=(folder / "log").read_text)
        yield found
        assert not canaries.is_shown_in((folder / "log").read_text() + first.log())


def start(name: str, text: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    path = folder / "dynamic.yaml"  # in its own name Traefik would take it for its static one
    if name == "traefik":
        path.write_text(text.replace("      tls: {}\n", ""))
        command = [needed.program("traefik"), f"--providers.file.filename={path}", "--global.checknewversion=false"]
        command += ["--global.sendanonymoususage=false", f"--entryPoints.websecure.address=127.0.0.1:{port}"]
    else:
        path.write_text(text.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104 -- as the recipe has it
        command = [needed.program("envoy"), "-c", str(path), "--concurrency", "1", "--disable-hot-restart"]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(command, env=clean_environment(), stdout=log, stderr=log, cwd=folder)


def is_open(recipe: Recipe) -> bool:
    try:
        return recipe.ask("POST", ISSUE, MING).status == 200
    except OSError:
        return False


def test_a_user_of_the_app_gets_payloads(recipe: Recipe) -> None:
    """Whoever is logged in, whatever else he sends."""
    for headers in ({}, FORGED):
        answer = recipe.ask("POST", ISSUE, MING | headers)
        assert answer.status == 200
        assert "signature" in answer.json()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        FORGED,
        {"x-fOrWaRdEd-uSeR": "eve"},
        {"X-Forwarded-User": "eve, ming"},
        {"X_Forwarded_User": "eve"},
        FORGED | {"X_Gateway_Secret": "guessed-secret"},
        {"X-Forwarded-User": "eve", "X-Gateway-Secret": made_up.GATEWAY_SECRET},
        {"Connection": "X-Gateway-Secret, X-Forwarded-User", "X-Forwarded-User": "eve"},
        {"Cookie": "session=nameless", "X-Forwarded-User": "eve"},
        {"Cookie": "session=broken", "X-Forwarded-User": "eve"},
        {"Cookie": "session=nameless", "X_Forwarded_User": "eve"},
    ],
)
def test_nobody_becomes_a_user_by_headers(recipe: Recipe, headers: dict[str, str]) -> None:
    """Forged, mixed case, comma-joined, underscore, and with a login that names nobody."""
    answer = recipe.ask("POST", ISSUE, headers)
    assert b'"signature"' not in answer.body
    assert answer.status >= 400


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/../v1/auth-payload",
        "/healthz/%2e%2e/v1/auth-payload",
        "/healthz%2f..%2fv1/auth-payload",
        "//v1/auth-payload",
        "/problems/../v1/auth-payload",
        "/V1/auth-payload",
    ],
)
def test_no_path_is_a_way_in(recipe: Recipe, path: str) -> None:
    """However it is written."""
    headers = {"X-Forwarded-User": "eve", "X-Gateway-Secret": made_up.GATEWAY_SECRET}
    assert b'"signature"' not in recipe.ask("POST", path, headers).body


def lower(answer: Answer) -> dict[str, str]:
    """Return its headers by names in lower case, as Envoy writes them."""
    return {name.lower(): value for name, value in answer.headers.items()}


def test_a_page_of_an_allowed_origin(recipe: Recipe) -> None:
    """Its preflight, which has no credentials, is answered; and it can read answers and refusals, the login's too."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    page = {"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"}
    preflight = recipe.ask("OPTIONS", ISSUE, page | asked)
    assert preflight.status in {200, 204}
    assert lower(preflight)["access-control-allow-origin"] == ALLOWED
    assert "POST" in lower(preflight)["access-control-allow-methods"]
    for cookie, status in (({}, 401), (MING, 200)):
        answer = recipe.ask("POST", ISSUE, page | cookie)
        assert answer.status == status
        assert lower(answer)["access-control-allow-origin"] == ALLOWED
        assert lower(answer)["access-control-allow-credentials"] == "true"


def test_a_page_of_another_origin_reads_nothing(recipe: Recipe) -> None:
    """Neither its preflight nor any answer has the header by which a browser would let it."""
    page = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for method, headers in (("OPTIONS", {"Access-Control-Request-Method": "POST"}), ("POST", {}), ("POST", MING)):
        answer = recipe.ask(method, ISSUE, page | headers)
        assert "access-control-allow-origin" not in lower(answer)
        assert b'"signature"' not in answer.body


def test_a_session_that_the_app_renews(recipe: Recipe) -> None:
    """The cookie that the app's login sets reaches the client."""
    answer = recipe.ask("POST", ISSUE, {"Cookie": "session=old"})
    assert answer.status == 200
    names = [cookie.partition(";")[0] for cookie in RENEWED]
    assert lower(answer)["set-cookie"].partition(";")[0] in names


def test_what_is_open_and_closed(recipe: Recipe) -> None:
    """A page's module is anybody's; what the inside is told is nobody's."""
    assert recipe.ask("GET", "/client.js", {}).status == 200
    assert recipe.ask("GET", "/problems/expired", {}).status == 200
    assert recipe.ask("GET", "/readyz", MING).status == 404
    assert recipe.ask("GET", "/metrics", MING).status == 404


def test_a_page_of_another_site(recipe: Recipe) -> None:
    """The Host header is passed on, so the same-site check works."""
    for origin, status in ((f"https://{NAME}", 200), ("https://evil.example", 403)):
        assert recipe.ask("POST", ISSUE, MING | {"Origin": origin}).status == status
    assert is_listening(recipe.service.port)
