"""Tests of the READMEs and docs/: what they list is what the code has, and what they show works as it stands there."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import flask_login
import jwt
import pytest

from authsvc.settings import apps_file, loader
from authsvc.settings.model import Settings
from authsvc.settings.types import PREFIX
from authsvc.web import problems
from authsvc.web.accept_language import LANGUAGES
from authsvc.web.language import Language
from tests.conftest import Seen
from tests.deploy.gateway import login_app
from tests.support import made_up, needed
from tests.support.docs import CHINESE, ENGLISH, ROOT, Block, Docs, Document
from tests.support.running import Service, clean_environment, is_listening, wait_until
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, url_of, vendor_stand_in

PROGRAMS = {"PATH": needed.PATH}
# What stands in the files that the pages put under /etc/secrets. The verifier key is no canary: curl gets it as an
# argument.
SECRETS = {
    "jmessage-master-secret": made_up.MASTER_SECRET,
    "flask-secret-key": f"{made_up.SESSION_KEY}\nan-older-secret-key",
    "jwt-key": made_up.JWT_KEY,
    "gateway-secret": made_up.GATEWAY_SECRET,
    "account-key": made_up.ACCOUNT_KEY,
    "verifier-keys": "a-verifier-key-that-may-be-seen",
}


BOTH = pytest.mark.parametrize("docs", [ENGLISH, CHINESE], ids=lambda docs: docs.language)
EVERY_PAGE = pytest.mark.parametrize("page", ENGLISH.pages + CHINESE.pages, ids=lambda page: page.name)
# How a page begins: what its reader can do after it.
BEGINNINGS = {"en": r"After this page you can [^.]+\.", "zh": "读完本页，你可以[^。]+。"}


def setting_rows() -> list[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        variables = [
            f"`{PREFIX}{name.upper()}`",
            *([f"`{PREFIX}{name.upper()}_FILE`"] if name in loader.SECRETS else []),
        ]
        default = "sqlite://…/store.db" if field.default_factory else field.default
        default = ",".join(default) if isinstance(default, tuple) else default
        shown = (
            ""
            if default in (None, "", frozenset(), {})
            else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        if not field.exclude:
            rows.append(f"| {'<br>'.join(variables)} | {shown} | {field.description} |")
    return rows


def refusal_rows(language: Language) -> list[str]:
    every = sorted(problems.BY_NAME.values(), key=lambda problem: (problem.status, problem.code, problem.name))
    return [
        f"| {problem.status} | {problem.code} | `/problems/{problem.name}` | {problem.retry} |"
        f" {language.problems[problem.name].meaning} |"
        for problem in every
    ]


def but_the_last_cell(rows: list[str]) -> list[str]:
    return [row.rsplit("|", 2)[0] for row in rows]


def test_the_settings_are_the_codes() -> None:
    """Every setting is listed as the code has it, and nothing else; in Chinese in its own words."""
    start, rows = r"\| `AUTHSVC_", setting_rows()
    assert ENGLISH.page("settings").rows(start) == rows, "the rows have to be:\n" + "\n".join(rows)
    chinese = CHINESE.page("settings").rows(start)
    assert but_the_last_cell(chinese) == but_the_last_cell(rows)
    for row in chinese:
        assert re.search("[\u4e00-\u9fff]", row.rsplit("|", 2)[1]), f"not translated: {row}"


@BOTH
def test_the_refusals_are_the_codes(docs: Docs) -> None:
    """Every refusal is listed with the words of its help page, and nothing else."""
    (language,) = (one for one in LANGUAGES if one.tag.startswith(docs.language))
    rows = refusal_rows(language)
    assert docs.page("refusals").rows(r"\| [0-9]{3} ") == rows, "the rows have to be:\n" + "\n".join(rows)


def names(docs: Docs) -> list[str]:
    return [page.name.removeprefix(f"{docs.folder}/") for page in docs.pages[1:]]


def test_both_languages_have_the_same_pages() -> None:
    """Page by page the same chapters, and the same code but for the comments."""
    assert names(ENGLISH) == names(CHINESE)
    for english, chinese in zip(ENGLISH.pages, CHINESE.pages, strict=True):
        assert [level for level, _ in chinese.headings] == [level for level, _ in english.headings], chinese.name
        assert [(block.language, block.mark, block.uncommented()) for block in chinese.blocks] == [
            (block.language, block.mark, block.uncommented()) for block in english.blocks
        ], chinese.name


@BOTH
def test_every_page_begins_with_what_it_is_for(docs: Docs) -> None:
    """After the title, one sentence with what the reader can do after the page."""
    for page in docs.pages[1:]:
        _, sentence, *_ = page.text.split("\n\n")
        assert page.text.startswith("# "), page.name
        assert re.match(BEGINNINGS[docs.language], sentence.replace("\n", " ")), f"{page.name}: {sentence}"


@pytest.mark.parametrize("page", CHINESE.pages, ids=lambda page: page.name)
def test_no_line_breaks_a_chinese_sentence(page: Document) -> None:
    """A line break between two Chinese characters is shown as a space."""
    assert re.findall("[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]\n *[\u4e00-\u9fff]", page.prose) == []


@BOTH
def test_the_front_door_is_short(docs: Docs) -> None:
    """The README leads in; all else has a page of its own."""
    assert len(docs.readme.text.splitlines()) < 200


@BOTH
def test_the_index_leads_everywhere_in_two_clicks(docs: Docs) -> None:
    """Every page of the language is linked from its index, or from a page that the index links."""
    pages = {page.name: page for page in docs.pages}
    index = docs.page("index")
    near = {name for name, _ in index.links() if name in pages}
    far = {name for one in near for name, _ in pages[one].links()}
    assert pages.keys() - near - far - {index.name} == set()
    assert index.name in {name for name, _ in docs.readme.links()}


# What was asked and found nowhere, by page: the chapter that answers it, in both languages.
ASKED = {
    "where the SDK comes from": ("page", "The SDK file", "SDK 文件"),
    "which systems are supported": ("servers", "Systems", "支持的系统"),
    "other WSGI servers": ("servers", "Another WSGI server", "其他 WSGI 服务器"),
    "embedding": ("servers", "Inside your own Flask app", "嵌入 Flask 应用"),
    "outbound proxies": ("network", "Network and proxies", "网络和代理"),
    "forgetting an account": ("upgrade", "Forget a user", "删除一个用户"),
    "which file of jchat-web to edit": ("jchat-web", "Which file to edit", "要改哪个文件"),
    "uninstalling": ("upgrade", "Uninstall", "卸载"),
    "upgrading": ("upgrade", "Upgrade", "升级"),
    "which app a media GET means": ("media", "Which app", "属于哪个应用"),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_questions_are_answered_within_two_clicks(asked: tuple[str, str, str]) -> None:
    """The index links the page, and the page has a chapter for it."""
    name, *chapters = asked
    for docs, chapter in zip((ENGLISH, CHINESE), chapters, strict=True):
        page = docs.page(name)
        assert page.name in {path for path, _ in docs.page("index").links()}
        assert chapter in {title for _, title in page.headings}


@BOTH
def test_the_flask_app_reads_the_keys_as_authsvc_does(docs: Docs, tmp_path: Path) -> None:
    """Line by line: a key may hold blanks, and a file may have been saved on Windows."""
    path = tmp_path / "flask-secret-key"
    path.write_bytes(b"a key with spaces \r\n\r\nanother\tkey\x0c, and more\n")
    variables = {f"{PREFIX}APPKEY": made_up.APPKEY, f"{PREFIX}MASTER_SECRET": made_up.MASTER_SECRET}
    settings = loader.load(variables | {f"{PREFIX}SESSION_KEY_FILE": str(path)}, Settings)
    (block,) = docs.find("python", "SECRET_KEY_FALLBACKS")
    (line,) = [line for line in block.text.splitlines() if line.startswith("keys = ")]
    namespace: dict[str, Any] = {"Path": Path}
    exec(line.replace("/etc/secrets/flask-secret-key", str(path)), namespace)  # noqa: S102 -- the README's own line
    assert (
        namespace["keys"]
        == [key.reveal() for key in settings.session_key]
        == ["a key with spaces ", "another\tkey\x0c, and more"]
    )


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Document) -> None:
    """Links within the repository lead to a file or a heading that exists."""
    for path, anchor in page.links():
        assert (ROOT / path).exists(), path
        assert not anchor or anchor in Document(path).anchors(), f"{path}#{anchor}"


@EVERY_PAGE
def test_every_name_is_known(page: Document) -> None:
    """A variable or a target of make that is named in the text exists."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    names |= {f"{PREFIX}{name.upper()}_FILE" for name in loader.SECRETS}
    assert set(re.findall(r"\bAUTHSVC_\w*[A-Z]", page.text)) <= names
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make (\w+)", page.text, re.MULTILINE)) <= set(targets)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /etc/secrets."""
    folder = tmp_path_factory.mktemp("secrets")
    for name, text in SECRETS.items():
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize("block", ENGLISH.find("sh", "export "), ids=lambda block: block.text.split("=")[0])
def test_every_set_of_settings_is_accepted(block: Block, secrets: Path) -> None:
    """Together with those of the start; one that is about logging in needs no other way of logging in."""
    app, start = start_block().exports(secrets), block.exports(secrets)
    assert loader.load(app | start, Settings).appkey == made_up.APPKEY
    if any(word in name for name in start for word in ("JWT", "GATEWAY")):
        del app["AUTHSVC_SESSION_KEY_FILE"]
        assert loader.load(app | start, Settings).session_key == ()


