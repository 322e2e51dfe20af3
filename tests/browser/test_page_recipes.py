"""
The recipes of docs/recipes/ in a real Chromium: the page's own function before and after, the latter against authsvc.

axios, jQuery, the H5 runtimes of uni-app for Vue 3 and Vue 2, and Taro's are the real packages; what of them no request
needs is put to another package in package.json. WeChat's `wx` is in WeChat alone: `WX` stands in, by its documentation.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask, render_template_string
from playwright.sync_api import Page

from tests.browser.test_recipes import MODULE, run
from tests.conftest import bearer_of
from tests.support import canaries, made_up, needed
from tests.support.docs import Document
from tests.support.node import MODULES, run_node
from tests.support.running import Service
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, vendor_stand_in

OTHER_ANSWER, KEPT, REGISTERS, SIGNS, RENDERED = (
    Document(f"docs/recipes/{name}.md")
    for name in ("other-answer", "kept-payload", "register-on-880103", "signature-in-the-app", "server-rendered")
)
ISSUES = 'const getImAuth = async () => (await fetch("/v1/auth-payload", { method: "POST" })).json();'
PAYLOAD = {"appkey": made_up.APPKEY, "random_str": "0" * 32, "signature": "0" * 32, "timestamp": "1795456800000"}
ENVELOPE = {"code": 0, "data": PAYLOAD}
OWN_NAMES = {"appKey": "", "randomStr": "", "sign": "", "timestamp": 1795456800000, "flag": 1}
KEEPS_TOKEN = 'if (window.token) setStorageSync("token", window.token);'

# An instance as admin templates have it.
INSTANCE = """
import axios from "axios";
const request = axios.create({ baseURL: "/api" });
request.interceptors.request.use((config) => ({ ...config, data: { ...config.data, t: Date.now() } }));
request.interceptors.response.use(({ data }) =>
  data.code === 200 ? data : Promise.reject(new Error(`no success: ${JSON.stringify(data)}`)));
"""
UNI_VUE_3 = f"""
import {{ getStorageSync, request, setStorageSync }} from "@dcloudio/uni-h5";
const uni = {{ getStorageSync, request }};
{KEEPS_TOKEN}
"""
UNI_VUE_2 = """
import "uni-h5-vue2/dist/index.umd.min.js";
const uni = window.uni;
if (window.token) uni.setStorageSync("token", window.token);
"""
TARO = f"""
import {{ request }} from "@tarojs/taro-h5/dist/api/network/request/index.js";
import {{ getStorageSync, setStorageSync }} from "@tarojs/taro-h5/dist/api/storage/index.js";
const Taro = {{ getStorageSync, request }};
{KEEPS_TOKEN}
"""
# As the vendor documents wx.request: any status is a success, `data` is sent as JSON, and what comes is parsed.
WX = """
const wx = {
  getStorageSync: () => window.token ?? "",
  request({ url, method = "GET", header = {}, data, success, fail }) {
    const isGet = method === "GET";
    const headers = { "content-type": "application/json", ...header };
    const body = isGet ? undefined : JSON.stringify(data);
    fetch(isGet ? `${url}?${new URLSearchParams(data)}` : url, { method, headers, body })
      .then(async (answer) => success({ statusCode: answer.status, header: {}, data: await answer.json() }))
      .catch(({ message }) => fail?.({ errMsg: `request:fail ${message}` }));
  },
};
"""
# What the builds of uni-app and of Taro put in the place of these names.
FLAGS = [
    f"--define:{name}=false"
    for name in (
        *("__IMPORT_META_ENV_BASE_URL__", "__UNI_FEATURE_PAGES__", "__UNI_FEATURE_UNI_CLOUD__", "__UNI_FEATURE_WX__"),
        *(
            "__UNI_FEATURE_WXS__",
            *(f"__UNI_FEATURE_I18N_{name}__" for name in ("EN", "ES", "FR", "ZH_HANS", "ZH_HANT")),
        ),
        *("__UNI_FEATURE_I18N_LOCALE__", "ENABLE_ADJACENT_HTML", "ENABLE_CLONE_NODE", "ENABLE_CONTAINS"),
        *(
            "ENABLE_COOKIE",
            "ENABLE_INNER_HTML",
            "ENABLE_MUTATION_OBSERVER",
            "ENABLE_SIZE_APIS",
            "ENABLE_TEMPLATE_CONTENT",
        ),
    )
]
PAGE_OF_UNI = """
window.__uniConfig = { networkTimeout: { request: 60000 }, router: { mode: "hash", base: "/" } };
window.__uniRoutes = [{ path: "/", meta: {} }];
"""


@dataclass(frozen=True, slots=True)
class Case:
    """
    One section of the page: what its server answered, what the page is made of, and what it sees of an answer.

    `call` is how the page calls its function, `seen` what it hands around of what that returns.
    """

    title: str
    answered: Mapping[str, object]
    prelude: str = ""
    seen: str = "answer"
    call: str = "getImAuth(7)"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def blocks(self) -> tuple[str, str]:
        """Return the function before and after."""
        (part,) = (part for part in OTHER_ANSWER.text.split("\n## ") if part.startswith(f"{self.title}\n"))
        before, after = re.findall(r"^```js\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        return before, after


CASES = [
    Case("axios", ENVELOPE, 'import axios from "axios";', seen="answer.data"),
    Case("axios with interceptors", ENVELOPE | {"code": 200}, INSTANCE),
    Case("jQuery", ENVELOPE, 'import $ from "jquery";'),
    Case("uni-app, Vue 3", ENVELOPE, UNI_VUE_3, aliases={"vue": "@dcloudio/uni-h5-vue/dist/vue.runtime.esm.js"}),
    Case(
        "uni-app, Vue 2",
        ENVELOPE,
        UNI_VUE_2,
        aliases={"vue": "vue-2/dist/vue.runtime.esm.js", "vue-router": "vue-router-3/dist/vue-router.esm.js"},
    ),
    Case("Taro", ENVELOPE, TARO),
    Case("WeChat mini-program", ENVELOPE, WX, call="new Promise((done) => getImAuth(7, done))"),
    Case("Other names", OWN_NAMES),
]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)


def exported(page: Document) -> dict[str, str]:
    """Return the settings that a recipe has one make."""
    (block,) = page.find("sh", "export ")
    return block.exports(Path("/etc/secrets"))


def both(page: Document) -> tuple[str, str]:
    """Return the page's JavaScript before and after."""
    before, after = (block.text for block in page.find("js"))
    return before, after


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorStandIn]:
    """A vendor that registers everybody."""

    def reply_to(asked: Asked) -> Reply:
        return Reply.json([{}], status=201) if asked.method == "POST" else Reply.json({})

    with vendor_stand_in() as stand_in:
        stand_in.reply = reply_to
        yield stand_in


