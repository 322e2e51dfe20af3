"""The command line: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import authsvc
from authsvc.cli import main
from authsvc.payloads import payload
from authsvc.payloads.apps import App, Apps
from authsvc.secret import Secret
from authsvc.stores import open_store
from tests.support import made_up
from tests.support.running import clean_environment
from tests.support.vendor_stand_in import UNKNOWN, Reply, VendorStandIn, vendor_stand_in

RANDOM_STR = "made-up-random-string-01"
VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parent / "vectors" / "signature.json").read_text())["tests"]
    if 20 <= len(vector["random_str"]) <= 36 and vector.get("result", "valid") == "valid"
]
COMMANDS = list(main.commands.values())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """One app, one way to log in, a store of the test's own, no vendor."""
    (tmp_path / "master").write_text(f"{made_up.MASTER_SECRET}\n")
    return {
        "AUTHSVC_APPKEY": made_up.APPKEY,
        "AUTHSVC_MASTER_SECRET_FILE": str(tmp_path / "master"),
        "AUTHSVC_SESSION_KEY": made_up.SESSION_KEY,
        "AUTHSVC_STORE_URL": f"sqlite://{tmp_path}/store.db",
        "AUTHSVC_VENDOR_URL": "http://127.0.0.1:9",
    }


def run(variables: Mapping[str, str], *arguments: str, stdin: str | bytes = "") -> Result:
    """Run a command in this process, with no variable of the suite's own."""
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("AUTHSVC_")}
    result = CliRunner().invoke(main, arguments, input=stdin, env=unset | dict(variables))
    assert not any(canary in result.output for canary in made_up.CANARIES)
    return result


def signed(age_ms: int = 0, **changes: object) -> str:
    issued = payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=RANDOM_STR,
        now_ms=now_ms() - age_ms,
    )
    return json.dumps(issued.to_dict() | changes)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_help(command: click.Command) -> None:
    """Each command's help has an example."""
    result = run({}, str(command.name), "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"authsvc {command.name}" in result.stdout


def test_no_secret_is_an_argument() -> None:
    """What is secret comes from a file or the environment; a process list shows arguments to everybody."""
    for command in COMMANDS:
        for parameter in command.params:
            name = str(parameter.name)
            assert not any(word in name for word in ("secret", "key", "token", "password")) or name in {
                "master_secret_file",
                "appkey",
            }


def test_version() -> None:
    """As in the package."""
    assert run({}, "--version").stdout == f"authsvc, version {authsvc.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["serve", "--workers", "0"],
        ["serve", "--bind", "nowhere"],
        *(["serve", "--socket-mode", mode] for mode in ("rw", "", "66", "0o660", "668", "1777", "-660", "660\n")),
        ["sign", "--timestamp-ms", "x"],
    ],
)
def test_misuse(variables: dict[str, str], arguments: list[str]) -> None:
    """Exit code 2, and the usage on stderr."""
    result = run(variables, *arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stdout == ""


def test_verify_directs_no_terminal(variables: dict[str, str]) -> None:
    """A payload to look at comes from anybody: a field's name is shown as text."""
    result = run(variables, "verify", stdin=json.dumps({"\x1b]0;owned\x07\n": 1}))
    assert result.exit_code == 1
    assert result.stderr.startswith("refused: invalid-request (880002): \\x1b]0;owned\\x07\\n: is not a known field")


@pytest.mark.parametrize("command", ["serve", "check", "sign"])
def test_bad_settings(command: str) -> None:
    """Exit code 2, and a line on stderr for each fault."""
    result = run({"AUTHSVC_FLAG": "7", "AUTHSVC_STORE_URL": "x"}, command)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) >= 4
    assert all(line.startswith("authsvc: AUTHSVC_") for line in result.stderr.splitlines())


def test_sign_and_verify(variables: dict[str, str]) -> None:
    """What the one prints the other accepts, with the remaining time."""
    printed = run(variables, "sign")
    assert printed.exit_code == 0
    fields = json.loads(printed.stdout)
    assert fields.keys() == {"appkey", "random_str", "signature", "timestamp"}
    result = run(variables, "verify", stdin=printed.stdout)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"valid: appkey {made_up.APPKEY}, expires in ")


