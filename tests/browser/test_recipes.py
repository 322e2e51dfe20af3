"""The recipes for the browser module in docs/: bundled with the real React and Vue, and run against the service."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Error, Page, expect

from tests.conftest import bearer_of
from tests.support import made_up
from tests.support.docs import ENGLISH
from tests.support.node import FOLDER, run_node
from tests.support.running import Service
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, vendor_stand_in

MODULE = FOLDER.parents[1] / "authsvc" / "static" / "client.js"
# The vendor's SDK, as one that always says yes, and notes what it is given.
JMESSAGE = """
window.said = [];
window.JMessage = class {
  isConnect() { return true; }
  isInit() { return true; }
  isLogin() { return true; }
  onDisconnect() {}
  init(payload) { return this.yes(payload); }
  login(login) { return this.yes(login); }
  yes(given) {
    window.said.push(given);
    const chain = { onSuccess(then) { setTimeout(then); return chain; }, onFail: () => chain, onTimeout: () => chain };
    return chain;
  }
};
"""
PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>"


@pytest.fixture
def vendor() -> Iterator[VendorStandIn]:
    """A vendor that registers everybody, and knows every picture."""

    def reply_to(asked: Asked) -> Reply:
        url = "http://dl.im.jiguang.cn/a.png"
        return Reply.json([{}], status=201) if asked.method == "POST" else Reply.json({"url": url})

    with vendor_stand_in() as stand_in:
        stand_in.reply = reply_to
        yield stand_in


@pytest.fixture
def site(page: Page, service: Service, vendor: VendorStandIn) -> str:
    """A page of the service's own site, whose user is logged in, with an SDK."""
    service.variables |= {
        "AUTHSVC_SESSION_KEY_FILE": str(service.secret_file("session-key", made_up.SESSION_KEY)),
        "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.ACCOUNT_KEY)),
        "AUTHSVC_VENDOR_URL": vendor.url,
    }
    service.start("--workers", "1")
    site = f"http://127.0.0.1:{service.port}"
    app = Flask("app")
    app.secret_key = made_up.SESSION_KEY
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    page.context.add_cookies([{"name": "session", "value": serializer.dumps({"_user_id": "ming"}), "url": site}])
    page.goto(f"{site}/healthz")
    page.evaluate(f"() => {{ {JMESSAGE} }}")
    return site


def bundled(recipe: str, end: str = "", *options: str) -> str:
    """Return what a bundler makes of a recipe with these lines after it."""
    for name in ('"/client.js"', '"./client.js"'):
        recipe = recipe.replace(name, json.dumps(str(MODULE)))
    wrapped = ("--bundle", "--format=esm", "--loader=jsx", "--jsx=automatic", '--define:process.env.NODE_ENV="test"')
    return run_node("esbuild", *wrapped, *options, text=recipe + end)


def run(page: Page, bundle: str) -> None:
    """Run a module's text in the page."""
    page.evaluate("(text) => import(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })))", bundle)


def check_connected(page: Page) -> None:
    init, login = page.evaluate("window.said")
    assert init.keys() == {"appkey", "random_str", "signature", "timestamp", "flag"}
    assert login["username"] == "ming"


def test_a_plain_page(page: Page, site: str) -> None:
    """It connects, logs in and shows a picture, whose request goes to where the vendor says."""
    (connects,) = ENGLISH.find("js", "await connect(JIM")
    (shows,) = ENGLISH.find("js", "await showImage")
    (html,) = ENGLISH.find("html")
    page.evaluate("(html) => (document.body.innerHTML = html + '<img>')", html.text)  # its scripts do not run by that
    page.route("http://dl.im.jiguang.cn/**", lambda route: route.fulfill(content_type="image/svg+xml", body=PICTURE))
    run(page, bundled(connects.text + shows.text))
    check_connected(page)
    assert page.locator("#state").text_content() == "ready"
    assert page.evaluate("document.querySelector('img').naturalWidth") == 7


