"""The SQLite store: its file, what becomes of it, and what can be wrong with it."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from authsvc.errors import MemoryLost, StoreUnavailable
from authsvc.stores.sqlite import FORGOTTEN, LATER_MS, SqliteStore
from authsvc.stores.sqlite_files import Files
from authsvc.stores.store import Store
from tests.conftest import Clock
from tests.stores.calls import CALLS, check_unavailable, works
from tests.support.running import wait_until

BORN_MS = 1_700_000_000_000
MINUTE_MS = 60_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store's file will be."""
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock(BORN_MS)


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SqliteStore]:
    """A store that is not used yet."""
    with closing(SqliteStore(str(path), now_ms=clock)) as store:
        yield store


def look(path: Path, query: str) -> list[tuple[object, ...]]:
    """Look into the file behind the store's back."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        return connection.execute(query).fetchall()


def born_ms(store: Store) -> int:
    """Return the store's birth mark."""
    with pytest.raises(MemoryLost) as lost:
        store.add("asked", "x", keep_ms=1, since_ms=0)
    return lost.value.born_ms


def run(script: str, path: Path) -> "subprocess.Popen[str]":
    """Start a process of its own that has a store at `path`; it is talked to by lines."""
    prelude = (
        "import os, resource, signal, sys\n"
        "from authsvc import clock\n"
        "from authsvc.errors import StoreUnavailable\n"
        "from authsvc.stores.sqlite import SqliteStore\n"
        f"store = SqliteStore({str(path)!r}, now_ms=clock.now_ms)\n"
    )
    return subprocess.Popen([sys.executable, "-c", prelude + script], stdin=-1, stdout=-1, text=True, bufsize=1)


def claims(store: Store, key: str, since_ms: int) -> bool:
    """Return whether the store accepts a claim, of which each is another's."""
    try:
        return store.add(key, os.urandom(8).hex(), keep_ms=MINUTE_MS, since_ms=since_ms)
    except (MemoryLost, StoreUnavailable):
        return False


def test_opening_does_nothing(store: SqliteStore, path: Path) -> None:
    """A store touches the disk when it is first used, not when it is made."""
    assert not path.parent.exists()
    store.ping()
    assert path.exists()


def test_only_the_owner_may_look(store: SqliteStore, path: Path) -> None:
    """The folder is made with mode 0700, and the file and its log with 0600."""
    store.ping()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_every_folder_is_made(tmp_path: Path) -> None:
    """The store's own folder and those above it, as on a machine where nothing of the user's is there yet."""
    with closing(SqliteStore(f"{tmp_path}/one/two/store.db", now_ms=lambda: BORN_MS)) as store:
        assert works(store)


def test_write_ahead_log(store: SqliteStore, path: Path) -> None:
    """The file is in WAL mode and has the version of its tables."""
    store.ping()
    assert look(path, "PRAGMA journal_mode") == [("wal",)]
    assert look(path, "PRAGMA user_version") == [(1,)]


def test_entries_are_kept_as_long_as_asked(store: SqliteStore, path: Path) -> None:
    """Each kind of entry expires `keep_ms` after it was made; a counter after its first hit."""
    store.add("claim", "x", keep_ms=1_000)
    store.put("text", "x", keep_ms=2_000)
    store.count({"counter": 1}, keep_ms=3_000)
    store.count({"counter": 1}, keep_ms=9_000)
    assert dict(look(path, "SELECT key, expires_ms - 1700000000000 FROM entry")) == {  # type: ignore[arg-type] # pairs
        "claim": 1_000,
        "text": 2_000,
        "counter": 3_000,
    }


def test_remembers_longer_than_asked(store: SqliteStore, clock: Clock) -> None:
    """An expired claim still counts until a later write deletes it."""
    store.add("key", "first", keep_ms=1_000)
    clock.now_ms += 1_000
    assert not store.add("key", "second", keep_ms=1_000)
    assert store.add("key", "second", keep_ms=1_000)


