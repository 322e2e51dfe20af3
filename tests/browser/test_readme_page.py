"""The lines of docs/page.md, run in a page of a real browser against the service as a real process."""

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Page

from tests.conftest import Seen
from tests.support import made_up
from tests.support.docs import ENGLISH
from tests.support.running import Service

# What the vendor's SDK does with a payload is its own affair; here it is noted and called a success.
PAGE = """async () => {{
  const said = [];
  console.log = (...words) => said.push(...words);
  const JIM = {{
    init(payload) {{
      said.push(payload);
      return {{ onSuccess(then) {{ then(); return this; }}, onFail() {{ return this; }} }};
    }},
  }};
  try {{
    {block}
  }} catch (error) {{
    said.push(error.message);
  }}
  return said;
}}"""


@pytest.fixture
def service(service: Service) -> Service:
    """The service, running, with the session cookie as a way to log in."""
    service.variables["AUTHSVC_SESSION_KEY_FILE"] = str(service.secret_file("session-key", made_up.SESSION_KEY))
    service.start("--workers", "1")
    return service


def test_the_lines_for_a_page(page: Page, service: Service, seen: Seen) -> None:
    """Without a login they say why there is no payload; with the app's cookie they hand one to JIM.init."""
    (block,) = ENGLISH.page("page").find("js", "await fetch(")
    lines = PAGE.format(block=block.text)
    site = f"http://127.0.0.1:{service.port}"
    page.goto(f"{site}/problems/expired")
    (refused,) = page.evaluate(lines)
    assert refused.startswith("882004 the request has no credentials; accepted: ")
    assert refused.endswith(", /problems/not-logged-in")
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    page.context.add_cookies([{"name": "session", "value": serializer.dumps({"_user_id": "7"}), "url": site}])
    payload, said = page.evaluate(lines)
    assert payload.keys() == {"appkey", "random_str", "signature", "timestamp"}
    assert said == "initialised"
    seen.texts.append(f"{refused}{payload}")
