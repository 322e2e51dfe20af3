"""Tests of the Dockerfile, compose.yaml and kubernetes.yaml: as far as it goes without an engine and a cluster."""

import fnmatch
import ipaddress
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import authsvc
from authsvc.settings import loader
from authsvc.settings.model import Settings
from authsvc.settings.types import PREFIX
from tests.conftest import bearer_of
from tests.deploy import dockerfile
from tests.deploy.dockerfile import Stage
from tests.support import made_up, needed
from tests.support.docs import ROOT
from tests.support.running import Service, clean_environment, free_port, wait_until

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
STAGES = dockerfile.read(DEPLOY / "Dockerfile")
NOBODY = "http://127.0.0.1:9"  # a proxy where nobody listens
SECRETIVE = re.compile("secret|password|token|key", re.IGNORECASE)


def final() -> Stage:
    return STAGES[-1]


def test_the_image_is_small_and_nobody_is_root() -> None:
    """Only the venv gets into the last stage, which names its images' versions and runs as user 10001."""
    assert len(STAGES) == 2
    assert all(re.search(r":\d+\.\d+", stage.image) for stage in STAGES)
    assert all(step.options.get("from") == STAGES[0].name for step in final().all("COPY"))
    assert [step.rest for step in final().all("USER")] == ["10001:10001"]
    assert final().all("RUN") == []
    assert [step for stage in STAGES for step in stage.all("ADD")] == []


def test_every_command_has_the_exec_form() -> None:
    """No shell stands between the service and its signals, and the health command needs none."""
    for name in ("HEALTHCHECK", "ENTRYPOINT", "CMD"):
        (step,) = final().all(name)
        assert step.arguments()
    assert "curl" not in (DEPLOY / "Dockerfile").read_text()


def test_no_secret_is_baked_in() -> None:
    """No build argument at all, no environment variable that is named like a secret, and little in the context."""
    assert [step for stage in STAGES for step in stage.all("ARG")] == []
    assert not any(SECRETIVE.search(step.rest) for stage in STAGES for step in stage.all("ENV"))
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    sources = [word for step in STAGES[0].all("COPY") for word in step.words()[:-1]]
    assert sorted(sources) == sorted(let)
    assert not any(fnmatch.fnmatch(name, pattern) for pattern in let for name in ("deploy/secrets/a", ".git", "tests"))


def test_every_dependency_is_pinned() -> None:
    """What is installed from elsewhere is checked by its hash; the package itself brings nothing along."""
    installs = [step.rest for step in STAGES[0].all("RUN") if "pip install" in step.rest]
    assert all("--require-hashes -r deploy/requirements.lock" in step or "--no-deps ." in step for step in installs)
    assert len(installs) == 2


class Image:
    """The image, built by hand under a folder, and run in a way that comes near to a container."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()

    def command(self, name: str) -> list[str]:
        (step,) = final().all(name)
        here = [dockerfile.rooted(self.root, argument) for argument in step.arguments()]
        return [
            argument.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}").replace(":8000", f":{self.port}")
            for argument in here
        ]

    def confined(self, command: list[str]) -> list[str]:
        """Return the command on a root that is read-only but for /tmp and the state, without any capability."""
        if os.geteuid() != 0:
            return command
        writable = {self.root / "tmp": "1777", self.root / "var/lib/authsvc": "0755"}
        mounts = "".join(f"mount -t tmpfs -o mode={mode} tmpfs {path}\n" for path, mode in writable.items())
        script = f"""set -eu
        mount --make-rprivate /
        mount -o remount,bind,ro /
        {mounts}
        ! touch {self.root}/written 2>/dev/null
        exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
        """
        return [needed.program("unshare"), "-m", "sh", "-c", script, "sh", *command]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The steps of the Dockerfile, done in a clean folder."""
    with tempfile.TemporaryDirectory(prefix="authsvc-image-") as folder:
        root = Path(folder)
        (root / "tmp").mkdir()
        dockerfile.build(STAGES, root)
        yield Image(root)


def test_the_image_serves(image: Image, service: Service) -> None:
    """Its steps work, it serves on a read-only root, and its health command tells a service from none."""
    variables = {
        name: str(dockerfile.rooted(image.root, value).replace("$PATH", os.environ["PATH"]))
        for step in final().all("ENV")
        for name, value in re.findall(r"(\w+)=(\S+)", step.rest)
    }
    service.port = image.port
    del service.variables["AUTHSVC_STORE_URL"]
    command = image.confined(image.command("ENTRYPOINT") + image.command("CMD"))
    health = image.command("HEALTHCHECK")
    assert subprocess.run(health, capture_output=True, check=False, timeout=60).returncode != 0
    with (service.folder / "service.log").open("ab") as log:
        given = clean_environment() | variables | service.variables | {"TMPDIR": str(image.root / "tmp")}
        service.process = subprocess.Popen(command, env=given, stdout=log, stderr=log)
    wait_until(service.is_alive, what=service.log)
    for proxied in ({}, {"HTTP_PROXY": NOBODY, "http_proxy": NOBODY, "ALL_PROXY": NOBODY}):
        done = subprocess.run(health, capture_output=True, check=False, timeout=60, env=clean_environment() | proxied)
        assert done.returncode == 0, done.stderr
    issued = service.ask("POST", "/v1/auth-payload", headers=bearer_of("ming"))
    verifier = {"Authorization": f"Bearer {made_up.VERIFIER_KEY}"}
    assert service.ask("POST", "/v1/auth-payload/verify", headers=verifier, body=issued.json()).status == 200
    assert service.stop() == 0
    assert "Traceback" not in service.log()
    assert not (image.root / "written").exists()


