"""The apps file: what it holds, and how its faults read."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authsvc.payloads.apps import App
from authsvc.settings import apps_file
from authsvc.settings.apps_file import MAX_BYTES
from tests.support import made_up
from tests.support.made_up import APPKEY, MASTER_SECRET, OTHER_APPKEY, OTHER_MASTER_SECRET

ONE = f'[apps.{APPKEY}]\nmaster_secret = "{MASTER_SECRET}"\n'
OTHER = f'[apps.{OTHER_APPKEY}]\nmaster_secret = "{OTHER_MASTER_SECRET}"\n'


def read(folder: Path, text: str | bytes) -> list[str]:
    """Write the file, read it, and return its faults."""
    path = folder / "apps.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"^AUTHSVC_APPS_FILE: ") as raised:
        apps_file.read(path)
    assert not any(canary in str(raised.value) for canary in made_up.CANARIES)
    return str(raised.value).splitlines()


def test_apps(tmp_path: Path) -> None:
    """In the file's order, each with its own values and the defaults for the others."""
    path = tmp_path / "apps.toml"
    path.write_text(f'{ONE}previous_master_secret = "{OTHER_MASTER_SECRET}"\nflag = 1\ndefault = true\n{OTHER}')
    one, other = apps_file.read(path)
    assert (one.appkey, one.flag, one.default) == (APPKEY, 1, True)
    assert one.master_secret.reveal() == MASTER_SECRET
    assert one.previous_master_secret is not None
    assert one.previous_master_secret.reveal() == OTHER_MASTER_SECRET
    assert (other.appkey, other.flag, other.default, other.previous_master_secret) == (OTHER_APPKEY, 0, False, None)


