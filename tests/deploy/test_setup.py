"""The ten-minute set-up of docs/deploy.md, followed word for word in a clean folder that stands for the root."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from authsvc.settings import loader
from authsvc.settings.model import Settings
from tests.conftest import Seen
from tests.deploy import gateway as gateways
from tests.deploy.gateway import NAME, Gateway
from tests.support import canaries, made_up, needed
from tests.support.docs import ENGLISH, ROOT
from tests.support.running import Service, clean_environment, free_port, is_listening, wait_until
from tests.support.vendor_stand_in import Reply, url_of, vendor_stand_in

GUIDE = ENGLISH.page("deploy")
STEPS = [
    block.text
    for name in ("deploy", "upgrade", "secrets")
    for block in ENGLISH.page(name).blocks
    if block.mark == "step"
]
# What would change the machine itself, and what stands there in its place.
NOT_HERE = {"useradd ": "true useradd ", "userdel ": "true userdel ", " -g authsvc": ""}


class Host:
    """
    A folder in the root's place, a checkout beside it, and a PATH on which nginx and systemctl are about that folder.

    The program is a venv of its own, made as the guide says; ports are free ones in the place of those in the files.
    """

    def __init__(self, folder: Path, app: int, vendor: str) -> None:
        self.root, self.checkout = folder / "root", folder / "checkout"
        self.ports = {"8001": free_port(), "8002": free_port(), "5000": app, "443": free_port(), "80": free_port()}
        self.gateway = Gateway.__new__(Gateway)
        self.gateway.folder, self.gateway.port = self.root, self.ports["443"]
        for path in (
            "etc/nginx/conf.d",
            "etc/nginx/tls",
            "etc/systemd/system",
            "opt",
            "var/lib",
            "var/log/nginx",
            "run",
        ):
            (self.root / path).mkdir(parents=True)
        self.gateway.certificate = gateways.certificate(self.root / "etc/nginx/tls")
        self._check_out()
        self._set_nginx_up()
        programs = folder / "bin"
        programs.mkdir()
        systemctl = Path(__file__).with_name("systemctl.py")
        self._program(programs / "systemctl", f'{sys.executable} {systemctl} {self.root} "$@"')
        nginx = f"{needed.program('nginx')} -p {self.root} -c {self.root}/etc/nginx/nginx.conf"
        self._program(programs / "nginx", f'{nginx} -e {self.root}/run/nginx.log "$@"')
        (folder / ".curlrc").write_text(
            f'resolve = "{NAME}:{self.ports["443"]}:127.0.0.1"\ncacert = "{self.gateway.certificate}"\n'
        )
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.variables = clean_environment() | {"PATH": path, "HOME": str(folder), "AUTHSVC_VENDOR_URL": vendor}
        subprocess.run([str(programs / "nginx")], env=self.variables, check=True)

    def _check_out(self) -> None:
        """Copy what git has, with the paths, ports and time-outs in deploy/ as they are here."""
        for name in ("authsvc", "deploy"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "openapi.yaml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in ("nginx.conf", "authsvc.service"):
            path = self.checkout / "deploy" / name
            path.write_text(gateways.patient(self.here(path.read_text())))

    def _set_nginx_up(self) -> None:
        """Write what Debian's nginx.conf has, as far as it matters."""
        user = "user root root;" if os.geteuid() == 0 else ""
        temporary = " ".join(
            f"{name}_temp_path {self.root}/run/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        (self.root / "etc/nginx/nginx.conf").write_text(
            f"{user} worker_processes 1; pid {self.root}/run/nginx.pid; error_log {self.root}/run/nginx.log;\n"
            "events {}\n"
            f"http {{ {temporary} include {self.root}/etc/nginx/conf.d/*.conf; }}\n"
        )

    def _program(self, path: Path, command: str) -> None:
        path.write_text(f"#!/bin/sh\nexec {command}\n")
        path.chmod(0o755)

    def here(self, text: str) -> str:
        """Return a text with its paths and ports as they are here."""
        text = text.replace("127.0.0.1:1%i", "127.0.0.2:%i")  # the free ports here are above 20000
        text = re.sub(r"(?<![\w./])/(?=(etc|opt|var)/)", f"{self.root}/", text)
        text = re.sub(r"\b(8001|8002|5000)\b", lambda found: str(self.ports[found[0]]), text)
        text = re.sub(r"listen (443|80)\b", lambda found: f"listen 127.0.0.1:{self.ports[found[1]]}", text)
        return text.replace("https://app.example/", f"https://app.example:{self.ports['443']}/")

    def follow(self, step: str, typed: str = "") -> str:
        """Do a step of the guide in a shell that stops at the first failure; return what it prints."""
        text = self.here(step)
        for old, new in NOT_HERE.items():
            text = text.replace(old, new)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.checkout,
            env=self.variables,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in (self.root / "run").glob("*.log"))

    def stop(self) -> None:
        """End what the guide has started."""
        for path in (self.root / "run").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGTERM)
        for port in self.ports.values():
            if port != self.ports["5000"]:
                wait_until(lambda port=port: not is_listening(port))  # type: ignore[misc]