def test_compose_has_the_published_shape() -> None:
    """It is valid by the schema of the Compose specification, in which a directive that does not exist is a fault."""
    command = [needed.program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_services_are_hardened(name: str) -> None:
    """Each has a read-only root, no capability that it does not name, and a health command."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert name.startswith("authsvc-") or service["healthcheck"]["test"]  # the image of authsvc has its own
    assert ":latest" not in service["image"]
    assert ":" in service["image"]
    assert set(service.get("cap_add", [])) <= {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"}
    assert not any(
        SECRETIVE.search(value) for value in map(str, service.get("environment", {}).values()) if "/" not in value
    )


def test_the_images_have_the_version() -> None:
    """What is shown to be started is this version."""
    images = [COMPOSE["services"][name]["image"] for name in ("authsvc-1", "authsvc-2")]
    images += [container["image"] for container in pod()["containers"]]
    assert {image.rpartition(":")[2] for image in images} == {authsvc.__version__}


def test_compose_makes_no_container_depend_on_another_ones_network() -> None:
    """A network that is shared is gone, for those who still run, once its owner is made anew."""
    for service in COMPOSE["services"].values():
        assert "network_mode" not in service
        assert service["networks"]


def test_the_gateway_of_compose_finds_the_instances(tmp_path: Path) -> None:
    """Its command puts their fixed addresses, which are free for them, in the place of those under systemd."""
    script = COMPOSE["services"]["nginx"]["command"][2]
    (mounted,) = [entry for entry in COMPOSE["services"]["nginx"]["volumes"] if entry.startswith("./nginx.conf:")]
    assert mounted.split(":")[1] in script
    script = script.replace(mounted.split(":")[1], str(DEPLOY / "nginx.conf"))
    script = script.replace("/etc/nginx/conf.d", str(tmp_path)).replace("exec nginx", "exec echo")
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "-g daemon off;"
    upstreams = re.findall(
        r"^upstream authsvc\w* \{.*?^\}", (tmp_path / "authsvc.conf").read_text(), re.MULTILINE | re.DOTALL
    )
    (step,) = final().all("CMD")
    port = step.arguments()[2].rpartition(":")[2]
    services = [COMPOSE["services"][name] for name in ("authsvc-1", "authsvc-2")]
    addresses = [service["networks"]["inside"]["ipv4_address"] for service in services]
    assert len(upstreams) == 2
    for upstream in upstreams:
        assert re.findall(r"server (\S+)", upstream) == [f"{address}:{port}" for address in addresses]
    (pool,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    for address in map(ipaddress.ip_address, addresses):
        assert address in ipaddress.ip_network(pool["subnet"])
        assert address not in ipaddress.ip_network(pool["ip_range"])
    assert not any("command" in service for service in services)


def test_compose_gives_secrets_as_files() -> None:
    """Every secret that is asked for is declared, comes from deploy/secrets, and is where its variable looks for it."""
    declared = COMPOSE["secrets"]
    for service in COMPOSE["services"].values():
        given = [secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])]
        assert set(given) <= set(declared)
        for name, value in service.get("environment", {}).items():
            assert name.endswith("_FILE")
            assert value.removeprefix("/run/secrets/") in given
    assert all(entry["file"] == f"secrets/{name}" for name, entry in declared.items())
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().split()


def test_compose_leaves_time_for_the_drain() -> None:
    """The same time as under systemd."""
    stop_s = int(COMPOSE["services"]["authsvc-1"]["stop_grace_period"].removesuffix("s"))
    assert stop_s > Settings.model_fields["drain_delay_s"].default + graceful_s()


def graceful_s() -> int:
    (found,) = re.findall(r"^graceful_timeout = (\d+)", (DEPLOY / "gunicorn.conf.py").read_text(), re.MULTILINE)
    return int(found)


def test_the_redis_of_compose_starts(tmp_path: Path) -> None:
    """Its command works with a real Redis: the password is asked for, and in no list of processes."""
    redis, port = COMPOSE["services"]["redis"], free_port()
    folders = {"/run/secrets": tmp_path, "/tmp": tmp_path, "/data": tmp_path}  # noqa: S108 -- as the file has it
    script = re.sub("/run/secrets|/tmp|/data", lambda found: str(folders[found[0]]), redis["command"][2])
    script = script.replace("$$", "$")
    script = script.replace("--maxmemory ", f"--port {port} --bind 127.0.0.1 --maxmemory ", 1)
    (tmp_path / "redis-password").write_text(made_up.GATEWAY_SECRET)
    needed.program("redis-server")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(["sh", "-ec", script], stdout=log, stderr=log)
    try:
        check = redis["healthcheck"]["test"][1].replace("$$", "$").replace("/run/secrets/", f"{tmp_path}/")
        check = check.replace("redis-cli", f"redis-cli -p {port}")

        def is_healthy() -> bool:
            return subprocess.run(["sh", "-c", check], capture_output=True, check=False).returncode == 0

        wait_until(is_healthy, what=(tmp_path / "log").read_text)
        cli = ["redis-cli", "-p", str(port)]
        assert "NOAUTH" in subprocess.run([*cli, "ping"], capture_output=True, text=True, check=False).stdout
        given = os.environ | {"REDISCLI_AUTH": made_up.GATEWAY_SECRET}
        told = subprocess.run(
            [*cli, "config", "get", "maxmemory-policy"], env=given, capture_output=True, text=True, check=True
        )
        assert "noeviction" in told.stdout
        assert made_up.GATEWAY_SECRET not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("document", KUBERNETES, ids=lambda document: document["kind"])
def test_kubernetes_has_the_published_shape(document: dict[str, Any]) -> None:
    """It is valid by the published schema, in which a field that does not exist is a fault."""
    kubernetes_validate.validate(document, "1.30", strict=True)
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_finds_faults() -> None:
    """The test above can fail."""
    (deployment,) = [document for document in KUBERNETES if document["kind"] == "Deployment"]
    wrong = yaml.safe_load(yaml.safe_dump(deployment).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def pod() -> dict[str, Any]:
    (deployment,) = [document for document in KUBERNETES if document["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def test_kubernetes_hardens_the_pod() -> None:
    """By the restricted standard, and with a read-only root and no token of the cluster."""
    (container,) = pod()["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["runAsUser"] == 10001
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= container.keys()
    assert not any("subPath" in mount for mount in container["volumeMounts"])


def test_kubernetes_sets_no_name_that_is_refused(service: Service) -> None:
    """Its own variables for a Service named authsvc would end the start, so they are switched off."""
    assert pod()["enableServiceLinks"] is False
    service.variables["AUTHSVC_SERVICE_HOST"] = "10.0.0.1"
    assert service.launch("--bind", f"127.0.0.1:{service.port}").wait(60) == 2


def test_kubernetes_leaves_time_for_the_drain() -> None:
    """The grace period is longer than the drain delay and gunicorn's graceful timeout together."""
    (settings,) = [document["data"] for document in KUBERNETES if document["kind"] == "ConfigMap"]
    assert pod()["terminationGracePeriodSeconds"] > int(settings["AUTHSVC_DRAIN_DELAY_S"]) + graceful_s()


@pytest.mark.parametrize("source", ["compose", "kubernetes"])
def test_every_variable_is_a_setting(source: str) -> None:
    """What the files set exists, secrets as files."""
    if source == "compose":
        names = set(COMPOSE["services"]["authsvc-1"]["environment"])
    else:
        (settings,) = [document["data"] for document in KUBERNETES if document["kind"] == "ConfigMap"]
        names = set(settings) | {entry["name"] for entry in pod()["containers"][0]["env"]}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {
        f"{PREFIX}{name.upper()}_FILE" for name in loader.SECRETS
    }
    assert names <= known


@pytest.mark.parametrize("source", ["systemd", "compose", "kubernetes"])
def test_every_recipe_sets_what_a_page_of_the_readme_needs(source: str) -> None:
    """A page that logs in with `login: true` finds the account key everywhere."""
    texts = {"systemd": "authsvc.service", "compose": "compose.yaml", "kubernetes": "kubernetes.yaml"}
    text = (DEPLOY / texts[source]).read_text()
    assert set(re.findall(r"AUTHSVC_(\w+)_FILE", text)) >= {
        "MASTER_SECRET",
        "GATEWAY_SECRET",
        "VERIFIER_KEYS",
        "ACCOUNT_KEY",
    }


def test_the_selectors_meet() -> None:
    """Service, budget and network policy are about the pods of the deployment."""
    by_kind = {document["kind"]: document for document in KUBERNETES}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["Service"]["spec"]["selector"] == labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert by_kind["PodDisruptionBudget"]["spec"]["minAvailable"] < by_kind["Deployment"]["spec"]["replicas"]