def test_looking_uses_nothing_up(variables: dict[str, str]) -> None:
    """Verifying looks; with --claim it uses the payload up, and both see that afterwards."""
    assert [run(variables, "verify", stdin=signed()).exit_code for _ in range(2)] == [0, 0]
    other = signed()
    run(variables, "verify", stdin=signed(age_ms=60_000))  # the store is born
    time.sleep(0.002)
    fresh = signed(random_str=RANDOM_STR)
    assert run(variables, "verify", "--claim", stdin=fresh).exit_code == 0
    for arguments in (["verify"], ["verify", "--claim"]):
        result = run(variables, *arguments, stdin=fresh)
        assert result.exit_code == 1
        assert result.stderr == "refused: replayed (889001): the payload was already used\n"
    assert run(variables, "verify", stdin=other).exit_code == 0  # of the same random_str, and another timestamp


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        ("", "body: is not JSON"),
        ("{", "body: is not JSON"),
        (b"\xff\xfe\0", "body: is not JSON"),
        ("[]", "body: must be a JSON object"),
        ("x" * 70_000, "payload: is larger than 64 KiB"),
        ('{"appkey": "a"}', "signature: is missing"),
        (partial(signed, extra=1), "extra: is not a known field"),
        (partial(signed, signature="x"), "signature: must be 32 hexadecimal characters"),
        (partial(signed, random_str="x" * 19), "random_str: must be 20 to 36 characters long, this one has 19"),
        (partial(signed, random_str="x" * 20 + "&"), "random_str: may contain only"),
        (partial(signed, timestamp="1795456800"), "timestamp: is in seconds (10 digits)"),
        (partial(signed, appkey=made_up.OTHER_APPKEY), "unknown-appkey (880101)"),
        (partial(signed, signature="0" * 32), "bad-signature (880102)"),
        (partial(signed, age_ms=600_001), "expired (880106): timestamp: the payload is 600"),
        (partial(signed, age_ms=-40_000), "not-yet-valid (889002)"),
    ],
)
def test_the_first_rule_that_fails(
    variables: dict[str, str], stdin: str | bytes | Callable[[], str], words: str
) -> None:
    """Named on stderr, with exit code 1."""
    result = run(variables, "verify", stdin=stdin() if callable(stdin) else stdin)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_retired_secret_as_the_service_knows_it(variables: dict[str, str]) -> None:
    """A payload by the previous masterSecret is good if a worker signed with that lately, and bad if none did."""
    variables |= {
        "AUTHSVC_MASTER_SECRET": made_up.OTHER_MASTER_SECRET,
        "AUTHSVC_PREVIOUS_MASTER_SECRET": made_up.MASTER_SECRET,
    }
    del variables["AUTHSVC_MASTER_SECRET_FILE"]
    assert "bad-signature" in run(variables, "verify", stdin=signed()).output
    with closing(open_store(variables["AUTHSVC_STORE_URL"])) as store:
        Apps([App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))], now_ms()).reconcile(store, now_ms())
    assert run(variables, "verify", stdin=signed()).exit_code == 0


def test_store_unavailable(variables: dict[str, str]) -> None:
    """Whether a payload was used before cannot be known then."""
    variables["AUTHSVC_STORE_URL"] = "unix:///nonexistent/redis.sock"
    result = run(variables, "verify", "--claim", stdin=signed())
    assert result.exit_code == 1
    assert "temporarily-unavailable" in result.stderr


def test_with_a_secret_from_a_file(tmp_path: Path) -> None:
    """Without any setting: the appkey and the file are enough; without the appkey the usage is shown."""
    secret = tmp_path / "secret"
    secret.write_text(made_up.OTHER_MASTER_SECRET)
    state = {"XDG_STATE_HOME": str(tmp_path)}
    arguments = ("--appkey", made_up.OTHER_APPKEY, "--master-secret-file", str(secret))
    printed = run(state, "sign", *arguments)
    assert json.loads(printed.stdout)["appkey"] == made_up.OTHER_APPKEY
    assert run(state, "verify", "--master-secret-file", str(secret), stdin=printed.stdout).exit_code == 0
    result = run(state, "sign", "--master-secret-file", str(secret))
    assert result.exit_code == 2
    assert "--master-secret-file needs --appkey" in result.stderr


def test_one_of_several_apps(tmp_path: Path) -> None:
    """By its appkey."""
    apps = tmp_path / "apps.toml"
    apps.write_text(
        f'[apps.{made_up.APPKEY}]\nmaster_secret = "{made_up.MASTER_SECRET}"\n'
        f'[apps.{made_up.OTHER_APPKEY}]\nmaster_secret = "{made_up.OTHER_MASTER_SECRET}"\n'
    )
    variables = {"AUTHSVC_APPS_FILE": str(apps), "XDG_STATE_HOME": str(tmp_path)}
    assert run(variables, "sign").exit_code == 1
    printed = run(variables, "sign", "--appkey", made_up.OTHER_APPKEY)
    assert json.loads(printed.stdout)["appkey"] == made_up.OTHER_APPKEY


@pytest.mark.parametrize("random_str", ["x" * 19, "x" * 37, "a&b" * 8])
def test_sign_refuses_what_no_verifier_takes(variables: dict[str, str], random_str: str) -> None:
    """With the rule that is broken."""
    result = run(variables, "sign", "--random-str", random_str)
    assert result.exit_code == 1
    assert "random_str: " in result.stderr


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["tcId"]))
def test_vectors(tmp_path: Path, vector: Mapping[str, Any]) -> None:
    """Every vector whose random_str may be issued is signed to its digest on the command line too."""
    (tmp_path / "secret").write_text(vector["master_secret"])
    printed = run(
        {"XDG_STATE_HOME": str(tmp_path)},
        "sign",
        *("--appkey", vector["appkey"], "--master-secret-file", str(tmp_path / "secret")),
        *("--random-str", vector["random_str"], "--timestamp-ms", str(vector["timestamp_ms"])),
    )
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout)["signature"] == vector["signature"].lower()


