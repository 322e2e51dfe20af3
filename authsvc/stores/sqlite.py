"""
The embedded store: one SQLite file in WAL mode, shared by all workers of one host. All SQL is here.

One module, because the statements depend on the transaction around them, and on how the file is opened.
Imports `errors`, `store` and `sqlite_files`.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from authsvc.errors import MemoryLost, StoreUnavailable
from authsvc.stores.sqlite_files import File, Files, file_at
from authsvc.stores.store import Pulse

WAIT_S = 0.8  # for other threads and processes together; the protocol allows a second in all
CLOSE_WAIT_S = 0.1  # for other processes that open or close the file; all workers end at the same time
FORGOTTEN = 100  # expired entries deleted by one write, which adds one
LATER_MS = 2_000  # by which we may read the clock later than a claimant that computed the expiry of its claim
COUNTERS = 500  # in one transaction, so that other writers do not wait for a long list
LOG_BYTES = 32 << 20  # above this no transaction begins; SQLite itself aims at 4 MB
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE entry (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX entry_expires_ms ON entry (expires_ms)",
    "CREATE TABLE birth (file_and_boot TEXT PRIMARY KEY, born_ms INTEGER NOT NULL, pings INTEGER) WITHOUT ROWID",
    f"PRAGMA user_version = {_VERSION}",
)
# A file of an earlier version gets these tables when it is opened, and the earlier version can still use it.
_ADDITIONS = (
    "CREATE TABLE IF NOT EXISTS forgotten (kind TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS born (monotonic_ns INTEGER NOT NULL)",  # with the birth mark
)
_ADD = """INSERT INTO entry VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
    SET expires_ms = max(expires_ms, excluded.expires_ms) WHERE value = excluded.value"""
_PUT = "INSERT OR REPLACE INTO entry VALUES (?, ?, ?)"
_COUNT = "INSERT INTO entry VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value"
_GET = "SELECT value FROM entry WHERE key = ?"
# A kind is the part of a key before its first colon: expired counters must not make claims count as forgotten. Nor must
# entries of another hour: after a clock was far ahead for a while, every claim would be refused for as long. So there
# is a row for each kind and hour.
_KIND = "substr({0}, 1, instr({0}, ':')) || ({1} / 3600000)"
_KINDS = f"{_KIND.format('?1', '?2')}, {_KIND.format('?1', '?3')}"
_FORGOTTEN = f"SELECT max(until_ms) FROM forgotten WHERE kind IN ({_KINDS})"  # noqa: S608 -- of constants
_EXPIRED = "FROM entry WHERE expires_ms <= ? ORDER BY expires_ms, key LIMIT ?"
_FORGET = (
    f"""INSERT INTO forgotten SELECT {_KIND.format("key", "expires_ms")}, max(expires_ms)
    FROM (SELECT key, expires_ms {_EXPIRED}) WHERE true GROUP BY 1
    ON CONFLICT (kind) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)""",  # noqa: S608 -- the same
    f"DELETE FROM entry WHERE key IN (SELECT key {_EXPIRED})",  # noqa: S608 -- the same
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A connection, the files that it was opened for (file, log and the log's index), and the birth mark."""

    connection: sqlite3.Connection
    files: list[File] | None
    born_ms: int

    def get(self, key: str) -> str | None:
        row = self.connection.execute(_GET, (key,)).fetchone()
        return None if row is None else str(row[0])

    def forgotten_ms(self, key: str, expires_ms: int) -> int:
        """
        Return the latest expiry, Unix ms, of the deleted entries of this key's kind.

        Only those count that expire at about the same time as `expires_ms`: they are from the same time.
        """
        around = (expires_ms - LATER_MS, expires_ms + LATER_MS)
        ((until_ms,),) = self.connection.execute(_FORGOTTEN, (key, *around))
        return until_ms or 0


