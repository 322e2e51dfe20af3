"""Settings from the environment and from files."""

import os
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.errors import SettingsError
from authsvc.secret import Secret
from authsvc.settings.loader import MAX_FILE_BYTES, SECRETS, load, take, watched_files
from authsvc.settings.model import AppSettings, Settings
from tests.support import made_up

GOOD = {
    "AUTHSVC_APPKEY": made_up.APPKEY,
    "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
    "AUTHSVC_SESSION_KEY": made_up.SESSION_KEY,
}


def test_what_is_taken_is_gone() -> None:
    """From the environment; a copy has it, and what is not ours stays."""
    environ = GOOD | {"AUTHSVC_UNKNOWN": "x", "PATH": "/bin"}
    before = dict(environ)
    assert take(environ) == before
    assert environ == {"PATH": "/bin"}


def faults(variables: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(variables, Settings)
    assert not any(canary in str(raised.value) for canary in made_up.CANARIES)
    return raised.value.faults


def test_from_the_environment() -> None:
    """Every kind of value, with what is not ours let be."""
    settings = load(
        GOOD
        | {
            "PATH": "/bin",
            "AUTHSVC": "no prefix",
            "AUTHSVC_FLAG": "1",
            "AUTHSVC_RATE_LIMIT": "5/second",
            "AUTHSVC_ALLOWED_ORIGINS": "https://a.example, http://b.example:8080",
            "AUTHSVC_JWT_KEY": made_up.JWT_KEY,
            "AUTHSVC_JWT_ALGORITHMS": "HS256",
            "AUTHSVC_JWT_SINGLE_USE": "true",
            "AUTHSVC_SDK_OPTIONS": '{"debug": true}',
        },
        Settings,
    )
    assert settings.flag == 1
    assert str(settings.rate_limit) == "5/second"
    assert settings.allowed_origins == {"https://a.example", "http://b.example:8080"}
    assert settings.jwt_single_use
    assert settings.sdk_options == {"debug": True}
    (app,) = settings.apps
    assert (app.appkey, app.master_secret.reveal(), app.default) == (made_up.APPKEY, made_up.MASTER_SECRET, True)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_every_secret_may_be_a_file(tmp_path: Path, name: str) -> None:
    """Named by the same variable with _FILE; both at once are refused."""
    text = {"store_url": "redis://127.0.0.1:6379/0", "jwt_key": made_up.JWT_KEY}.get(name, "m" * 40)
    (tmp_path / "secret").write_text(f"{text}\n")
    variable = f"AUTHSVC_{name.upper()}"
    variables = {key: value for key, value in GOOD.items() if key != variable} | {
        f"{variable}_FILE": str(tmp_path / "secret")
    }
    if name == "jwt_key":
        variables["AUTHSVC_JWT_ALGORITHMS"] = "HS256"
    found = getattr(load(variables, Settings), name)
    assert (found[0] if isinstance(found, tuple) else found).reveal() == text
    assert faults(variables | {variable: text}) == [f"{variable}: is set together with its _FILE twin; set one of them"]


def test_no_other_setting_is_a_file(tmp_path: Path) -> None:
    """What is no secret has no twin."""
    (fault,) = faults(GOOD | {"AUTHSVC_FLAG_FILE": str(tmp_path)})
    assert fault.startswith("AUTHSVC_FLAG_FILE: is not a setting of authsvc")


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"made-up\n", "made-up"),
        (b"made-up\r\n", "made-up"),
        (b"made-up", "made-up"),
    ],
)
def test_one_newline_at_the_end_is_none_of_it(tmp_path: Path, content: bytes, secret: str) -> None:
    """As editors and echo write it; nothing else is removed."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    variables = {key: value for key, value in GOOD.items() if "MASTER" not in key}
    settings = load(variables | {"AUTHSVC_MASTER_SECRET_FILE": str(path)}, Settings)
    assert settings.apps[0].master_secret.reveal() == secret


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"made-up\n\n", "no space, line break or BOM"),
        (b" made-up\n", "no space, line break or BOM"),
        (b"\xef\xbb\xbfmade-up\n", "starts with a byte order mark"),
        (b"\xff", "is not UTF-8 text"),
        (b"x" * (MAX_FILE_BYTES + 1), "is larger than 65536 bytes"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Each fault names the variable, or the setting if it is its value that is wrong, and what is."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    variables = {key: value for key, value in GOOD.items() if "MASTER" not in key}
    reported = faults(variables | {"AUTHSVC_MASTER_SECRET_FILE": str(path)})
    named = "AUTHSVC_MASTER_SECRET: a masterSecret" if "BOM" in words else "AUTHSVC_MASTER_SECRET_FILE: "
    assert any(fault.startswith(named) and words in fault for fault in reported)


def test_as_large_as_a_file_may_be(tmp_path: Path) -> None:
    """It is read to its last byte; of one that is much larger no more is read than shows that it is."""
    path = tmp_path / "secret"
    path.write_bytes(b"k" * MAX_FILE_BYTES)
    variables = GOOD | {"AUTHSVC_ACCOUNT_KEY_FILE": str(path)}
    assert load(variables, Settings).account_key == Secret("k" * MAX_FILE_BYTES)
    os.truncate(path, 2**40)  # without taking that room on the disk
    assert faults(variables) == [f"AUTHSVC_ACCOUNT_KEY_FILE: is larger than {MAX_FILE_BYTES} bytes"]


def test_all_faults_at_once() -> None:
    """Nobody has to start the service once for each."""
    reported = faults(
        {
            "AUTHSVC_APPKEY": "two words",
            "AUTHSVC_FLAG": "2",
            "AUTHSVC_RATE_LIMIT": "many",
            "AUTHSVC_ALLOWED_ORIGINS": "*",
            "AUTHSVC_STORE_URL": "mysql://x",
            "AUTHSVC_LOG_LEVEL": "LOUD",
            "AUTHSVC_JWT_KEY": made_up.JWT_KEY,
            "AUTHSVC_MASTERSECRET": made_up.MASTER_SECRET,
            "AUTHSVC_ACCOUNT_KEY": "short",
        }
    )
    named = {fault.partition(":")[0].removeprefix("AUTHSVC_") for fault in reported}
    assert named == {
        "APPKEY", "FLAG", "RATE_LIMIT", "ALLOWED_ORIGINS", "STORE_URL", "LOG_LEVEL", "JWT_ALGORITHMS",
        "MASTER_SECRET", "MASTERSECRET", "ACCOUNT_KEY",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("AUTHSVC_MASTERSECRET", "; did you mean AUTHSVC_MASTER_SECRET?"),
        ("AUTHSVC_appkey", "; did you mean AUTHSVC_APPKEY?"),
        ("AUTHSVC_JWT_KEYS_FILE", "; did you mean AUTHSVC_JWT_KEY_FILE?"),
        ("AUTHSVC_", ""),
        ("AUTHSVC_APPS", "; did you mean AUTHSVC_APPS_FILE?"),
        ("AUTHSVC_ZZZZZZ", ""),
        ("AUTHSVC_MASTER_SECRET_FILE_FILE", "; did you mean AUTHSVC_MASTER_SECRET_FILE?"),
        ("AUTHSVC_SESSION_\u212aEY", "; did you mean AUTHSVC_SESSION_KEY?"),  # its lower case is a k
    ],
)
def test_an_unknown_name(name: str, suggestion: str) -> None:
    """A misspelt name is refused, with the one that is meant if there is one near."""
    (fault,) = faults(GOOD | {name: "x"})
    assert fault == f"{name}: is not a setting of authsvc{suggestion}"


@pytest.mark.parametrize("surrogate", [0xD800, 0xDCFF, 0xDFFF])
def test_bytes_that_are_no_text(surrogate: int) -> None:
    """A value that was not UTF-8 is refused, before it gets anywhere."""
    assert faults(GOOD | {"AUTHSVC_JWT_ISSUER": chr(surrogate)}) == ["AUTHSVC_JWT_ISSUER: is not UTF-8 text"]


def test_empty_is_not_unset() -> None:
    """A variable without a value is more likely a mistake than a wish."""
    assert faults(GOOD | {"AUTHSVC_JWT_ISSUER": ""}) == ["AUTHSVC_JWT_ISSUER: is empty; give it a value or unset it"]


def test_what_the_command_line_needs() -> None:
    """Signing needs no way to log in, and lets the service's settings be, but not unknown names."""
    settings = load({key: GOOD[key] for key in list(GOOD)[:2]} | {"AUTHSVC_FLAG": "1"}, AppSettings)
    assert settings.apps[0].flag == 1
    load(GOOD | {"AUTHSVC_RATE_LIMIT": "many"}, AppSettings)
    with pytest.raises(SettingsError):
        load(GOOD | {"AUTHSVC_X": "1"}, AppSettings)