def test_the_service_as_a_module(variables: dict[str, str]) -> None:
    """`python -m authsvc` is `authsvc`; a closed pipe is no traceback."""
    command = [sys.executable, "-m", "authsvc"]
    env = clean_environment() | variables
    printed = subprocess.run([*command, "sign"], env=env, capture_output=True, text=True, check=True, timeout=60)
    result = subprocess.run(
        [*command, "verify"], env=env, input=printed.stdout, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.startswith("valid: ")
    nothing = subprocess.run(
        [*command, "verify"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert (nothing.returncode, nothing.stderr) == (
        1,
        "refused: invalid-request (880002): body: is not JSON\n",
    )


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback that accepts one masterSecret."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda asked: (
            UNKNOWN if asked.credentials.endswith(f":{made_up.MASTER_SECRET}") else Reply(401)
        )
        yield stand_in


def test_check(variables: dict[str, str], stand_in: VendorStandIn) -> None:
    """Exit code 0 when all is well, with a line for each thing tried."""
    result = run(variables | {"AUTHSVC_VENDOR_URL": stand_in.url}, "check")
    assert result.exit_code == 0, result.output
    assert f"ok    appkey {made_up.APPKEY}: the vendor accepts the credentials ({stand_in.url})\n" in result.stdout


def test_check_fails(variables: dict[str, str]) -> None:
    """Exit code 1, and what to do on stderr."""
    result = run(variables | {"AUTHSVC_STORE_URL": "unix:///nonexistent/redis.sock"}, "check")
    assert result.exit_code == 1
    assert "FAIL  store: write failed" in result.stderr
    assert "see AUTHSVC_VENDOR_URL" in result.stderr
    assert "ok    settings: 1 app(s)" in result.stdout


@pytest.mark.parametrize(
    ("secret", "exit_code", "words"),
    [
        (made_up.MASTER_SECRET, 0, "new masterSecret: the vendor accepts the credentials"),
        (made_up.OTHER_MASTER_SECRET, 1, "new masterSecret: the vendor refuses this service's credentials"),
    ],
)
def test_check_proves_a_new_secret(
    variables: dict[str, str], stand_in: VendorStandIn, tmp_path: Path, secret: str, exit_code: int, words: str
) -> None:
    """Before anybody uses it; the one in use is tried too."""
    (tmp_path / "new").write_text(f"{secret}\n")
    variables["AUTHSVC_VENDOR_URL"] = stand_in.url
    result = run(variables, "check", "--master-secret-file", str(tmp_path / "new"))
    assert result.exit_code == exit_code
    assert words in result.output
    assert len(stand_in.asked) == 2


def test_check_offline(variables: dict[str, str], stand_in: VendorStandIn) -> None:
    """Exit code 0 without a vendor, who is not asked; a new secret cannot be proven so."""
    result = run(variables | {"AUTHSVC_VENDOR_URL": stand_in.url}, "check", "--offline")
    assert result.exit_code == 0, result.output
    assert "note  offline: only the settings and the store are checked\n" in result.stdout
    assert stand_in.asked == []
    result = run(variables, "check", "--offline", "--master-secret-file", variables["AUTHSVC_MASTER_SECRET_FILE"])
    assert result.exit_code == 2
    assert "--offline excludes" in result.stderr


def test_an_appkey_alone_proves_nothing(variables: dict[str, str]) -> None:
    """`check --appkey` without a secret to prove is a mistake, and not a check of everything."""
    result = run(variables, "check", "--appkey", made_up.APPKEY)
    assert result.exit_code == 2
    assert "--appkey is for --master-secret-file" in result.stderr


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "cannot be read: No such file or directory"), (b"", "is empty"), (b"a b", "a masterSecret is 1 to 128")],
)
@pytest.mark.parametrize("command", ["check", "sign", "verify"])
def test_a_bad_secret_file_is_the_options(
    variables: dict[str, str], tmp_path: Path, command: str, content: bytes | None, fault: str
) -> None:
    """The option is named and not a variable that its user has not set; a fault of a variable keeps its name."""
    if content is not None:
        (tmp_path / "new").write_bytes(content)
    appkey = ["--appkey", made_up.APPKEY] if command != "verify" else []
    result = run(variables, command, *appkey, "--master-secret-file", str(tmp_path / "new"), stdin=signed())
    assert result.exit_code == 2
    assert result.stderr.startswith(f"authsvc: --master-secret-file: {fault}")
    variables["AUTHSVC_FLAG"] = "7"
    result = run(variables, "sign", "--appkey", "a b", "--master-secret-file", str(tmp_path / "new"))
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
        "--appkey",
        "--master-secret-file",
        "AUTHSVC_FLAG",
    ]


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_proxy_that_is_none(variables: dict[str, str], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence that does not repeat it, for it may hold a password."""
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:{made_up.VERIFIER_KEY}@proxy.example:1080")
    result = run(variables | {"AUTHSVC_VENDOR_URL": "https://vendor.invalid"}, command)
    assert result.exit_code == 2
    assert result.stderr == "authsvc: HTTPS_PROXY: must be http:// or https:// and the proxy's host and port\n"