def test_the_sdk_file_that_bootstrap_names(page: Page, service: Service, site: str) -> None:
    """The page loads it, if it is the file whose digest the service names; `openssl` as shown prints that digest."""
    (loads,) = ENGLISH.find("js", "sdk.integrity")
    (digest,) = ENGLISH.find("sh", "openssl dgst")
    (service.folder / "static").mkdir()
    sdk = service.folder / "static" / "jmessage-sdk-web.min.js"
    sdk.write_text(JMESSAGE)
    shown = subprocess.run(["sh", "-c", digest.text], cwd=service.folder, capture_output=True, text=True, check=True)
    service.stop()
    service.variables |= {
        "AUTHSVC_SDK_SCRIPT": "/static/jmessage-sdk-web.min.js",
        "AUTHSVC_SDK_INTEGRITY": shown.stdout.strip(),
    }
    service.start("--workers", "1")
    script = bundled('import { bootstrap } from "/client.js";\n' + loads.text, "window.loaded = typeof JMessage;")
    served = JMESSAGE
    page.route("**/static/*.js", lambda route: route.fulfill(content_type="text/javascript", body=served))
    for served, loaded in ((JMESSAGE, "function"), (f"{JMESSAGE} // changed", None)):  # noqa: B007 -- by the route
        page.goto(f"{site}/healthz")
        with nullcontext() if loaded else pytest.raises(Error, match="was not loaded"):
            run(page, script)
        assert page.evaluate("window.loaded") == loaded


def test_react(page: Page, site: str) -> None:
    """The component shows each state, and lets go when it is taken away."""
    (recipe,) = ENGLISH.find("jsx", "useEffect")
    end = """
    import { createRoot } from "react-dom/client";
    const root = createRoot(document.body.appendChild(document.createElement("main")));
    root.render(<Chat JIM={new JMessage()} />);
    window.unmount = () => root.unmount();
    """
    run(page, bundled(recipe.text, end))
    expect(page.locator("main p")).to_have_text("ready")
    check_connected(page)
    page.evaluate("window.unmount()")
    expect(page.locator("main p")).to_have_count(0)


def test_vue(page: Page, site: str) -> None:
    """The same in Vue."""
    (recipe,) = ENGLISH.find("js", 'from "vue"')
    end = """
    import { createApp } from "vue";
    const app = createApp(Chat, { JIM: new JMessage() });
    app.mount(document.body.appendChild(document.createElement("main")));
    window.unmount = () => app.unmount();
    """
    run(page, bundled(recipe.text, end))
    expect(page.locator("main p")).to_have_text("ready")
    check_connected(page)
    page.evaluate("window.unmount()")
    expect(page.locator("main p")).to_have_count(0)


def test_a_mini_program(service: Service) -> None:
    """wx.request, as its documentation has it, carries a Bearer token there and a payload back; also a refusal."""
    service.start("--workers", "1")
    (recipe,) = ENGLISH.find("js", "wx.request")
    token = bearer_of("ming")["Authorization"].removeprefix("Bearer ")
    end = f"""
    import http from "node:http";
    let token = {json.dumps(token)};
    globalThis.wx = {{
      getStorageSync: (key) => (key === "token" ? token : ""),
      request({{ url, method, header, data, success, fail }}) {{
        const request = http.request(url, {{ method, headers: header }}, (answer) => {{
          let text = "";
          answer.on("data", (piece) => (text += piece));
          answer.on("end", () => success({{ statusCode: answer.statusCode, header: answer.headers, data: text }}));
        }});
        request.on("error", (error) => fail({{ errMsg: `request:fail ${{error.message}}` }}));
        request.end(data);
      }},
    }};
    const payload = await start({{ init: (payload) => payload }});
    token = "bad";
    const refused = await start({{}}).catch((error) => error);
    console.log(JSON.stringify([payload, refused.code, refused.status]));
    """
    recipe_here = recipe.text.replace("https://auth.example", f"http://127.0.0.1:{service.port}")
    script = bundled(recipe_here, end, "--platform=node")
    payload, code, status = json.loads(run_node("--input-type=module", "-e", script))
    assert payload.keys() == {"appkey", "random_str", "signature", "timestamp"}
    assert (code, status) == (882004, 401)