def test_a_name_is_shown_on_one_line() -> None:
    """Whatever a variable is called: it forges no line of a log, and controls no terminal."""
    (fault,) = faults(GOOD | {"AUTHSVC_X\n\x1b[2J\udcff": "x"})
    assert fault.startswith(r"AUTHSVC_X\n\x1b[2J\udcff: is not a setting")
    (fault,) = faults(GOOD | {f"AUTHSVC_{'X' * 10_000}": "x"})
    assert len(fault) < 200


@pytest.mark.parametrize("name", ["VERIFIER_KEYS", "JWT_AUDIENCE", "MEDIA_HOSTS", "ALLOWED_ORIGINS", "GATEWAY_SECRET"])
@pytest.mark.parametrize("value", [",", " , ", "\n", "\r\n\n"])
def test_a_list_of_nothing_is_empty(name: str, value: str) -> None:
    """Nobody who sets a list means none: an audience of `,` would be none at all."""
    if name == "GATEWAY_SECRET" and "\n" not in value:
        value = "\n"  # its parts are lines
    assert faults(GOOD | {f"AUTHSVC_{name}": value}) == [f"AUTHSVC_{name}: is empty; give it a value or unset it"]


def test_a_key_is_a_whole_line() -> None:
    """Only a line break ends it: half a key would be a weak one."""
    keys = ["one\x0b\x0c\x1c\x85\u2028two", "three\rfour"]
    settings = load(GOOD | {"AUTHSVC_SESSION_KEY": f"{keys[0]}\r\n\n{keys[1]}\n"}, Settings)
    assert [key.reveal() for key in settings.session_key] == keys