def start_block() -> Block:
    (block,) = ENGLISH.find("sh", "export AUTHSVC_APPKEY")
    return block


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorStandIn]:
    """A vendor that knows every media_id, and registers everybody."""

    def reply_to(asked: Asked) -> Reply:
        return Reply.json([{}], status=201) if asked.method == "POST" else Reply.json({"url": url_of(asked)})

    with vendor_stand_in() as stand_in:
        stand_in.reply = reply_to
        yield stand_in


@pytest.fixture(scope="module")
def service(secrets: Path, vendor: VendorStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with all settings that the pages show, together."""
    service = Service(tmp_path_factory.mktemp("service"))
    service.variables["AUTHSVC_VENDOR_URL"] = vendor.url
    shown = [block.exports(secrets) for block in ENGLISH.find("sh", "export ")]
    kept = {
        name: service.variables[name] for name in ("AUTHSVC_STORE_URL", "AUTHSVC_DRAIN_DELAY_S", "AUTHSVC_VENDOR_URL")
    }
    service.variables = {name: value for variables in shown for name, value in variables.items()} | kept
    service.start("--workers", "1")
    yield service
    service.stop()


def done_by(block: Block, secrets: Path, **given: object) -> dict[str, Any]:
    """Run a block of Python with these names given, and return its names."""
    names = {"__name__": __name__} | given
    exec(block.text.replace("/etc/secrets", str(secrets)), names)  # noqa: S102 -- the page's own code
    return names


def user_token(secrets: Path) -> str:
    (block,) = ENGLISH.find("python", "jwt.encode")
    made = done_by(block, secrets, jwt=jwt, time=time, user=SimpleNamespace(id=7), key=made_up.JWT_KEY)
    return str(made["token"])


@pytest.mark.parametrize(
    "block", [block for block in ENGLISH.blocks if block.mark == "run"], ids=lambda block: block.text[:40]
)
def test_examples_print_what_the_page_shows(
    block: Block, service: Service, secrets: Path, tmp_path: Path, seen: Seen
) -> None:
    """The output of each command is what stands below it, where … stands for anything."""
    needed.program("curl")
    variables = {"USER_TOKEN": user_token(secrets), "VERIFIER_KEY": SECRETS["verifier-keys"]}
    text = block.text.replace("localhost:8000", f"127.0.0.1:{service.port}")
    for command, promised in re.findall(r"((?:^[^#].*\n)+)((?:^# .*\n)+)", text, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=clean_environment() | PROGRAMS | service.variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        pattern = ".*".join(map(re.escape, promised.replace("# ", "").strip().split("…")))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"{command}{done.stdout}"
        seen.texts.append(done.stdout)
    seen.texts.append(service.log())


def test_a_vendor_of_ones_own(secrets: Path, tmp_path: Path, seen: Seen) -> None:
    """The two terminals of the recipe, and its two commands: a picture comes from the sandbox, then only slowly."""
    sandbox, service = Service(tmp_path), Service(tmp_path)
    ports = {"8100": str(sandbox.port), "8000": str(service.port)}
    log = tmp_path / "log"
    variables = clean_environment() | PROGRAMS | start_block().exports(secrets) | {"XDG_STATE_HOME": str(tmp_path)}
    shown = [
        *ENGLISH.find("sh", "authsvc sandbox"),
        *ENGLISH.find("sh", "AUTHSVC_SDK_OPTIONS"),
        *ENGLISH.find("sh", '"slow"'),
    ]
    texts = [block.text.replace("/etc/secrets", str(secrets)) for block in shown]
    in_sandbox, in_service, commands = (re.sub("8100|8000", lambda found: ports[found[0]], text) for text in texts)
    in_sandbox = in_sandbox.replace("authsvc sandbox", f"authsvc sandbox --bind 127.0.0.1:{sandbox.port}")
    with log.open("w") as out:
        for process, text in ((sandbox, in_sandbox), (service, in_service)):
            process.process = subprocess.Popen(
                ["bash", "-c", text], env=variables, stdout=out, stderr=out, process_group=0
            )
    cookie = session_cookie(secrets)
    try:
        for process in (sandbox, service):
            wait_until(lambda process=process: is_open(process, log), what=log.read_text)  # type: ignore[misc]
        path = "/v1/resource/qiniu/image/r/0A1B2C3D4E5F6071.png"
        assert (
            service.ask("GET", path, headers=cookie).headers["Location"].startswith(f"http://127.0.0.1:{sandbox.port}/")
        )
        output = subprocess.run(["bash", "-c", commands], capture_output=True, text=True, timeout=60, check=True).stdout
        assert '"rest": "slow"' in output
        assert service.ask("GET", "/v1/resource/unseen", headers=cookie).status == 504
    finally:
        for process in (sandbox, service):
            assert process.process is not None
            os.killpg(process.process.pid, signal.SIGTERM)
            os.killpg(process.process.pid, signal.SIGINT)  # a second one ends the drain
            process.stop()
        seen.texts.append(log.read_text())


class Users:
    """The app's users, as the recipe asks for them."""

    def get(self, user_id: str) -> flask_login.UserMixin | None:
        user = flask_login.UserMixin()
        user.id = user_id
        return user

    def check(self, form: Mapping[str, str]) -> flask_login.UserMixin | None:
        return self.get(form["name"])


def session_cookie(secrets: Path) -> dict[str, str]:
    """Log in to the app of the Flask-Login recipe, and return what a browser sends from then on."""
    (recipe,) = ENGLISH.find("python", "LoginManager")
    app = done_by(
        recipe,
        secrets,
        **{name: getattr(flask, name) for name in ("Flask", "redirect", "request")},
        **{name: getattr(flask_login, name) for name in ("LoginManager", "login_user")},
        Path=Path,
        users=Users(),
    )["app"]
    client = app.test_client()
    assert client.post("/login", data={"name": "7"}).status_code == 302
    return {"Cookie": f"session={client.get_cookie('session').value}"}


def test_from_nothing_to_a_payload_for_a_user_of_a_flask_app(
    secrets: Path, vendor: VendorStandIn, tmp_path: Path, seen: Seen
) -> None:
    """The first recipe starts the service, and whoever logs in to the app of the Flask-Login recipe gets payloads."""
    cookie = session_cookie(secrets)
    service = Service(tmp_path)
    start = (
        start_block()
        .text.replace("python3 -m venv .venv && . .venv/bin/activate && pip install .", "set -eu")
        .replace("/etc/secrets", str(secrets))
    )
    start = start.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}").replace("authsvc serve", "exec authsvc serve")
    log = tmp_path / "log"
    with log.open("w") as out:
        variables = clean_environment() | PROGRAMS | {"XDG_STATE_HOME": str(tmp_path), "AUTHSVC_VENDOR_URL": vendor.url}
        service.process = subprocess.Popen(["bash", "-c", start], env=variables, stdout=out, stderr=out)
    try:
        wait_until(lambda: is_open(service, log), what=log.read_text)
        site = {"Origin": f"http://127.0.0.1:{service.port}"}
        for headers, status in ((site, 401), (site | cookie, 200)):
            assert service.ask("POST", "/v1/auth-payload", headers=headers).status == status
    finally:
        service.signal(signal.SIGTERM)
        service.signal(signal.SIGINT)  # a second one ends the drain
        service.stop()
        seen.texts.append(log.read_text())


