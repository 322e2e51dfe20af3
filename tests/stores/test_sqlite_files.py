"""The files of the SQLite store: which of this machine's users may do what with them."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from authsvc import clock
from authsvc.stores.sqlite import SqliteStore
from authsvc.stores.store import Store
from tests.stores.calls import CALLS, check_unavailable, works

SOMEBODY = 1  # whose id is next to root's
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can try it as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """A store in it that is not used yet."""
    with closing(SqliteStore(f"{folder}/store.db", now_ms=clock.now_ms)) as store:
        yield store


@contextmanager
def locked_by_somebody(folder: Path) -> Iterator[None]:
    """Have another user keep a lock of each kind on the folder, and on whatever he can open in it."""
    locks, ready = os.pipe()
    waits, done = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
            os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
            for path in (folder, *folder.iterdir()):
                with suppress(PermissionError):
                    file = os.open(path, os.O_RDONLY)
                    fcntl.flock(file, fcntl.LOCK_EX)
                    fcntl.lockf(file, fcntl.LOCK_SH)  # as SQLite's own; nobody may write beside it
            os.write(ready, b".")
            os.close(done)
            os.read(waits, 1)
        finally:
            os._exit(0)
    os.close(ready)
    try:
        assert os.read(locks, 1) == b"."
        yield
    finally:
        for end in (locks, waits, done):
            os.close(end)
        os.waitpid(child, 0)


@contextmanager
def as_somebody() -> Iterator[None]:
    """Be another user."""
    os.setegid(SOMEBODY)
    os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_link_in_the_place_of_the_lock(store: Store, folder: Path) -> None:
    """It is not followed: root would make or lock a file that somebody else has chosen."""
    (folder / ".store.db-lock").symlink_to(folder / "elsewhere")
    raised = check_unavailable(store, CALLS["add"])
    assert isinstance(raised.__cause__, OSError)
    assert not (folder / "elsewhere").exists()


def test_each_file_is_made_private(folder: Path) -> None:
    """One that has no more rights than it should does not hide another that has."""
    for _ in range(2):
        with closing(SqliteStore(f"{folder}/store.db", now_ms=clock.now_ms)) as store:
            store.ping()
            assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        (folder / ".store.db-lock").chmod(0o666)


@pytest.mark.parametrize("is_copied", [False, True])
def test_nobody_else_locks_it(store: Store, folder: Path, *, is_copied: bool) -> None:
    """Another user can keep nobody from the store, also if its files were readable for all when it was opened."""
    store.ping()
    if is_copied:
        store.close()
        for path in folder.iterdir():
            path.chmod(0o644)
        store.ping()
    with locked_by_somebody(folder):  # the fork closes it
        for call in CALLS.values():
            call(store)
            store.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_every_user_may_write_to(store: Store, folder: Path, mode: int) -> None:
    """It is refused, and named with what to do: who can put files there can make used payloads good again."""
    store.ping()
    store.close()
    folder.chmod(mode)
    raised = check_unavailable(store, CALLS["add"])
    assert str(raised.__cause__) == (
        f"every user may write to the folder {folder} (mode {mode:04o}), and could put a file in the place of the"
        " store's: give the store a folder of its own, of mode 0700"
    )
    folder.chmod(0o755)
    assert works(store)


def test_a_file_that_others_may_open_and_we_may_not_change(store: Store, folder: Path) -> None:
    """It is refused, and named with what to do."""
    store.ping()
    store.close()
    os.chown(folder, SOMEBODY, SOMEBODY)
    (folder / "store.db").chmod(0o666)
    (folder / ".store.db-lock").unlink()
    with as_somebody():
        raised = check_unavailable(store, CALLS["add"])
    assert str(raised.__cause__) == (
        f"other users may open {folder}/store.db (mode 0666), and could keep the store locked: it is not ours, so give"
        " it to the user that authsvc runs as"
    )


def test_root_makes_it_for_the_owner_of_the_folder(store: Store, folder: Path) -> None:
    """What `authsvc check` made as root the service can use, as itself."""
    os.chown(folder, SOMEBODY, SOMEBODY)
    assert store.add("key", "root's", keep_ms=60_000)
    store.close()
    assert {path.stat().st_uid for path in folder.iterdir()} == {SOMEBODY}
    with as_somebody():
        assert not store.add("key", "mine", keep_ms=60_000)
        store.close()