VALUES = {
    "APPKEY": made_up.APPKEY,
    "MASTER_SECRET": made_up.MASTER_SECRET,
    "PREVIOUS_MASTER_SECRET": made_up.OTHER_MASTER_SECRET,
    "FLAG": "1",
    "STORE_URL": f"redis://user:{made_up.MASTER_SECRET}@localhost:6379/0",
    "VERIFIER_KEYS": f"{made_up.VERIFIER_KEY},{made_up.VERIFIER_KEY}",
    "RATE_LIMIT": "60/minute",
    "ALLOWED_ORIGINS": "https://app.example,http://[::1]:8080",
    "JWT_KEY": made_up.JWT_KEY,
    "JWT_JWKS_URL": "https://login.example:8443/jwks?x=y",
    "JWT_ALGORITHMS": "HS256",
    "JWT_AUDIENCE": "one,two",
    "JWT_ISSUER": "https://login.example/",
    "JWT_LEEWAY_S": "30",
    "JWT_SINGLE_USE": "true",
    "JWT_HEADER": "X-Jwt",
    "SESSION_KEY": f"{made_up.SESSION_KEY}\n{made_up.SESSION_KEY}",
    "SESSION_MAX_AGE_S": "60",
    "GATEWAY_SECRET": made_up.GATEWAY_SECRET,
    "GATEWAY_USER_HEADER": "X-User",
    "VENDOR_URL": "https://api.example:8443/",
    "MEDIA_HOSTS": "*.im.jiguang.cn,media.file.jpush.cn",
    "SDK_INTEGRITY": "sha384-AAAA",
    "SDK_OPTIONS": '{"debug": [1.5, "x"]}',
    "ACCOUNT_KEY": made_up.ACCOUNT_KEY,
    "DRAIN_DELAY_S": "5",
    "METRICS_BIND": "[::1]:9100",
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "json",
}
KNOWN = {f"AUTHSVC_{name.upper()}" for name in Settings.model_fields} | {
    f"AUTHSVC_{name.upper()}_FILE" for name in SECRETS
}
CUTS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(
            [
                "", "", " ", ",", "\n", "\r", "\t", "\x0b", "\x1b", "\x7f", "\u2028", "\ufeff", "\udcff", "٣", "极",
                "0", "9" * 9, "-", "+", ".", ":", "::", ":99999", "@", "/", "//", "?", "#", "%", "[", "]", "{", "}",
                '"', "\\ud800", "NaN", "1e999", "_", "*",
            ]
        )
        # Of surrogates an environment has only those by which Python keeps a byte that is not UTF-8, such as \udcff.
        | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    ),
    max_size=3,
)  # fmt: skip