def test_a_claim_made_again_is_kept_longer(store: SqliteStore, clock: Clock) -> None:
    """From the latest time that its claimant made it; never shorter, and not by somebody who lost."""
    assert store.add("key", "mine", keep_ms=2_000)
    clock.now_ms += 1_000
    assert store.add("key", "mine", keep_ms=2_000)
    assert store.add("key", "mine", keep_ms=1)
    assert not store.add("key", "other", keep_ms=MINUTE_MS)
    clock.now_ms += 1_999
    store.ping()
    assert store.get("key") == "mine"
    clock.now_ms += 1
    store.ping()
    assert store.get("key") is None


def test_a_clock_that_went_ahead_and_came_back(store: SqliteStore, path: Path, clock: Clock) -> None:
    """What was forgotten meanwhile is not claimed again; claims that are newer, and those of another kind, are made."""
    other = SqliteStore(str(path), now_ms=clock)

    def claim(key: str, keep_ms: int) -> bool:
        return other.add(key, "again", keep_ms=keep_ms, since_ms=clock.now_ms)

    store.ping()
    clock.now_ms += 5_000
    assert store.add("verify:1", "first", keep_ms=MINUTE_MS, since_ms=clock.now_ms)
    assert store.add("jti:1", "first", keep_ms=60 * MINUTE_MS, since_ms=clock.now_ms)
    clock.now_ms += 60 * MINUTE_MS
    store.ping()
    assert look(path, "SELECT count(*) FROM entry") == [(0,)]
    clock.now_ms -= 60 * MINUTE_MS
    for key, keep_ms in (("verify:1", MINUTE_MS), ("verify:2", MINUTE_MS), ("jti:1", 60 * MINUTE_MS)):
        with pytest.raises(MemoryLost) as lost:
            claim(key, keep_ms)
        assert lost.value.born_ms == clock.now_ms + LATER_MS
    clock.now_ms += LATER_MS
    with pytest.raises(MemoryLost):
        claim("verify:3", MINUTE_MS)
    clock.now_ms += 1
    assert claim("verify:4", MINUTE_MS)
    other.close()


@pytest.mark.parametrize("ahead_ms", [60 * MINUTE_MS, 8 * 60 * MINUTE_MS, 3_650 * 24 * 60 * MINUTE_MS])
def test_a_clock_that_was_ahead_for_long(store: SqliteStore, clock: Clock, ahead_ms: int) -> None:
    """What was claimed by a clock far ahead, and forgotten, refuses no claim that is made after it is set right."""

    def claim(key: str) -> bool:
        return store.add(key, os.urandom(8).hex(), keep_ms=11 * MINUTE_MS, since_ms=clock.now_ms)

    store.ping()
    clock.now_ms += 1
    right_ms = clock.now_ms
    assert claim("verify:before")
    clock.now_ms += ahead_ms
    for number in range(60):  # an hour of that
        clock.now_ms += MINUTE_MS
        assert claim(f"verify:{number}")
    clock.now_ms = right_ms
    with pytest.raises(MemoryLost):
        claim("verify:before")
    clock.now_ms += 11 * MINUTE_MS
    assert claim("verify:after")


