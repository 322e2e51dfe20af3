"""The watch over the files that hold settings."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authsvc.settings import watcher
from authsvc.settings.model import Settings
from authsvc.settings.watcher import SETTLED_S, Watcher
from tests.support import made_up


def variables_with_files(folder: Path) -> dict[str, str]:
    (folder / "master").write_text(f"{made_up.MASTER_SECRET}\n")
    (folder / "session").write_text(f"{made_up.SESSION_KEY}\n")
    return {
        "AUTHSVC_APPKEY": made_up.APPKEY,
        "AUTHSVC_MASTER_SECRET_FILE": str(folder / "master"),
        "AUTHSVC_SESSION_KEY_FILE": str(folder / "session"),
    }


class Applied:
    """Collects the settings that a watch applies."""

    def __init__(self) -> None:
        self.secrets: list[str] = []

    def __call__(self, settings: Settings) -> None:
        self.secrets.append(settings.apps[0].master_secret.reveal())


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def linked(path: Path, text: str) -> None:
    target = path.parent / f"target-{len(text)}-{path.is_symlink()}"
    target.write_text(text)
    link = path.with_suffix(".link")
    link.symlink_to(target)
    link.rename(path)


@pytest.mark.parametrize("write", [in_place, renamed, linked])
def test_a_change_is_seen(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    """However the file is changed, and once for each change."""
    watch, applied = Watcher(variables_with_files(tmp_path)), Applied()
    watch.look(applied)
    assert applied.secrets == []
    for secret in (made_up.OTHER_MASTER_SECRET, made_up.MASTER_SECRET):
        write(tmp_path / "master", f"{secret}\n")
        watch.look(applied)
        watch.look(applied)
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET, made_up.MASTER_SECRET]


def test_a_folder_that_is_swapped(tmp_path: Path) -> None:
    """As Kubernetes does: the file is a link through a link to a folder."""
    variables = variables_with_files(tmp_path)
    for name, secret in (("one", made_up.MASTER_SECRET), ("two", made_up.OTHER_MASTER_SECRET)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "master").write_text(f"{secret}\n")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "master").unlink()
    (tmp_path / "master").symlink_to("..data/master")
    watch, applied = Watcher(variables), Applied()
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    watch.look(applied)
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET]


def test_a_change_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once for each content, without the content, and the settings stay; a restored file is used."""
    watch, applied = Watcher(variables_with_files(tmp_path)), Applied()
    with caplog.at_level(logging.WARNING, watcher.__name__):
        for content in (f"{made_up.OTHER_MASTER_SECRET} \n", ""):
            (tmp_path / "master").write_text(content)
            watch.look(applied)
            watch.look(applied)
        (tmp_path / "master").unlink()
        watch.look(applied)
        (tmp_path / "master").mkdir()
        watch.look(applied)
        assert applied.secrets == []
        (tmp_path / "master").rmdir()
        (tmp_path / "master").write_text(made_up.OTHER_MASTER_SECRET)
        watch.look(applied)
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET]
    unused = "changed settings are not used: AUTHSVC_MASTER_SECRET"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"{unused}: a masterSecret is 1 to 128 visible ASCII characters: no space, line break or BOM"),
        ("ERROR", f"{unused}_FILE: is empty"),
        ("ERROR", f"{unused}_FILE: cannot be read: No such file or directory"),
        ("ERROR", f"{unused}_FILE: cannot be read: Is a directory"),
        ("WARNING", "changed settings are in use"),
    ]


class Unreadable(dict[str, str]):
    """Variables whose file is missing during the next loads of all settings, and restored after each."""

    times = 0

    def __init__(self, variables: dict[str, str], path: Path) -> None:
        super().__init__(variables)
        self._path = path

    def __iter__(self) -> Iterator[str]:
        if self.times:
            self.times -= 1
            self._path.rename(self._path.with_suffix(".away"))
        return super().__iter__()

    def restore(self) -> None:
        self._path.with_suffix(".away").rename(self._path)