def is_open(service: Service, log: Path) -> bool:
    assert service.process is not None
    assert service.process.poll() is None, log.read_text()
    try:
        return service.ask("GET", "/").status == 404
    except OSError:
        return False


@BOTH
@pytest.mark.parametrize("is_gateway", [False, True], ids=["cookie", "gateway"])
def test_behind_nginx(docs: Docs, is_gateway: bool, service: Service, secrets: Path, tmp_path: Path) -> None:  # noqa: FBT001
    """A page of the gateway's own site gets a payload and all that it loads; a user whom the client names is nobody."""
    needed.program("nginx")
    (block,) = (docs.page("login") if is_gateway else docs.readme).find("nginx")
    gateway, log = Service(tmp_path), tmp_path / "error.log"
    (tmp_path / "secret").write_text(f'set $gateway_secret "{made_up.GATEWAY_SECRET}";')
    temporary = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    with login_app() as app:
        here = {
            "listen 8080": f"listen 127.0.0.1:{gateway.port}",
            "127.0.0.1:8000": f"127.0.0.1:{service.port}",
            "127.0.0.1:5000": f"127.0.0.1:{app}",
        }
        here["/etc/nginx/gateway-secret"] = str(tmp_path / "secret")
        text = re.sub("|".join(map(re.escape, here)), lambda found: here[found[0]], block.text)
        server = f"server {{ listen 127.0.0.1:{gateway.port}; {text} }}" if is_gateway else text
        (tmp_path / "nginx.conf").write_text(
            f"""daemon off; master_process off; pid {tmp_path}/pid; error_log {log}; events {{}}
            http {{ access_log off; {temporary} {server} }}"""
        )
        gateway.process = subprocess.Popen(
            ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(log)],
            env=clean_environment() | PROGRAMS,
        )
        try:
            forged = {"Origin": f"http://127.0.0.1:{gateway.port}", "X-Forwarded-User": "ana"}
            user = {"Cookie": "session=ming"} if is_gateway else session_cookie(secrets)
            wait_until(lambda: is_listening(gateway.port), what=log.read_text)
            for headers, status in (({}, 401), (user, 200)):
                assert gateway.ask("POST", "/v1/auth-payload", headers=forged | headers).status == status
            for path in ("/problems/expired", "/client.js", "/client.d.ts", "/openapi.yaml"):
                assert gateway.ask("GET", path).status == 200
            for path in ("/readyz", "/client.js/x"):  # are not the service's
                answer = gateway.ask("GET", path)
                assert answer.status == 404 if is_gateway else b"\nhost: " in answer.body
        finally:
            gateway.stop()


