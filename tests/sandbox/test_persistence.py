"""The folder of `--state`."""

from pathlib import Path

import pytest

from authsvc.errors import SettingsError
from authsvc.sandbox import server
from authsvc.sandbox.files import KEPT, Files
from authsvc.sandbox.persistence import Contents, Folder
from authsvc.sandbox.state import Friend, State, Storage, User
from authsvc.sandbox.verification import Service
from tests.conftest import Clock
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import PASSWORD, Page
from tests.sandbox.test_rest import upload
from tests.support.running import wait_until


def test_a_restart(verifying: Service, clock: Clock, tmp_path: Path) -> None:
    """Accounts are still there, a picture too, and a URL of it that was given before."""
    folder = Folder(tmp_path / "state")
    before = Sandbox(verifying, clock, folder)
    before.ask("POST", "/v1/users/", json=[{"username": "ming", "password": "word"}])
    media_id = upload(before, b"text", kind="file").json()["media_id"]
    url = before.ask("GET", "/v1/resource", params={"mediaId": media_id}).json()["url"]
    before.close()
    folder.close()
    folder = Folder(tmp_path / "state")
    after = Sandbox(verifying, clock, folder, bind=before.bind)
    assert after.ask("POST", "/v1/users/", json=[{"username": "ming", "password": "word"}]).status_code == 403
    assert after.ask("GET", url.removeprefix(after.url)).content == b"text"
    after.close()
    folder.close()


def test_a_chat_goes_on_after_a_restart(verifying: Service, clock: Clock, tmp_path: Path) -> None:
    """What was said, who is in a group, and what somebody has missed."""
    folder = Folder(tmp_path)
    before = Sandbox(verifying, clock, folder)
    before.behave(seed={"users": [{"username": name, "password": PASSWORD} for name in ("ming", "omar")]})
    ming = Page(before, "ming")
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    sent = ming.says("are you there", single="omar", need_receipt=True)
    before.close()
    folder.close()
    folder = Folder(tmp_path)
    after = Sandbox(verifying, clock, folder, bind=before.bind)
    omar = Page(after, "omar")
    omar.do("sync_check", sync_key=0, sync_type=0)
    (conversation,) = omar.heard("sync_conversation")["messages"]
    assert [one["msg_id"] for one in conversation["msgs"]] == [sent["msg_id"]]
    assert [event["event_type"] for event in omar.heard("sync_event")["events"]] == [10]
    assert omar.says("back again", group=gid)["msg_id"] > sent["msg_id"]
    after.close()
    folder.close()


def test_saved_while_it_runs(verifying: Service, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that is killed loses what came in its last moments alone."""
    monkeypatch.setattr(server, "SAVE_S", 0.01)
    folder = Folder(tmp_path)
    sandbox = Sandbox(verifying, clock, folder)
    sandbox.ask("POST", "/v1/users/", json=[{"username": "ming", "password": "word"}])
    wait_until(lambda: (tmp_path / "state.json").exists() and bool(folder.load().users))
    sandbox.close()
    folder.close()


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    """All of it, and only its owner may read it."""
    folder = Folder(tmp_path / "deep" / "state")
    state = State(users={7: User(7, "key", "ming", "0" * 32, waiting={3}, friends={8: Friend("memo")})})
    Files(state.storage, folder.contents).upload_token("key", "ming")
    folder.save(state)
    file = tmp_path / "deep" / "state" / "state.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.load() == state
    written = file.stat().st_ino
    folder.save(state)
    assert file.stat().st_ino == written, "nothing was new"
    folder.close()


def test_one_sandbox_at_a_time(tmp_path: Path) -> None:
    """A second one would undo what the first one saves."""
    folder = Folder(tmp_path)
    with pytest.raises(SettingsError, match="--state: another sandbox uses"):
        Folder(tmp_path)
    folder.close()
    Folder(tmp_path).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"users": {"7": {}}}', '{"users": 1}'])
def test_a_file_of_something_else(tmp_path: Path, text: str) -> None:
    """It is named, with what to do."""
    (tmp_path / "state.json").write_text(text)
    folder = Folder(tmp_path)
    with pytest.raises(SettingsError, match=r"state\.json: is no state of this version; remove it to begin anew"):
        folder.load()
    folder.close()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """The reason is the system's; a file that cannot be read has one too."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"--state: cannot be used: .*file"):
        Folder(tmp_path / "file")
    (tmp_path / "state.json").mkdir()
    folder = Folder(tmp_path)
    with pytest.raises(SettingsError, match="Is a directory"):
        folder.load()
    folder.close()


def test_contents_are_bounded(tmp_path: Path) -> None:
    """What had to make room leaves no file behind."""
    contents = Contents(tmp_path)
    files = Files(Storage(), contents)
    for number in range(KEPT + 3):
        files.add("file", str(number), b"", number=number)
    assert len(contents) == KEPT
    assert set(contents) == {path.name for path in tmp_path.iterdir()}
    assert "qiniu/none" not in contents