def test_a_failed_read_is_retried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The content was seen, so only a retry finds the secret; the cause is logged once, however often it fails."""
    variables = Unreadable(variables_with_files(tmp_path), tmp_path / "master")
    watch, applied = Watcher(variables), Applied()
    (tmp_path / "master").write_text(made_up.OTHER_MASTER_SECRET)
    variables.times = 2
    for _ in range(2):
        watch.look(applied)
        variables.restore()
        assert watch.broken() == ("AUTHSVC_MASTER_SECRET_FILE",)
    for _ in range(2):
        watch.look(applied)
        assert watch.broken() == ()
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET]
    assert caplog.messages == [
        "changed settings are not used: AUTHSVC_MASTER_SECRET_FILE: cannot be read: No such file or directory",
        "changed settings are in use",
    ]


def test_what_cannot_be_used_has_a_name(tmp_path: Path) -> None:
    """As long as it cannot: missing, unreadable or broken. One that is as before is as good as before."""
    variables = variables_with_files(tmp_path)
    watch, applied = Watcher(variables), Applied()
    path = tmp_path / "master"
    good = path.read_text()
    for spoil, name in (
        (lambda: path.write_text("\n"), "AUTHSVC_MASTER_SECRET_FILE"),
        (lambda: path.write_text("a b"), "AUTHSVC_MASTER_SECRET"),
        (path.unlink, "AUTHSVC_MASTER_SECRET_FILE"),
        (path.mkdir, "AUTHSVC_MASTER_SECRET_FILE"),
    ):
        assert watch.broken() == ()
        if spoil == path.mkdir:
            path.unlink()
        spoil()
        for _ in range(2):
            watch.look(applied)
            assert watch.broken() == (name,)
        if path.is_dir():
            path.rmdir()
        path.write_text(good)
        watch.look(applied)
    assert watch.broken() == ()
    assert applied.secrets == [made_up.MASTER_SECRET] * 4


def test_a_pipe_in_the_place_of_a_file(tmp_path: Path) -> None:
    """Nobody waits for it: the watch goes on, and names it."""
    watch, applied = Watcher(variables_with_files(tmp_path)), Applied()
    (tmp_path / "master").unlink()
    os.mkfifo(tmp_path / "master")
    watch.look(applied)
    assert watch.broken() == ("AUTHSVC_MASTER_SECRET_FILE",)


def test_a_file_that_is_being_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a secret looks like a complete one: a file is used when it is unchanged for a while, which is logged."""
    watch, applied = Watcher(variables_with_files(tmp_path)), Applied()
    half, whole = made_up.OTHER_MASTER_SECRET[:12], f"{made_up.OTHER_MASTER_SECRET}\n"
    (tmp_path / "master").write_text(half)
    paused_s: list[float] = []

    def pause(for_s: float) -> None:
        paused_s.append(for_s)
        (tmp_path / "master").write_text(whole)

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", pause)
        watch.look(applied)
    assert paused_s == [SETTLED_S]
    assert applied.secrets == []
    assert caplog.messages == ["changed settings are not used: a file is still being written"]
    watch.look(applied)
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET]


def test_huge_file_is_read_in_part(tmp_path: Path) -> None:
    """A watched file that grows without end costs the worker no more memory than the largest that can be used."""
    watch, applied = Watcher(variables_with_files(tmp_path)), Applied()
    os.truncate(tmp_path / "master", 2**40)  # without taking that room on the disk
    watch.look(applied)
    assert watch.broken() == ("AUTHSVC_MASTER_SECRET_FILE",)


def test_the_apps_file_is_watched(tmp_path: Path) -> None:
    """Apps come and go without a restart."""
    path = tmp_path / "apps.toml"
    path.write_text(f'[apps.{made_up.APPKEY}]\nmaster_secret = "{made_up.MASTER_SECRET}"\n')
    variables = {"AUTHSVC_APPS_FILE": str(path), "AUTHSVC_SESSION_KEY": made_up.SESSION_KEY}
    watch, applied = Watcher(variables), Applied()
    path.write_text(f'[apps.{made_up.APPKEY}]\nmaster_secret = "{made_up.OTHER_MASTER_SECRET}"\n')
    watch.look(applied)
    assert applied.secrets == [made_up.OTHER_MASTER_SECRET]
