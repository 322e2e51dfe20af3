"""A page in a real browser behind a real nginx, whose user is known by a cookie that only the app can read."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.backends import running as backends
from tests.conftest import Seen
from tests.support import needed
from tests.support.docs import ENGLISH
from tests.support.running import PATIENCE_S, Service, clean_environment, free_port, is_listening, wait_until

CACHE_S = 1
LOG_IN = "async (user) => (await fetch(`/login?user=${user}`, {method: 'POST'})).status"
GET_PAYLOAD = """async () => {
  const { fetchAuthPayload } = await import("/client.js");
  try {
    return Object.keys(await fetchAuthPayload()).sort().join();
  } catch (error) {
    return `${error.code} ${error.retry}`;
  }
}"""
GET_STATUS = """async () => {
  const answer = await fetch("/v1/auth-payload", {method: "POST"});
  return [answer.status, answer.headers.get("Retry-After")];
}"""
PAYLOAD = "appkey,random_str,signature,timestamp"
NOT_LOGGED_IN = "882004 never"


@dataclass(frozen=True, slots=True)
class Site:
    """What the page sees: the app, and under its own host the service."""

    url: str
    backend: backends.Backend


@pytest.fixture(params=["django-files", "express-session"])
def site(request: pytest.FixtureRequest, tmp_path: Path, seen: Seen) -> Iterator[Site]:
    """A back end with its sessions on the server, the service that asks it, and nginx as the README has it."""
    service, gateway, port = Service(tmp_path), tmp_path / "nginx", free_port()
    for name in [name for name in service.variables if "JWT" in name or "GATEWAY" in name]:
        del service.variables[name]
    gateway.mkdir()
    with ExitStack() as stack:
        backend = stack.enter_context(backends.running(request.param, tmp_path))
        assert backend.settings.keys() == {"AUTHSVC_LOGIN_URL"}
        service.variables |= {**backend.settings, "AUTHSVC_LOGIN_CACHE_S": str(CACHE_S)}
        stack.callback(service.stop)
        service.start("--workers", "1")
        (block,) = ENGLISH.readme.find("nginx")
        ports = {"8080": port, "8000": service.port, "5000": backend.port}
        text = re.sub("|".join(ports), lambda found: str(ports[found[0]]), block.text)
        temporary = "".join(
            f"{name}_temp_path {gateway}/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        (gateway / "nginx.conf").write_text(
            f"""daemon off; master_process off; pid {gateway}/pid; error_log {gateway}/log; events {{}}
            http {{ access_log off; {temporary} {text} }}"""
        )
        command = [needed.program("nginx"), "-p", str(gateway), "-c", f"{gateway}/nginx.conf", "-e", f"{gateway}/log"]
        process = subprocess.Popen(command, env=clean_environment())
        stack.callback(process.wait, PATIENCE_S)
        stack.callback(process.terminate)
        wait_until(lambda: is_listening(port))
        yield Site(f"http://127.0.0.1:{port}", backend)
        seen.texts.append(service.log())


def test_a_user_of_the_app_gets_payloads_until_banned(site: Site, page: Page) -> None:
    """By one setting. Who asks later than the cache's seconds after a ban gets none; while the app is down, nobody."""
    page.goto(f"{site.url}/problems/not-logged-in")
    assert page.evaluate(GET_PAYLOAD) == NOT_LOGGED_IN
    assert page.evaluate(LOG_IN, "ming") == 204
    assert page.evaluate(GET_PAYLOAD) == PAYLOAD
    site.backend.ban("ming")
    banned_s = asked_s = time.monotonic()
    while page.evaluate(GET_PAYLOAD) != NOT_LOGGED_IN:
        assert asked_s < banned_s + CACHE_S
        time.sleep(0.05)  # within the rate limit
        asked_s = time.monotonic()
    assert page.evaluate(LOG_IN, "zoe") == 204
    site.backend.kill()
    assert page.evaluate(GET_STATUS) == [503, "5"]
