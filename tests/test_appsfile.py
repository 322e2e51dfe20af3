"""The apps file: what it holds, and how its faults read."""

from pathlib import Path

import pytest

from authsvc import appsfile
from tests import made_up
from tests.made_up import APPKEY, MASTER_SECRET, OTHER_APPKEY, OTHER_MASTER_SECRET

ONE = f'[apps.{APPKEY}]\nmaster_secret = "{MASTER_SECRET}"\n'
OTHER = f'[apps.{OTHER_APPKEY}]\nmaster_secret = "{OTHER_MASTER_SECRET}"\n'


def read(folder: Path, text: str | bytes) -> list[str]:
    """Write the file, read it, and return its faults."""
    path = folder / "apps.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"^AUTHSVC_APPS_FILE: ") as raised:
        appsfile.read(path)
    assert not any(canary in str(raised.value) for canary in made_up.CANARIES)
    return str(raised.value).splitlines()


def test_apps(tmp_path: Path) -> None:
    """In the file's order, each with what it says and the defaults of what it does not."""
    path = tmp_path / "apps.toml"
    path.write_text(f'{ONE}previous_master_secret = "{OTHER_MASTER_SECRET}"\nflag = 1\ndefault = true\n{OTHER}')
    one, other = appsfile.read(path)
    assert (one.appkey, one.flag, one.default) == (APPKEY, 1, True)
    assert one.master_secret.reveal() == MASTER_SECRET
    assert one.previous_master_secret is not None
    assert one.previous_master_secret.reveal() == OTHER_MASTER_SECRET
    assert (other.appkey, other.flag, other.default, other.previous_master_secret) == (OTHER_APPKEY, 0, False, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold tables named [apps.<appkey>]"),
        ("[apps]\n", "must hold tables"),
        ('apps = "x"\n', "must hold tables"),
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
        (f"{ONE}default = true\n{OTHER}default = true\n", "only one app may say default = true"),
        (f"{ONE}{ONE}", "cannot be read"),
        ("[apps]\na = 1\n", "apps.a: "),
    ],
)  # fmt: skip
def test_a_fault(tmp_path: Path, text: str | bytes, words: str) -> None:
    """Each names the file's setting, the table and the rule."""
    found = read(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("AUTHSVC_APPS_FILE: ")
    assert words in found[0]


def test_no_table(tmp_path: Path) -> None:
    """An app that is no table is told how to be one."""
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
        appsfile.read(tmp_path / "none.toml")