def test_largest_file(tmp_path: Path) -> None:
    """It is read to its last byte; of one that is much larger no more is read than shows that it is."""
    path = tmp_path / "apps.toml"
    path.write_text(f"{ONE}#".ljust(MAX_BYTES, "x"))
    assert [app.appkey for app in apps_file.read(path)] == [APPKEY]
    os.truncate(path, 2**40)  # without taking that room on the disk
    with pytest.raises(ValueError, match=rf"^AUTHSVC_APPS_FILE: is larger than {MAX_BYTES} bytes$"):
        apps_file.read(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must contain tables named [apps.<appkey>]"),
        ("[apps]\n", "must contain tables"),
        ('apps = "x"\n', "must contain tables"),
        (f"{ONE}[other]\n", "and nothing else"),
        ("[apps.a\n", "cannot be read"),
        (b"\xff", "cannot be read"),
        (f'{ONE}flag = 2\n', f"apps.{APPKEY}: flag: "),
        (f'{ONE}flag = "1"\n', f"apps.{APPKEY}: flag: "),
        (f'{ONE}default = 1\n', f"apps.{APPKEY}: default: "),
        (f'{ONE}master_secre = "x"\n', f"apps.{APPKEY}: master_secre: "),
        (f"[apps.{APPKEY}]\n", f"apps.{APPKEY}: master_secret: "),
        (f'[apps.{APPKEY}]\nmaster_secret = ""\n', f"apps.{APPKEY}: master_secret: is empty"),
        (f'[apps.{APPKEY}]\nmaster_secret = "{MASTER_SECRET} "\n', "no space, line break or BOM"),
        (f'[apps."a b"]\nmaster_secret = "{MASTER_SECRET}"\n', "apps.a b: an appkey is 1 to 64 characters"),
        (f"{ONE}default = true\n{OTHER}default = true\n", "only one app may have default = true"),
        (f"{ONE}{ONE}", "cannot be read"),
        ("[apps]\na = 1\n", "apps.a: "),
        (f'[apps."a\\nb"]\nmaster_secret = "{MASTER_SECRET}"\n', r"apps.a\nb: an appkey is 1 to 64 characters"),
        (f'[apps."{"a" * 5000}"]\nmaster_secret = "{MASTER_SECRET}"\n', f"apps.{'a' * 100}…: an appkey is"),
        (f'{ONE}"a\\u001b\\nb" = 1\n', rf"apps.{APPKEY}: a\x1b\nb: Extra inputs"),
        ("x = " + "[" * 100_000, "cannot be read: "),
        (f"{ONE}flag = {'9' * 5000}\n", "cannot be read: "),
        (f"#{'x' * MAX_BYTES}", "is larger than 4194304 bytes"),
    ],
)  # fmt: skip
def test_a_fault(tmp_path: Path, text: str | bytes, words: str) -> None:
    """Each names the file's setting, the table and the rule."""
    found = read(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("AUTHSVC_APPS_FILE: ")
    assert words in found[0]


def test_no_table(tmp_path: Path) -> None:
    """For an app that is not a table, the fault shows the right form."""
    assert read(tmp_path, "[apps]\na = 1\n") == ["AUTHSVC_APPS_FILE: apps.a: must be a table"]


def test_all_faults_at_once(tmp_path: Path) -> None:
    """In all tables."""
    found = read(tmp_path, f"{ONE}flag = 2\ndefault = 1\n{OTHER}flag = 3\n")
    assert [fault.rpartition(": ")[0] for fault in found] == [
        f"AUTHSVC_APPS_FILE: apps.{name}" for name in (f"{APPKEY}: flag", f"{APPKEY}: default", f"{OTHER_APPKEY}: flag")
    ]


def test_no_file(tmp_path: Path) -> None:
    """Named, with the system's reason."""
    with pytest.raises(ValueError, match=r"AUTHSVC_APPS_FILE: cannot be read: .*No such file"):
        apps_file.read(tmp_path / "none.toml")


KEYS = st.sampled_from([APPKEY, OTHER_APPKEY, '"a b"', '"\\n"', "''", "x", '"apps"', "é", '"\\uDFFF"', "a.b", "x" * 65])
SCALARS = st.sampled_from(
    [
        f'"{MASTER_SECRET}"', f"'{OTHER_MASTER_SECRET}'", f'"""\n{MASTER_SECRET}"""', f'"{MASTER_SECRET}\\n"',
        MASTER_SECRET, f'["{MASTER_SECRET}"]', f'{{a = "{MASTER_SECRET}"}}', '"x y"', '""', "0", "1", "2", "true",
        "false", "1.0", "nan", "inf", "1979-05-27", "[]", "{}", "0x1", "9" * 30,
    ]
)  # fmt: skip
LINES = (
    st.builds("[apps.{}]".format, KEYS)
    | st.builds(
        "{} = {}".format, st.sampled_from(["master_secret", "previous_master_secret", "flag", "default"]), SCALARS
    )
    | st.builds("{} = {}".format, KEYS, SCALARS)
    | st.sampled_from(["[apps]", "[[apps]]", "[", "#", "\ufeff", "\r", "\0"])
    | st.text(max_size=8)
)


@given(
    st.lists(LINES, max_size=8).map("\n".join).map(str.encode)
    | st.lists(LINES, max_size=4).map(lambda lines: "\n".join([ONE.strip(), *lines]).encode())
    | st.binary(max_size=40)
)
@example(f"{ONE}flag = 1\n{OTHER}default = true".encode())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_file_gives_apps_or_faults(tmp_path: Path, content: bytes) -> None:
    """Each fault is a line that names the setting and shows no secret; what is accepted keeps every rule."""
    path = tmp_path / "apps.toml"
    path.write_bytes(content)
    try:
        apps = apps_file.read(path)
    except ValueError as refused:
        reported = str(refused)
    else:
        reported = ""
        check_apps(apps, content)
    assert not any(canary in reported for canary in made_up.CANARIES)
    assert all(fault.startswith("AUTHSVC_APPS_FILE: ") and fault.isprintable() for fault in reported.splitlines())


def check_apps(apps: tuple[App, ...], content: bytes) -> None:
    """Fail unless these can be the apps of the file."""
    assert apps
    assert len({app.appkey for app in apps}) == len(apps) <= content.count(b"master_secret")
    assert sum(app.default for app in apps) <= 1
    for app in apps:
        assert re.fullmatch("[0-9A-Za-z_-]{1,64}", app.appkey)
        assert app.flag in (0, 1)
        for secret in filter(None, (app.master_secret, app.previous_master_secret)):
            assert secret.reveal().encode("ascii") in content
