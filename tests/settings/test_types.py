"""How the text of one setting becomes its value."""

from pathlib import Path
from typing import Any

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
    with pytest.raises(
        ValueError, match=r"^an appkey is 1 to 64 characters of A-Z a-z 0-9 _ - \(the vendor's have 24\)$"
    ):
        types.check_appkey(appkey)


@pytest.mark.parametrize("secret", ["x", "!~" * 64])
def test_master_secret(secret: str) -> None:
    """Visible ASCII."""
    types.check_master_secret(Secret(secret))


@pytest.mark.parametrize("secret", ["x" * 129, "a b", "a\tb", "a\n", "\ufeffa", "密", "a\x7f"])
def test_no_master_secret(secret: str) -> None:
    """What an editor or a copy brings in by accident is none of it."""
    expected = "^a masterSecret is 1 to 128 visible ASCII characters: no space, line break or BOM$"
    with pytest.raises(ValueError, match=expected):
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
    for text, words in (("9100", "HOST:PORT"), ("", "is empty")):
        with pytest.raises(ValidationError, match=words):
            read(text)


def test_vendor_url() -> None:
    """An origin, with the slash after it or without."""
    read = TypeAdapter(types.VendorUrl).validate_python
    for text in ("https://api.example", "http://127.0.0.1:8080/"):
        assert read(text) == text


OBJECT = 'must be a JSON object, such as {"debug": true}'
ORIGIN = "must be http:// or https:// and a host, without user name or path"
HOSTS = "must be lower-case host names without port; * may replace the first label"


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        (types.JsonObject, "{", OBJECT),
        (types.JsonObject, "[1]", OBJECT),
        (types.VendorUrl, "https://api.example/path", ORIGIN),
        (types.VendorUrl, "https://user@api.example", ORIGIN),
        (types.Hosts, "API.example", HOSTS),
        (types.Hosts, "api.example:443", HOSTS),
        (types.HostPort, "unix:/run/a.sock", "must be HOST:PORT or [IPV6]:PORT"),
    ],
)
def test_rule_of_a_refused_text(kind: Any, text: str, rule: str) -> None:
    """The fault is the rule, word for word."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(text)
    (error,) = refused.value.errors()
    assert str(error["ctx"]["error"]) == rule