def test_inside_your_own_flask_app(secrets: Path, tmp_path: Path) -> None:
    """Below a path of the app, a user of the app gets payloads there, and nobody else does."""
    (block,) = ENGLISH.find("python", "DispatcherMiddleware")
    script = f"""
import flask
app = flask.Flask("app")
app.secret_key = open({str(secrets / "flask-secret-key")!r}).readline().strip()

@app.post("/login")
def login():
    flask.session["_user_id"] = "7"
    return "", 204

{block.text}
client = app.test_client()
site = {{"Origin": "http://localhost"}}
paths = "/auth/client.js", "/auth/v1/auth-payload", "/login", "/auth/v1/auth-payload"
statuses = [client.open(path, method="GET" if "." in path else "POST", headers=site).status_code for path in paths]
open({str(tmp_path / "statuses")!r}, "w").write(repr(statuses))
"""
    variables = start_block().exports(secrets) | {"AUTHSVC_STORE_URL": f"sqlite://{tmp_path}/store/store.db"}
    done = subprocess.run(
        [sys.executable, "-"],
        input=script,
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "statuses").read_text() == "[200, 401, 204, 200]"


def test_the_apps_file_is_accepted(tmp_path: Path) -> None:
    """The example has two apps, one of them the default."""
    (block,) = ENGLISH.find("toml")
    number = iter(range(1, 10))
    path = tmp_path / "apps.toml"
    path.write_text(re.sub("…", lambda _: f"made-up-{next(number)}", block.text))
    first, second = apps_file.read(path)
    assert (first.appkey, first.default, second.default, second.flag) == (made_up.APPKEY, True, False, 1)
    assert second.previous_master_secret is not None