@pytest.mark.parametrize(("first_ms", "again_ms"), [(-1, 0), (0, -1)])
def test_claim_forgotten_in_the_hour_beside(store: SqliteStore, clock: Clock, first_ms: int, again_ms: int) -> None:
    """Two claims on one payload may expire in different hours; the second is refused after the first is deleted."""
    store.ping()
    clock.now_ms += 5_000
    since_ms = clock.now_ms
    hour_ms = (since_ms // (60 * MINUTE_MS) + 1) * 60 * MINUTE_MS

    def claim(value: str, expires_ms: int) -> bool:
        return store.add("verify:1", value, keep_ms=expires_ms - clock.now_ms, since_ms=since_ms)

    assert claim("first", hour_ms + first_ms)
    clock.now_ms = hour_ms
    store.ping()
    assert store.get("verify:1") is None
    clock.now_ms = since_ms
    with pytest.raises(MemoryLost):
        claim("again", hour_ms + again_ms)


def test_size_is_bounded(store: SqliteStore, path: Path, clock: Clock) -> None:
    """Of entries that live a second, written one a millisecond, a second's worth is there, and never less."""
    for number in range(5_000):
        store.put(f"key:{number}", "x", keep_ms=1_000)
        assert number < 999 or store.get(f"key:{number - 999}") == "x"
        clock.now_ms += 1
    assert look(path, "SELECT count(*) FROM entry") == [(1_000,)]


def test_size_is_bounded_after_a_burst(store: SqliteStore, path: Path, clock: Clock) -> None:
    """What a burst has left behind goes with the writes that follow it, a bounded number with each."""
    store.count({f"key:{number}": 1 for number in range(1_000)}, keep_ms=1_000)
    clock.now_ms += 1_000
    for number in range(1, 10):
        store.ping()
        assert look(path, "SELECT count(*) FROM entry") == [(1_000 - number * FORGOTTEN,)]


def test_counting_keeps_up_with_itself(store: SqliteStore, path: Path, clock: Clock) -> None:
    """Windows of many users, one after the other, leave no more than two windows behind."""
    for window in range(5):
        store.count({f"{window}:{number}": 1 for number in range(1_200)}, keep_ms=1_000)
        clock.now_ms += 1_000
        assert look(path, "SELECT count(*) <= 2400 FROM entry") == [(1,)]


def test_survives_a_kill(store: SqliteStore, path: Path, clock: Clock) -> None:
    """A process that is killed right after its claim leaves the claim and the birth mark behind."""
    store.ping()
    store.close()
    killed = run("store.add('key', 'killed', keep_ms=60000); os.kill(os.getpid(), signal.SIGKILL)", path)
    killed.communicate(timeout=60)
    clock.now_ms += 5_000
    assert not store.add("key", "next", keep_ms=MINUTE_MS)
    assert born_ms(store) == BORN_MS


def test_child_outlives_parent(store: SqliteStore, path: Path) -> None:
    """A forked worker's claims last, also when the master that had the store open is gone and others come and go."""
    script = """
store.add("master", "x", keep_ms=60000)
if os.fork():
    os._exit(0)
print(store.add("first", "worker", keep_ms=60000), flush=True)
sys.stdin.readline()
print(store.add("second", "worker", keep_ms=60000), flush=True)
"""
    with run(script, path) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stdout.readline() == "True\n"
        worker.wait(60)
        assert not store.add("first", "other", keep_ms=MINUTE_MS)
        store.close()
        worker.stdin.write("\n")
        assert worker.stdout.readline() == "True\n"
        assert not store.add("second", "other", keep_ms=MINUTE_MS)


@pytest.mark.parametrize("left_behind", [("-wal", "-shm"), ()])
def test_file_removed(store: SqliteStore, path: Path, clock: Clock, left_behind: tuple[str, ...]) -> None:
    """When the file is removed under running workers they all go on with one new store, with a mark of its own."""
    other = SqliteStore(str(path), now_ms=clock)
    assert store.add("key", "before", keep_ms=MINUTE_MS)
    assert not other.add("key", "other", keep_ms=MINUTE_MS)
    for suffix in {"", "-wal", "-shm"} - {*left_behind}:
        Path(f"{path}{suffix}").unlink()
    clock.now_ms += 5_000
    assert born_ms(store) == born_ms(other) == BORN_MS + 5_000
    assert store.add("key", "after", keep_ms=MINUTE_MS, since_ms=BORN_MS + 5_001)
    assert not other.add("key", "other", keep_ms=MINUTE_MS, since_ms=BORN_MS + 5_001)
    other.close()
    assert look(path, "PRAGMA integrity_check") == [("ok",)]


def test_file_removed_before_a_worker_starts(store: SqliteStore, path: Path) -> None:
    """A worker that starts where the file was removed makes a new one, though others still have the old one open."""
    script = """
store.ping()
print("open", flush=True)
sys.stdin.readline()
print(store.add("key", "other", keep_ms=60000), flush=True)
"""
    with run(script, path) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        path.unlink()
        assert store.add("key", "new", keep_ms=MINUTE_MS)
        other.stdin.write("\n")
        assert other.stdout.readline() == "False\n"


def test_backup_put_back(store: SqliteStore, path: Path, clock: Clock) -> None:
    """When a copy of the file is put in its place, running workers use it, and trust it from then on only."""
    copy = path.with_name("copy.db")
    other = SqliteStore(str(path), now_ms=clock)
    store.put("key", "copied", keep_ms=MINUTE_MS)
    store.close()
    shutil.copy(path, copy)
    assert store.add("claim", "forgotten", keep_ms=MINUTE_MS)
    assert not other.add("claim", "other", keep_ms=MINUTE_MS)
    copy.rename(path)
    clock.now_ms += 5_000
    assert store.get("key") == other.get("key") == "copied"
    assert store.get("claim") is None
    assert born_ms(store) == born_ms(other) == BORN_MS + 5_000
    other.close()
    assert look(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("removed", [("-wal",), ("-shm",), ("-shm", "-wal")], ids=" ".join)
def test_log_removed(store: SqliteStore, path: Path, clock: Clock, removed: tuple[str, ...]) -> None:
    """
    When the log or its index is removed under running workers, no claim that was in it is made again by any of them.

    Without its index alone the log has everything in it still, so the birth mark stays.
    `rm store.db*` does that to a new file, which a worker makes between one removal and the next.
    """
    since_ms = BORN_MS + 1
    store.ping()
    clock.now_ms = since_ms + 1
    other = run(f"print(store.add('key', 'other', keep_ms=60000, since_ms={since_ms}), flush=True); input()", path)
    with other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        for suffix in removed:
            Path(f"{path}{suffix}").unlink()
        third = SqliteStore(str(path), now_ms=clock)
        for claimant in (third, store):
            assert not claims(claimant, "key", since_ms)
        wait_until(lambda: works(third) and works(store))
        mark_ms = clock.now_ms if "-wal" in removed else BORN_MS
        assert born_ms(third) == born_ms(store) == mark_ms
        for claimant in (third, store):
            assert not claims(claimant, "key", since_ms)
        clock.now_ms += 5_000
        assert claims(store, "later", clock.now_ms - 1)
        for claimant in (third, store):
            assert not claims(claimant, "later", clock.now_ms - 1)
        other.stdin.write("\n")
    third.close()
    assert look(path, "PRAGMA integrity_check") == [("ok",)]


def test_log_removed_after_a_kill(store: SqliteStore, path: Path, clock: Clock) -> None:
    """Claims that only the log of killed workers had are missed when it is removed before the next ones start."""
    store.ping()
    store.close()
    killed = run("store.add('key', 'killed', keep_ms=60000); os.kill(os.getpid(), signal.SIGKILL)", path)
    killed.communicate(timeout=60)
    Path(f"{path}-wal").unlink()
    clock.now_ms += 5_000
    assert born_ms(store) == BORN_MS + 5_000


def test_closed_before_another_is_killed(store: SqliteStore, path: Path, clock: Clock) -> None:
    """A process that closes the file while another has it open does not mark the log as complete."""
    store.ping()
    store.close()
    store.ping()
    with run("print(store.add('key', 'killed', keep_ms=60000), flush=True); input()", path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        store.close()
        other.kill()
    Path(f"{path}-wal").unlink()
    clock.now_ms += 5_000
    assert born_ms(store) == BORN_MS + 5_000


def test_closed_without_its_folder(store: SqliteStore, path: Path) -> None:
    """A store whose folder is gone is closed as any other."""
    store.ping()
    shutil.rmtree(path.parent)
    store.close()


def test_closed_and_opened_again(store: SqliteStore, path: Path, clock: Clock) -> None:
    """Workers that end one after the other lose no data: all of it is in the file, as their mark shows."""
    assert store.add("key", "before", keep_ms=MINUTE_MS)
    other = SqliteStore(str(path), now_ms=clock)
    other.ping()
    for one in (other, store):
        one.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [".store.db-lock", "store.db", "store.db-closed"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    clock.now_ms += 5_000
    assert born_ms(store) == BORN_MS
    assert not store.add("key", "after", keep_ms=MINUTE_MS)
    assert not Path(f"{path}-closed").exists()


def test_closed_while_others_are(store: SqliteStore, path: Path) -> None:
    """Workers that end in the same moment, as they do at a restart, wait for each other: all is in the file then."""
    store.ping()
    with ThreadPoolExecutor(1) as pool:
        with kept_out(path):
            ending = pool.submit(store.close)
            with pytest.raises(TimeoutError):
                ending.result(timeout=0.02)
        ending.result()
    assert Path(f"{path}-closed").exists()


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm"), ("-wal", "-shm"), ("-wal",)], ids=" ".join)
def test_moved_and_restored(store: SqliteStore, path: Path, clock: Clock, suffixes: tuple[str, ...]) -> None:
    """A file, or a log, that comes back after another was in its place is trusted only from then on."""
    store.ping()
    away = path.with_name("away")
    away.mkdir()
    with kept_open(path):  # or the last to close it would put the log into the file, and remove it
        for suffix in suffixes:
            Path(f"{path}{suffix}").rename(away / f"store.db{suffix}")
        clock.now_ms += 5_000
        wait_until(lambda: works(store))
        used_ms = clock.now_ms + 1
        clock.now_ms += 5_000
        assert claims(store, "key", used_ms)
        for suffix in suffixes:
            (away / f"store.db{suffix}").rename(f"{path}{suffix}")
        clock.now_ms += 1
        assert not claims(store, "key", used_ms)
        wait_until(lambda: works(store))
        assert not claims(store, "key", used_ms)
        clock.now_ms += 5_000
        wait_until(lambda: claims(store, "later", clock.now_ms - 1))


def test_moved_and_restored_while_closed(store: SqliteStore, path: Path, clock: Clock) -> None:
    """A whole folder that comes back is trusted only from then on, also by a store that was closed in between."""
    store.ping()
    store.close()
    path.parent.rename(path.parent.with_name("away"))
    clock.now_ms += 5_000
    store.ping()
    clock.now_ms += 5_000
    used_ms = clock.now_ms - 1
    assert claims(store, "key", used_ms)
    store.close()
    path.parent.rename(path.parent.with_name("second"))
    path.parent.with_name("away").rename(path.parent)
    assert not claims(store, "key", used_ms)
    clock.now_ms += 5_000
    assert claims(store, "later", clock.now_ms - 1)


def test_copy_written_over_the_file(store: SqliteStore, path: Path, clock: Clock) -> None:
    """A copy that is written over the file while nobody has it open is as little trusted as one that replaces it."""
    store.put("key", "copied", keep_ms=MINUTE_MS)
    store.close()
    copied = path.read_bytes()
    clock.now_ms += 5_000
    assert claims(store, "claim", BORN_MS + 1)
    store.close()
    wait_until(partial(is_written_later, path, copied))
    clock.now_ms += 5_000
    assert not claims(store, "claim", BORN_MS + 1)
    assert born_ms(store) == clock.now_ms
    assert store.get("key") == "copied"


def is_written_later(path: Path, content: bytes) -> bool:
    """Write the file, and return whether its time shows it: a file system may count in steps of milliseconds."""
    before_ns = path.stat().st_mtime_ns
    path.write_bytes(content)
    return path.stat().st_mtime_ns != before_ns


def test_link_to_the_file(path: Path, tmp_path: Path) -> None:
    """A store whose path is a symbolic link is the one that the link leads to, for those who use that path too."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(str(link), now_ms=lambda: BORN_MS)) as linked:
        assert linked.add("key", "mine", keep_ms=MINUTE_MS)
        with closing(SqliteStore(str(path), now_ms=lambda: BORN_MS)) as store:
            assert not store.add("key", "other", keep_ms=MINUTE_MS)
    assert link.is_symlink()
    assert path.is_file()


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("removed", ["", "-wal", "-shm", "replaced"])
def test_removed_during_a_call(path: Path, removed: str, *, is_open: bool) -> None:
    """
    A claim that is being written when the file or its log is removed or replaced counts as not made: nobody sees it.

    That holds also if it happens while the file is being opened for it.
    """

    def remove() -> int:
        if is_time.is_set() and removed == "replaced":
            another.touch()
            another.rename(path)
        elif is_time.is_set():
            Path(f"{path}{removed}").unlink(missing_ok=True)
        return BORN_MS

    another = path.with_name("another.db")
    is_time = threading.Event()
    with closing(SqliteStore(str(path), now_ms=remove)) as store:
        if is_open:
            store.ping()
        is_time.set()
        raised = check_unavailable(store, lambda store: store.add("key", "mine", keep_ms=MINUTE_MS))
        assert str(raised.__cause__) == "the file was removed or replaced in between"
        is_time.clear()
        assert works(store)


@pytest.mark.parametrize(("next_boot", "later_ms"), [("a\n", 0), ("b\n", 5_000), (None, 5_000)])
def test_boot(tmp_path: Path, path: Path, clock: Clock, next_boot: str | None, later_ms: int) -> None:
    """After a restart of the machine, and not of the process alone, the store has a new birth mark."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("a\n")
    with closing(SqliteStore(str(path), now_ms=clock, boot_id=boot_id)) as store:
        store.put("key", "x", keep_ms=MINUTE_MS)
    clock.now_ms += 5_000
    if next_boot is None:
        boot_id.unlink()
    else:
        boot_id.write_text(next_boot)
    with closing(SqliteStore(str(path), now_ms=clock, boot_id=boot_id)) as store:
        assert born_ms(store) == BORN_MS + later_ms
        assert store.get("key") == "x"


@pytest.fixture
def bootless(tmp_path: Path, path: Path, clock: Clock) -> Callable[[], SqliteStore]:
    """Make stores, each with locks of its own as a process has, on a system without a boot id."""
    return lambda: SqliteStore(str(path), now_ms=clock, boot_id=tmp_path / "no" / "boot_id")


def test_without_a_boot_id(bootless: Callable[[], SqliteStore], clock: Clock) -> None:
    """Whoever opens the file first cannot know whether the power was lost since, and counts the memory as lost."""
    for _ in range(3):
        with closing(bootless()) as store:
            store.put("key", "x", keep_ms=MINUTE_MS)
            assert born_ms(store) == clock.now_ms
        clock.now_ms += 5_000


def test_workers_without_a_boot_id(bootless: Callable[[], SqliteStore], clock: Clock) -> None:
    """Those that open it while others have it open leave the mark as it is, in whatever order they come and go."""
    first, second, third = (bootless() for _ in range(3))
    with closing(first), closing(second), closing(third):
        first.ping()
        clock.now_ms += 5_000
        for store in (second, first, third):
            assert born_ms(store) == BORN_MS
        first.close()
        clock.now_ms += 5_000
        assert born_ms(first) == BORN_MS
        for store in (first, second):
            store.close()
        assert born_ms(third) == BORN_MS
        third.close()
        clock.now_ms += 5_000
        assert born_ms(second) == clock.now_ms


def test_a_failure_renews_no_mark(bootless: Callable[[], SqliteStore], path: Path, clock: Clock) -> None:
    """A process whose transaction failed opens the file again, and is no first one."""
    with closing(bootless()) as store:
        store.ping()
        clock.now_ms += 5_000
        with pytest.raises(KeyError), store._transaction():
            raise KeyError
        assert born_ms(store) == BORN_MS


def test_an_opening_that_failed_is_not_the_first(bootless: Callable[[], SqliteStore], path: Path, clock: Clock) -> None:
    """The first that succeeds counts the memory as lost."""
    with closing(bootless()) as store:
        store.ping()
    clock.now_ms += 5_000
    content = path.read_bytes()
    path.write_bytes(b"not a database, though it is as long as one" * 1_000)
    with closing(bootless()) as store:
        with pytest.raises(StoreUnavailable):
            store.ping()
        path.write_bytes(content)
        assert born_ms(store) == clock.now_ms


def test_a_boot_id_that_may_not_be_read(tmp_path: Path, path: Path, clock: Clock) -> None:
    """It counts as none, and the store works."""
    (tmp_path / "boot_id").mkdir()  # which gives an error to any user, root too
    with closing(SqliteStore(str(path), now_ms=clock, boot_id=tmp_path / "boot_id")) as store:
        store.ping()
    assert path.with_name(".store.db-open").exists()


def test_a_child_keeps_its_parents_share(path: Path) -> None:
    """A worker that was forked from a process that had the file open is no first one."""
    script = """
from pathlib import Path
store = SqliteStore(str(store._files.store), now_ms=clock.now_ms, boot_id=Path("/nonexistent"))
def born():
    store.ping()
    return store._opened.born_ms
before = born()
if os.fork() == 0:
    print(born() - before, flush=True)
    os._exit(0)
os.wait()
print(born() - before)
"""
    assert run(script, path).communicate(timeout=60)[0] == "0\n0\n"


def path_is_a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def parent_is_a_file(path: Path) -> None:
    path.parent.touch()


def not_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, though it is as long as one" * 1_000)


def of_a_later_version(path: Path) -> None:
    path.parent.mkdir()
    look(path, "CREATE TABLE entry (key)")
    look(path, "PRAGMA user_version = 2")


def of_somebody_else(path: Path) -> None:
    path.parent.mkdir()
    look(path, "CREATE TABLE entry (something, quite, different)")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "fault", [path_is_a_folder, parent_is_a_file, not_a_database, of_a_later_version, of_somebody_else]
)
def test_unusable(
    store: SqliteStore, path: Path, fault: Callable[[Path], None], call: Callable[[Store], object]
) -> None:
    """A file that is not a store's is refused every time, and left as it is."""
    fault(path)
    before = path.read_bytes() if path.is_file() else None
    for _ in range(3):
        check_unavailable(store, call)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_later_version_is_named(store: SqliteStore, path: Path) -> None:
    """After a downgrade the error has the reason why the file cannot be used."""
    of_a_later_version(path)
    raised = check_unavailable(store, CALLS["ping"])
    assert str(raised.__cause__) == "the file's tables are of version 2, not 1"


def test_corrupted_in_use(store: SqliteStore, path: Path) -> None:
    """A file that is overwritten with rubbish is refused from then on, and never made anew by itself."""
    for number in range(1_000):
        store.put(f"key:{number}", "x" * 40, keep_ms=MINUTE_MS)
    store.close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))
    before = path.read_bytes()
    for call in CALLS.values():
        check_unavailable(store, call)
    assert path.read_bytes() == before


def test_disk_full(path: Path) -> None:
    """A store that cannot grow is unavailable, and works again when there is room."""
    script = """
store.ping()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))
taken = 0
try:
    while taken < 1000:
        store.put(f"key:{taken}", "x" * 1000, keep_ms=60000)
        taken += 1
except StoreUnavailable as exc:
    print(type(exc.__cause__).__name__, store.get("key:0") is None)
try:
    for _ in range(1000):
        store.ping()
except StoreUnavailable:
    print("a ping is a write")
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
print(store.add("key", "x", keep_ms=60000), store.get(f"key:{taken}"), len(store.get(f"key:{taken - 1}")))
"""
    with run(script, path) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "OperationalError False\na ping is a write\nTrue None 1000\n"


@contextmanager
def kept_out(path: Path) -> Iterator[None]:
    """Keep stores from opening and closing the file, as a process that does so itself."""
    lock = Files(str(path)).lock()
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def kept_open(path: Path) -> Iterator[None]:
    """Have the file open in another process."""
    with run("store.ping(); print(flush=True); sys.stdin.readline(); os._exit(0)", path) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.stdin.write("\n")


@pytest.fixture
def locked(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    """The store's file, its write lock held by somebody else."""
    store.ping()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


@pytest.mark.usefixtures("own_limits")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_locked(store: SqliteStore, locked: sqlite3.Connection, call: Callable[[Store], object]) -> None:
    """A store whose file another process keeps locked is unavailable within a second, and works when it is unlocked."""
    check_unavailable(store, call)
    locked.execute("COMMIT")
    call(store)


@pytest.mark.usefixtures("own_limits")
def test_locked_for_many(store: SqliteStore, locked: sqlite3.Connection) -> None:
    """Threads that wait one behind the other for a locked file all have their answer within a second."""
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda call: check_unavailable(store, call), 8 * [CALLS["add"]]))) == 8