@pytest.fixture(scope="module")
def service(vendor: VendorStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, running: a JWT logs in as a Bearer token or as a cookie; a server may have the gateway's secret."""
    service = Service(tmp_path_factory.mktemp("service"))
    service.variables |= {
        "AUTHSVC_JWT_COOKIE": "access_token",
        "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.ACCOUNT_KEY)),
        "AUTHSVC_ALLOWED_ORIGINS": f"{exported(SIGNS)['AUTHSVC_ALLOWED_ORIGINS']},http://localhost:{service.port}",
        "AUTHSVC_VENDOR_URL": vendor.url,
    }
    service.start("--workers", "1")
    yield service
    service.stop()
    canaries.checked(service.log().encode())


@pytest.fixture
def site(page: Page, service: Service) -> str:
    """A page of the service's own site, whose user is not logged in."""
    site = f"http://127.0.0.1:{service.port}"
    page.goto(f"{site}/healthz")
    page.evaluate(f"() => {{ {PAGE_OF_UNI} }}")
    return site


def token_of(user_id: str) -> str:
    return bearer_of(user_id)["Authorization"].removeprefix("Bearer ")


def log_in(page: Page, site: str, user_id: str = "ming") -> None:
    """By the app's cookie."""
    page.context.add_cookies([{"name": "access_token", "value": token_of(user_id), "url": site}])


def bundled(text: str, **aliases: str) -> str:
    """Return what a bundler makes of a page's script."""
    named = [f"--alias:{name}={MODULES / path}" for name, path in aliases.items()]
    defines = ('--define:process.env.NODE_ENV="production"', '--define:process={"env":{}}', *FLAGS)
    return run_node("esbuild", "--bundle", "--format=esm", *defines, *named, text=text)


def bundled_page(case: Case, function: str, site: str) -> str:
    """Return the page's script with one of its two functions."""
    text = re.sub(r"https://(app|auth)\.example", site, function)
    return bundled(f"{case.prelude}\n{text}\nwindow.getImAuth = getImAuth;", **case.aliases)


def get_im_auth(page: Page, case: Case, script: str) -> Any:
    """Have the page call its function; return what it sees then, or None and why."""
    run(page, script)
    return page.evaluate(
        f"""() => {case.call}.then(
          (answer) => [JSON.parse(JSON.stringify({case.seen})), null],
          (error) => [null, String(error?.responseText ?? error?.message ?? error?.errMsg ?? error)],
        )"""
    )


def shape(value: object) -> object:
    """Return the names and types in an answer."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value)


def is_good(service: Service, payload: object, holder: str = "connection-1") -> bool:
    """Return whether whoever takes connections accepts the payload."""
    headers = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}", "X-Holder": holder}
    return service.ask("POST", "/v1/auth-payload/verify", headers=headers, body=payload).status == 200


@EVERY_CASE
def test_a_page_sees_what_it_saw_before(page: Page, service: Service, site: str, case: Case) -> None:
    """
    Names and types as of its own server's answers, and in them a payload that is good.

    Without a login its function fails, or returns the code of the refusal, and never what looks like a success.
    """
    before, after = (bundled_page(case, function, site) for function in case.blocks())
    page.route("**/api/im/auth*", lambda route: route.fulfill(json=case.answered))
    saw, _ = get_im_auth(page, case, before)
    refused, why = get_im_auth(page, case, after)
    assert (refused or {"code": 882004, "msg": why}).keys() == {"code", "msg"}
    assert refused["code"] == 882004 if refused else re.search("401|882004|has no credentials", why)
    if "Bearer" in after:
        page.evaluate("(token) => (window.token = token)", token_of("ming"))
    else:
        log_in(page, site)
    sees, why = get_im_auth(page, case, after)
    assert shape(sees) == shape(saw) == shape(case.answered), why
    named = sees.get("data", sees)
    if "sign" in named:
        names = {"appkey": "appKey", "random_str": "randomStr", "signature": "sign", "timestamp": "timestamp"}
        named = {name: named[own] for name, own in names.items()}
    assert is_good(service, named)


@EVERY_CASE
def test_a_recipe_is_short(case: Case) -> None:
    """At most five lines between the first and the last."""
    _, after = case.blocks()
    assert len(after.splitlines()) <= 7


NO_BODY = """
import axios from "axios";
import $ from "jquery";
const url = "/v1/auth-payload", headers = { "Content-Type": "application/json" };
window.bodies = [
  () => axios.post(url).then(({ data }) => data),
  () => axios.post(url, {}).then(({ data }) => data),
  () => axios.post(url, null, { headers }).then(({ data }) => data),
  () => axios.post(url, new URLSearchParams()).then(({ data }) => data),
  () => $.post(url, {}),
  () => $.ajax(url, { method: "POST", headers }),
  () => $.ajax(url, { method: "POST", contentType: "application/x-www-form-urlencoded; charset=UTF-8" }),
];
"""


def test_no_body_in_any_form(page: Page, site: str) -> None:
    """Whatever a library makes of a body that was left out, is empty or null, whatever type it gives it."""
    log_in(page, site)
    run(page, bundled(NO_BODY))
    told = page.evaluate("Promise.all(bodies.map((send) => send().then(Object.keys, (error) => [String(error)])))")
    assert [set(names) for names in told] == [set(PAYLOAD)] * 7


JIM = """
window.calls = [];
const chain = (code) => {
  const self = {
    onSuccess: (then) => (code ? self : (setTimeout(then), self)),
    onFail: (then) => (code ? (setTimeout(() => then({ code })), self) : self),
  };
  return self;
};
window.JIM = {
  init: (payload) => window.accepts(payload),
  login: (login) => (window.calls.push(["login", login.username]), chain(window.codes.shift())),
  register: (login) => (window.calls.push(["register", login.username]), chain(0)),
};
"""


def test_a_kept_payload_connects_once(page: Page, service: Service, site: str) -> None:
    """The page that keeps it is refused after a reload; the one that asks each time is not, and keeps nothing."""
    connections = iter(range(10))
    page.expose_function("accepts", lambda payload: is_good(service, payload, f"connection-{next(connections)}"))
    log_in(page, site)
    for function, accepted in zip(both(KEPT), ([True, False], [True, True]), strict=True):
        script = bundled(f"{JIM}{ISSUES}\n{function}\nwindow.initialise = initialise;")
        for expected in accepted:
            page.reload()
            run(page, script)
            assert page.evaluate("initialise(JIM)") is expected
        assert page.evaluate("sessionStorage.length") == (not accepted[1])


def test_a_page_that_registered(page: Page, site: str, vendor: VendorStandIn) -> None:
    """It registers nobody any more: authsvc does, and again when the account is gone, and once only."""
    log_in(page, site, "omar")
    before, after = both(REGISTERS)
    run(page, bundled(f"{JIM}{before}\nwindow.logIn = logIn;"))
    page.evaluate("window.codes = [880103, 0]; logIn(JIM, 'omar', 'a word')")
    page.wait_for_function("calls.length === 3")
    assert page.evaluate("calls.map(([call]) => call).join()") == "login,register,login"
    run(page, bundled(f"{JIM}{after}\nwindow.logIn = logIn;"))
    assert page.evaluate("window.codes = [880103, 880103]; logIn(JIM).then(() => calls.length)") == 1
    page.wait_for_function("calls.length === 2 && codes.length === 0")
    assert page.evaluate("calls.join()") == "login,omar,login,omar"
    assert [asked.path for asked in vendor.asked if "omar" in str(asked.body)] == ["/v1/users/", "/v1/users/"]


def test_an_app_that_signed_by_itself(page: Page, service: Service, site: str) -> None:
    """Its own payload was one for all who had its package; now it gets one as its user, from another origin."""
    signs, asks = both(SIGNS)
    secret = f"const appkey = {json.dumps(made_up.APPKEY)}, masterSecret = {json.dumps(made_up.MASTER_SECRET)};"
    md5 = (
        'import { createHash } from "node:crypto"; const md5 = (text) => createHash("md5").update(text).digest("hex");'
    )
    printed = run_node(
        "--input-type=module", "-", text=f"{md5}{secret}{signs}console.log(JSON.stringify(getImAuth()));"
    )
    assert is_good(service, json.loads(printed))
    for origin in exported(SIGNS)["AUTHSVC_ALLOWED_ORIGINS"].split(","):
        answer = service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming") | {"Origin": origin})
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    page.goto(f"{site.replace('127.0.0.1', 'localhost')}/healthz")
    page.evaluate("(token) => localStorage.setItem('token', token)", token_of("ming"))
    asks = asks.replace("https://auth.example", site).replace("./client.js", str(MODULE))
    run(page, bundled(f"{asks}\nwindow.getImAuth = getImAuth;"))
    assert is_good(service, page.evaluate("getImAuth()"))


def test_a_server_rendered_page(page: Page, service: Service, site: str) -> None:
    """The payload in its HTML is used once; after that, and after a visit elsewhere, it asks its server for another."""
    (python,), (template,), (script,) = RENDERED.find("python"), RENDERED.find("html"), RENDERED.find("js")
    names: dict[str, Any] = {"requests": requests}
    exec(here(python.text, service), names)  # noqa: S102 -- the page's own code
    with Flask("app").app_context():
        html = render_template_string(template.text, payload=names["auth_payload"]("ming"))
    page.route(f"{site}/chat", lambda route: route.fulfill(content_type="text/html", body=html))
    page.route(f"{site}/im/auth", lambda route: route.fulfill(json=names["auth_payload"]("ming")))
    get = "getImAuth()"
    load = bundled(f"{script.text}\nwindow.getImAuth = getImAuth;")
    page.goto(f"{site}/chat")
    run(page, load)
    rendered = json.loads(page.inner_text("#im-auth"))
    first, second = page.evaluate(get), page.evaluate(get)
    page.goto(f"{site}/chat")
    run(page, load)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    third = page.evaluate(get)
    assert first == rendered
    assert len({payload["random_str"] for payload in (first, second, third)}) == 3
    assert all(is_good(service, payload) for payload in (first, second, third))


def test_a_page_rendered_by_php(service: Service, tmp_path: Path) -> None:
    """The same function there; a refusal is an exception, and no payload."""
    (block,) = RENDERED.find("php")
    script = tmp_path / "page.php"
    script.write_text(f"{here(block.text, service)}\necho json_encode(auth_payload($argv[1]));\n")
    php = [needed.program("php"), "-d", "display_errors=stderr", str(script)]
    done = subprocess.run([*php, "ming"], capture_output=True, text=True, check=True)
    assert is_good(service, json.loads(done.stdout))
    refused = subprocess.run([*php, "ming,ana"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "authsvc: HTTP/1.1 401" in refused.stderr


def here(code: str, service: Service) -> str:
    """Return a page's code with the service and its secret where this test has them, and time for a busy machine."""
    code = code.replace("/etc/secrets", str(service.folder)).replace(":8000", f":{service.port}")
    return re.sub(r"(timeout\W+)2\b", r"\g<1>15", code)
