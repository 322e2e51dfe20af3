"""How the text of one setting becomes its value."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from authsvc.bind import Bind
from authsvc.errors import SettingsError
from authsvc.secret import Secret
from authsvc.settings import loader, types
from authsvc.settings.model import AppSettings
from tests.support import made_up


@pytest.mark.parametrize("appkey", ["a", "0123456789abcdef01234567", "A-Z_09", "x" * 64])
def test_appkey(appkey: str) -> None:
    """Letters, digits, underscore and hyphen."""
    types.check_appkey(appkey)


@pytest.mark.parametrize("appkey", ["", "x" * 65, "a b", "a:b", "a&b", "a=b", "é", "a\n"])
def test_no_appkey(appkey: str) -> None:
    """What could be misread in a sign string or in a store's key is none."""
    with pytest.raises(ValueError, match="1 to 64 characters"):
        types.check_appkey(appkey)


@pytest.mark.parametrize("secret", ["x", "!~" * 64])
def test_master_secret(secret: str) -> None:
    """Visible ASCII."""
    types.check_master_secret(Secret(secret))


@pytest.mark.parametrize("secret", ["x" * 129, "a b", "a\tb", "a\n", "\ufeffa", "密", "a\x7f"])
def test_no_master_secret(secret: str) -> None:
    """What an editor or a copy brings in by accident is none of it."""
    with pytest.raises(ValueError, match="no space, line break or BOM"):
        types.check_master_secret(Secret(secret))


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"STATE_DIRECTORY": "/var/lib/authsvc:/other"}, "sqlite:////var/lib/authsvc/store.db"),
        ({"XDG_STATE_HOME": "/x"}, "sqlite:////x/authsvc/store.db"),
        ({"XDG_STATE_HOME": "x", "HOME": "/home/app"}, "sqlite:////home/app/.local/state/authsvc/store.db"),
        ({"HOME": "/home/app"}, "sqlite:////home/app/.local/state/authsvc/store.db"),
    ],
)
def test_default_store(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str) -> None:
    """In systemd's state folder, or the user's."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert types.default_store().reveal() == url
    assert Path(url.removeprefix("sqlite://")).is_absolute()


def test_no_default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have no home directory: then the setting is required, and that is no traceback."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)  # nobody has it, so the system knows no home either
    with pytest.raises(SettingsError) as refused:
        loader.load({"AUTHSVC_APPKEY": made_up.APPKEY, "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET}, AppSettings)
    assert refused.value.faults == [
        "AUTHSVC_STORE_URL: is required, because this user has no home directory for the default"
    ]


def test_host_and_port() -> None:
    """An address of the network, as `--bind` takes it."""
    read = TypeAdapter(types.HostPort).validate_python
    assert read("[::1]:9100") == Bind("::1", 9100)
    for text, words in (("unix:/run/a.sock", "must be HOST:PORT"), ("9100", "HOST:PORT"), ("", "is empty")):
        with pytest.raises(ValidationError, match=words):
            read(text)