@pytest.mark.usefixtures("own_limits")
def test_slow_for_one(path: Path) -> None:
    """A thread does not wait longer than a second for another one's call either."""
    inside, go_on = threading.Event(), threading.Event()

    def now_ms() -> int:
        inside.set()
        assert go_on.wait(60)
        return BORN_MS

    with closing(SqliteStore(str(path), now_ms=now_ms)) as store, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.add, "key", "slow", keep_ms=MINUTE_MS)
        assert inside.wait(60)
        raised = check_unavailable(store, CALLS["add"])
        assert str(raised.__cause__) == "other threads kept the store busy"
        go_on.set()
        assert slow.result()


def test_locked_for_a_moment(store: SqliteStore, locked: sqlite3.Connection) -> None:
    """A lock that is let go in time costs nothing but the wait."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.add, "key", "x", keep_ms=MINUTE_MS)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        locked.execute("COMMIT")
        assert waiting.result()


@pytest.mark.usefixtures("own_limits")
def test_another_is_opening_it(store: SqliteStore, path: Path) -> None:
    """While another process cannot finish the new file, this store is unavailable."""
    path.parent.mkdir()
    with kept_out(path):
        check_unavailable(store, CALLS["add"])
    assert works(store)


def test_a_failure_of_the_caller_leaves_nothing_open(store: SqliteStore, path: Path) -> None:
    """A value that SQLite cannot hold is the caller's error, and the next caller finds the store as it was."""
    other = SqliteStore(str(path), now_ms=lambda: BORN_MS)
    with pytest.raises(OverflowError):
        store.add("key", "x", keep_ms=2**70)
    assert other.add("key", "other", keep_ms=MINUTE_MS)
    assert not store.add("key", "x", keep_ms=MINUTE_MS)
    other.close()


def test_a_file_from_before_forgetting_was_noted(path: Path, clock: Clock) -> None:
    """What an earlier version made is used, with its birth mark, and remembers what that has claimed."""
    with closing(SqliteStore(str(path), now_ms=clock)) as store:
        assert store.add("claim:1", "mine", keep_ms=MINUTE_MS)
        with closing(sqlite3.connect(path)) as earlier:
            earlier.execute("DROP TABLE forgotten")
            earlier.execute("DROP TABLE born")
    clock.now_ms += 1_000
    with closing(SqliteStore(str(path), now_ms=clock)) as store:
        assert not store.add("claim:1", "other", keep_ms=MINUTE_MS)
        assert born_ms(store) == BORN_MS