@pytest.fixture
def host(seen: Seen) -> Iterator[Host]:
    """A host with nothing but nginx's own configuration, a certificate and the app."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authsvc-host-")))
        app = stack.enter_context(gateways.login_app())
        vendor = stack.enter_context(vendor_stand_in())
        vendor.reply = lambda asked: (
            Reply.json([{}], status=201) if asked.method == "POST" else Reply.json({"url": url_of(asked)}, Date="")
        )
        host = Host(folder, app, vendor.url)
        stack.callback(host.stop)
        yield host
        seen.texts.append(host.logs())


def issued(host: Host) -> dict[str, str]:
    answer = host.gateway.ask("POST", "/v1/auth-payload", headers={"Cookie": "session=ming"})
    assert answer.status == 200, answer
    return {name: str(value) for name, value in answer.json().items()}


def verified(host: Host, payload: dict[str, str]) -> int:
    key = (host.root / "etc/authsvc/verifier-keys").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    return host.gateway.ask("POST", "/v1/auth-payload/verify", headers=headers, body=payload).status


def test_word_for_word(host: Host) -> None:
    """Every step works, a user of the app has payloads at its end, and a new masterSecret is followed live."""
    install, write_secrets, check, start, open_gateway, restart, upgrade, uninstall, live, change = STEPS
    host.follow(install)
    host.follow(write_secrets, typed=f"{made_up.MASTER_SECRET}\n")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (host.root / "etc/authsvc").iterdir())
    with (host.root / "etc/authsvc/authsvc.env").open("a") as settings:
        settings.write("AUTHSVC_DRAIN_DELAY_S=0\n")  # only to save time here
        settings.write(f"AUTHSVC_VENDOR_URL={host.variables['AUTHSVC_VENDOR_URL']}\n")
    told = host.follow(check)
    assert "FAIL" not in told
    assert "the vendor accepts the credentials" in told
    assert host.follow(start).count('"ready":true') == 2
    assert '"alive":true' in host.follow(open_gateway)
    figures = urlopen(f"http://127.0.0.2:{host.ports['8001']}/metrics", timeout=60).read().decode()
    assert "authsvc_requests_total" in figures
    booted = host.gateway.ask("POST", "/v1/bootstrap", headers={"Cookie": "session=ming"}).json()
    assert booted["login"]["username"] == "ming"  # type: ignore[index] # what `login: true` of a page needs
    payload = issued(host)
    assert verified(host, payload) == 200
    host.follow(upgrade)
    host.follow(restart)
    assert verified(host, payload) == 409
    host.follow(live)
    assert verified(host, issued(host)) == 200
    (host.root / "etc/authsvc/master-secret.new").write_text(f"{made_up.OTHER_MASTER_SECRET}\n")
    host.follow(change)
    wait_until(lambda: host.logs().count("changed settings are in use") == 4, what=host.logs)
    assert verified(host, issued(host)) == 200
    assert not canaries.is_shown_in(host.logs())
    answer = host.gateway.ask("POST", "/v1/auth-payload", headers={"X-Forwarded-User": "ming"})
    assert answer.status == 401
    host.follow(uninstall)
    assert not any(is_listening(host.ports[port]) for port in ("8001", "8002"))
    assert [path for path in host.root.rglob("*authsvc*") if host.root / "run" not in path.parents] == []


def test_the_drop_in_is_accepted(tmp_path: Path) -> None:
    """systemd takes the unit with what the guide puts beside it."""
    program = tmp_path / "authsvc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = (ROOT / "deploy/authsvc.service").read_text().replace("/opt/authsvc/bin/authsvc", str(program))
    (tmp_path / "authsvc@8001.service").write_text(unit)
    (step,) = [step for step in STEPS if "live.conf" in step]
    (drop_in,) = re.findall(r"<<'END'\n(.*?)^END$", step, re.DOTALL | re.MULTILINE)
    folder = tmp_path / "authsvc@8001.service.d"
    folder.mkdir()
    for text, complaint in ((drop_in, ""), (drop_in.replace("Environment", "Enviroment"), "Enviroment")):
        (folder / "live.conf").write_text(text)
        command = [needed.program("systemd-analyze"), "verify", str(tmp_path / "authsvc@8001.service")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert complaint in done.stderr
        assert complaint or done.stderr == ""


def test_the_login_in_node() -> None:
    """With a real Express, and a session as its session middleware gives it."""
    (block,) = GUIDE.find("js", "/auth/check")
    peers = ROOT / "bench" / "peers"
    if not (peers / "node_modules" / "express").is_dir():
        needed.do_without("no npm packages in bench/peers here")
    script = f"""
    import express from "express";
    const app = express();
    app.use((request, _response, next) => {{
      request.session = request.headers.cookie ? {{ userId: 7 }} : {{}};
      next();
    }});
    {block.text}
    const server = app.listen(0, "127.0.0.1", async () => {{
      const told = [];
      for (const headers of [{{}}, {{ cookie: "sid=1" }}]) {{
        const answer = await fetch(`http://127.0.0.1:${{server.address().port}}/auth/check`, {{ headers }});
        told.push([answer.status, answer.headers.get("x-user")]);
      }}
      console.log(JSON.stringify(told));
      process.exit();
    }});
    """
    command = [needed.program("node"), "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=peers, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == '[[401,null],[200,"7"]]\n', done.stderr


def test_every_file_is_named() -> None:
    """The page lists each file of the folder."""
    files = {path.name for path in (ROOT / "deploy").iterdir() if path.suffix not in {".md", ".dockerignore"}}
    assert {name for name in files if f"(../deploy/{name})" not in GUIDE.text} <= {
        "secrets",
        "tls",
        "authsvc.env",
        "__pycache__",
    }


def test_every_alert_has_its_runbook() -> None:
    """What an alert names is a chapter of the documentation."""
    named = re.findall(r'runbook: "docs/(\w+)\.md: (.+)"', (ROOT / "deploy/alerts.yaml").read_text())
    assert len(named) == (ROOT / "deploy/alerts.yaml").read_text().count('runbook: "')
    for page, chapter in named:
        assert chapter in {title for _, title in ENGLISH.page(page).headings}


def test_the_secrets_of_compose_are_all_made(tmp_path: Path) -> None:
    """The step for containers writes every file that compose.yaml asks for."""
    (step,) = GUIDE.find("sh", "docker compose up")
    text = re.sub(r"^(chown.*|docker.*)$", "true", step.text, flags=re.MULTILINE).replace("cd deploy", "true")
    done = subprocess.run(["bash", "-euc", text], cwd=tmp_path, input=made_up.MASTER_SECRET, text=True, check=False)
    assert done.returncode == 0
    declared = set(re.findall(r"file: secrets/([\w-]+)", (ROOT / "deploy/compose.yaml").read_text()))
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == declared
    service = Service(tmp_path)
    service.variables["AUTHSVC_STORE_URL_FILE"] = str(tmp_path / "secrets/store-url")
    del service.variables["AUTHSVC_STORE_URL"]
    assert loader.load(service.variables, Settings).store_url.reveal().endswith("@redis:6379/0")