@st.composite
def nearly_good(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a variable whose value would be good, cut and pasted a little; some names too."""
    name = draw(st.sampled_from(sorted(VALUES)))
    value = VALUES[name]
    for where, piece in draw(CUTS):
        place = int(where * len(value))
        value = value[:place] + piece + value[place + (not piece) :]
    ending = draw(st.sampled_from(["", "", "", "_FILE", "\n", "\u017f"]))
    return f"AUTHSVC_{name}{ending}", value


@given(st.lists(nearly_good(), max_size=6).map(dict))
@example({"AUTHSVC_SDK_OPTIONS": '{"a":' * 20_000})
@example({"AUTHSVC_SDK_OPTIONS": '{"a":NaN}'})
@example({"AUTHSVC_SDK_OPTIONS": '{"a":1e999}'})
@example({"AUTHSVC_SDK_OPTIONS": '{"a":"\\ud800"}'})
@example({"AUTHSVC_VENDOR_URL": "https://api.example:65536"})
@example({"AUTHSVC_VENDOR_URL": "https://[::::]"})
@example({"AUTHSVC_JWT_JWKS_URL": "https://login.example:65536/", "AUTHSVC_JWT_ALGORITHMS": "RS256"})
@example({"AUTHSVC_JWT_JWKS_URL": "https://[::::]/", "AUTHSVC_JWT_ALGORITHMS": "RS256"})
@example({"AUTHSVC_APPS_FILE": "\udcff"})
def test_any_environment_gives_settings_or_faults(changed: dict[str, str]) -> None:
    """Each fault is a line that names a variable and shows no secret; what is accepted passes a second reading too."""
    variables = GOOD | changed
    try:
        settings = load(variables, Settings)
    except SettingsError as refused:
        reported = refused.faults
    else:
        reported = []
        check_settings(settings, variables)
    unknown = variables.keys() - KNOWN
    shown = unknown | {name.encode("unicode_escape").decode() for name in unknown}
    for fault in reported:
        assert fault.isprintable()
        assert set(fault.partition(": ")[0].split(", ")) <= KNOWN | shown, fault
        assert not any(canary in fault for canary in made_up.CANARIES)


def check_settings(settings: Settings, variables: dict[str, str]) -> None:
    """Fail unless these can be the settings that the variables give."""
    assert variables.keys() <= KNOWN
    given_to = {name.removeprefix("AUTHSVC_").lower(): value for name, value in variables.items()}
    assert re.fullmatch("[0-9A-Za-z_-]{1,64}", settings.apps[0].appkey)
    assert settings.apps[0].master_secret.reveal() == given_to["master_secret"]
    assert settings.flag in {0, 1}
    assert 0 <= settings.jwt_leeway_s <= 300 >= settings.drain_delay_s >= 0
    for url in filter(None, (settings.vendor_url, settings.jwt_jwks_url, *settings.allowed_origins)):
        parts = urlsplit(url)
        assert parts.scheme in {"http", "https"}
        assert parts.hostname
        assert (parts.username, parts.port == 0) == (None, False)
    assert settings.sdk_options == orjson.loads(given_to.get("sdk_options", "{}"))
    lists = ("verifier_keys", "jwt_algorithms", "jwt_audience", "session_key", "gateway_secret", "media_hosts")
    assert all(getattr(settings, name) for name in lists if name in given_to)
    assert settings.jwt_key is None or settings.jwt_jwks_url is None
    assert settings.session_key or settings.gateway_secret or settings.jwt_key or settings.jwt_jwks_url


def test_watched_files(tmp_path: Path) -> None:
    """Every secret's file and the apps file."""
    variables = {"AUTHSVC_APPS_FILE": "/a/apps.toml", "AUTHSVC_JWT_KEY_FILE": "/b", "PATH": "/c", "AUTHSVC_FLAG": "1"}
    assert set(watched_files(variables)) == {Path("/a/apps.toml"), Path("/b")}


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """It gives its content once, or keeps its reader waiting for ever; what reads a secret once may take it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    variables = {name: value for name, value in GOOD.items() if "MASTER" not in name}
    for name in ("AUTHSVC_MASTER_SECRET_FILE", "AUTHSVC_APPS_FILE"):
        assert f"{name}: is a pipe or a device, but the service must read it repeatedly" in faults(
            variables | {name: str(path)}
        )
    writer = threading.Thread(target=path.write_text, args=(f"{made_up.MASTER_SECRET}\n",))
    writer.start()
    (app,) = load(variables | {"AUTHSVC_MASTER_SECRET_FILE": str(path)}, AppSettings).apps
    writer.join()
    assert app.master_secret.reveal() == made_up.MASTER_SECRET