class SqliteStore:
    """
    A store in the file at `path`. The file and its folder are created at the first use.

    Safe to use from many threads, and before and after a fork. If the file or its log is removed or replaced while in
    use, the next call uses the file at the path then, with a new birth mark. A write during the replacement raises
    StoreUnavailable: it may be lost.

    A birth mark is valid for one boot of the machine, because a power failure can lose the last commits. Where there is
    no boot id (another system than Linux, or a sandbox that hides it), the first process that uses the file makes a new
    mark, as if all data were lost. Each process keeps a share in the file until it ends, so that a process that starts
    while others have one, such as the next worker, keeps the mark.
    """

    def __init__(self, path: str, *, now_ms: Callable[[], int], boot_id: Path = BOOT_ID) -> None:
        self._files = Files(path)
        self._now_ms = now_ms
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._share: int | None = None  # in the file, where there is no boot id
        self._is_first = False
        self._last_file: File | None = None
        self._last_used_ns = 0  # by the monotonic clock, which all processes of a boot share
        # SQLite's file locks belong to a process. A child that inherits an open file, even an unused one, takes its
        # parent's locks for its own, and loses its writes when another process closes the file.
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def add(self, key: str, value: str, *, keep_ms: int, since_ms: int | None = None) -> bool:
        """See `Store.add`."""
        with self._transaction() as opened:
            expires_ms = self._now_ms() + keep_ms
            opened.connection.execute(_ADD, (key, value, expires_ms))
            won = opened.get(key) == value
            forgotten_ms = opened.forgotten_ms(key, expires_ms)
        if since_ms is not None:
            # If the clock was set forward and back, an earlier claim with the same expiry may be deleted already.
            born_ms = max(opened.born_ms, since_ms + forgotten_ms + LATER_MS - expires_ms)
            if born_ms >= since_ms:
                raise MemoryLost(born_ms)
        return won

    def get(self, key: str) -> str | None:
        """See `Store.get`."""
        with self._transaction() as opened:
            return opened.get(key)

    def put(self, key: str, value: str, *, keep_ms: int) -> None:
        """See `Store.put`."""
        with self._transaction() as opened:
            opened.connection.execute(_PUT, (key, value, self._now_ms() + keep_ms))

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:
        """See `Store.count`."""
        totals: dict[str, int] = {}
        counters = list(hits.items())
        for start in range(0, len(counters), COUNTERS):
            with self._transaction(forgotten=2 * COUNTERS) as opened:
                expires_ms = self._now_ms() + keep_ms
                for key, hit in counters[start : start + COUNTERS]:
                    opened.connection.execute(_COUNT, (key, hit, expires_ms))
                    totals[key] = int(opened.get(key) or 0)
        return totals

    def ping(self) -> Pulse:
        """See `Store.ping`."""
        with self._transaction() as opened:
            opened.connection.execute("UPDATE birth SET pings = pings + 1")  # SQLite writes only changed values
        return Pulse(self._now_ms())

    def close(self) -> None:
        """See `Store.close`."""
        with self._lock:
            self._drop()
            if self._share is not None:
                os.close(self._share)
                self._share = None

    @contextmanager
    def _transaction(self, *, forgotten: int = FORGOTTEN) -> Iterator[_Opened]:
        deadline_s = time.monotonic() + WAIT_S
        if not self._lock.acquire(timeout=WAIT_S):
            raise StoreUnavailable from TimeoutError("other threads kept the store busy")
        try:
            opened = _patiently(self._begin, deadline_s)
            yield opened
            now_ms = self._now_ms()
            for statement in _FORGET:
                opened.connection.execute(statement, (now_ms, forgotten))
            opened.connection.execute("COMMIT")
            if not self._is_current(opened):
                raise StoreUnavailable from FileNotFoundError("the file was removed or replaced in between")  # noqa: TRY301 -- drops it
            self._last_used_ns = time.monotonic_ns()
        except BaseException as exc:
            self._drop()  # even an exception from a signal handler must not leave the transaction open
            if isinstance(exc, sqlite3.Error | OSError):
                raise StoreUnavailable from exc
            raise
        finally:
            self._lock.release()

    def _begin(self) -> _Opened:
        if self._opened is None or not self._is_current(self._opened):
            former = None if self._opened is None else self._opened.files
            self._drop()
            self._opened = self._open(former)
        if self._files.log_bytes() > LOG_BYTES:
            self._shorten_log(self._opened)
        self._opened.connection.execute("BEGIN IMMEDIATE")
        return self._opened

    def _shorten_log(self, opened: _Opened) -> None:
        """
        Copy all of the log into the file and truncate it.

        SQLite copies after a commit, but does not finish while other processes write. As no process begins a
        transaction while the log is too long, one of them soon succeeds.

        Raises:
            BlockingIOError: another process still reads, writes or truncates it.
        """
        ((is_busy, _, _),) = opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_busy:
            raise BlockingIOError("the log is too long, and cannot be truncated while another program reads the file")

    def _open(self, former: list[File] | None) -> _Opened:
        files = self._files
        files.make_folder()
        with self._locked():  # one process at a time creates the file and its tables
            files.make_private()
            is_new = not files.store.exists()
            if is_new or (former is not None and former[0] != file_at(files.store) and former[1] == file_at(files.log)):
                # SQLite would read the log of a removed or replaced file as that of the new one.
                files.log.unlink(missing_ok=True)
            if is_new:
                files.make_store()
            log = file_at(files.log)
            if log is None:
                files.index.unlink(missing_ok=True)  # it belongs to another log
            boot_id = self._read_boot_id()
            if not boot_id and self._share is None:
                self._share, self._is_first = files.share()
            is_whole = (log is not None or files.was_closed()) and not self._is_first
            # Looked up before SQLite opens it: if it is replaced in between, the next call finds out.
            file = file_at(files.store)
            # A file or a log that returns to its place does not have the writes of the one in between.
            is_other = self._last_file not in {None, file} or (former is not None and former[1] != log)
            born_from_ns = self._last_used_ns if is_other else 0
            connection = sqlite3.connect(files.store, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                born_ms = self._prepare(connection, f"{file}:{boot_id}", is_whole=is_whole, born_from_ns=born_from_ns)
            except sqlite3.Error:
                connection.close()
                raise
            self._is_first = False
            files.mark_open()
            found = files.found()
            self._last_file = file
            return _Opened(connection, found if found and found[0] == file else None, born_ms)

    def _read_boot_id(self) -> str:
        try:
            return self._boot_id.read_text()
        except OSError:
            return ""

    @contextmanager
    def _locked(self, wait_s: float = 0.0) -> Iterator[None]:
        lock = _patiently(self._files.lock, time.monotonic() + wait_s)
        try:
            yield
        finally:
            os.close(lock)

    def _prepare(self, connection: sqlite3.Connection, file_and_boot: str, *, is_whole: bool, born_from_ns: int) -> int:
        """Create what is missing, and return the birth mark. It is a new one if earlier data may be missing."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        is_empty = connection.execute("SELECT 1 FROM sqlite_master").fetchall() == []
        if not is_empty and version != _VERSION:
            raise sqlite3.DatabaseError(f"the file's tables are of version {version}, not {_VERSION}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*(_SCHEMA if is_empty else ()), *_ADDITIONS):
            connection.execute(statement)
        # With synchronous=NORMAL a power failure can lose the last commits, so a mark is valid for one boot only. Nor
        # does it move with the file's content: a restored copy does not have the writes after it was made.
        connection.execute(
            "DELETE FROM birth WHERE file_and_boot <> ? OR NOT ? OR ifnull((SELECT monotonic_ns FROM born), 0) < ?",
            (file_and_boot, is_whole, born_from_ns),
        )
        if connection.execute("INSERT OR IGNORE INTO birth VALUES (?, ?, 0)", (file_and_boot, self._now_ms())).rowcount:
            connection.execute("DELETE FROM born")
            connection.execute("INSERT INTO born VALUES (?)", (time.monotonic_ns(),))
        ((born_ms,),) = connection.execute("SELECT born_ms FROM birth").fetchall()
        connection.execute("COMMIT")
        return int(born_ms)

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            with suppress(OSError), self._locked(CLOSE_WAIT_S):
                was_current = self._is_current(opened)
                opened.connection.close()
                if was_current and not self._files.log.exists():
                    self._files.mark_closed()
        finally:
            opened.connection.close()

    def _is_current(self, opened: _Opened) -> bool:
        """Whether other processes find the same file at the path."""
        return opened.files is not None and opened.files == self._files.found()

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._drop()


def _patiently(attempt: Callable[[], T], deadline_s: float) -> T:
    """
    Return the result of the attempt; retry while another process has the lock, until the deadline.

    SQLite's own busy handler sleeps up to 0.1 s at a time and lets later processes go first: with four processes at
    full load the longest waits were two to ten times as long with it.
    """
    while True:
        try:
            return attempt()
        except (BlockingIOError, sqlite3.OperationalError) as exc:
            is_busy = isinstance(exc, BlockingIOError) or exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline_s:
                raise
        time.sleep(random.uniform(0.0002, 0.001))  # noqa: S311 -- it spreads waiting processes, nothing more
