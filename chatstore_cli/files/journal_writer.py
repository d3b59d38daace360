"""Writes journals while messages are recorded: one whole line at a time, from several threads and processes.

A writer holds an exclusive `flock` on the journal itself while it appends, and checks that the path still names that
file. A process that removes or replaces a journal holds the same lock, so no line is written to a removed file. If a
crash left an incomplete last line, a line feed ends it before the next line is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import ChatstoreError, NotRecorded
from chatstore_cli.domain.recording import LineLocation
from chatstore_cli.files import journal_lines, journal_read_back
from chatstore_cli.files.ownership import access_hint, make_private_folder, open_private
from chatstore_cli.files.session_names import journal_path, session_of
from chatstore_cli.files.sync_thread import SyncThread

STRIPES = 16
OPEN_FILES = max(4, min(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // (4 * STRIPES)))
"""Files kept open in each stripe of sessions: altogether a quarter of the process's limit, and at most 1,024."""

_REMEMBERED_JOURNALS = 5_000
_READ_SIZE = 1024 * 1024
_OPENINGS = 20


class JournalWriter:
    """Appends to the journals of one folder. `fsync` is never, interval (once a second) or always.

    Sessions are spread over stripes, each with its own lock: writing to one stripe does not wait for another.
    """

    encode = staticmethod(journal_lines.dumps)
    read_back = staticmethod(journal_read_back.read_back)

    def __init__(self, folder: Path, fsync: str = "never") -> None:
        self.folder = folder.resolve()
        self._fsync = fsync
        self._stripes = [_Stripe() for _ in range(STRIPES)]
        self._sync_thread = SyncThread(self._sync_all) if fsync == "interval" else None
        self._path_of = lru_cache(_REMEMBERED_JOURNALS)(self._path)

    def _path(self, session_id: str) -> tuple[str, Path]:
        path = journal_path(self.folder, session_id)
        return str(path), path

    def append(self, session_id: str, line: bytes) -> LineLocation:
        """Write a line, whole or not at all. Raises NotRecorded, and BadValue for an id that cannot have a file."""
        name, path = self._path_of(session_id)
        stripe = self._stripes[hash(name) % STRIPES]

        def attempt() -> LineLocation | None:
            journal = stripe.opened(name, path)
            location = None if journal is None else journal.append(line, self._fsync)
            if location is None:
                stripe.close(name)
            return location

        try:
            if self._sync_thread is not None:
                self._sync_thread.start_or_raise()
            with stripe.lock:
                return attempt_until_done(
                    attempt, lambda: _not_recorded(path, "others keep removing or replacing it"), attempts=_OPENINGS
                )
        except OSError as error:
            raise _not_recorded(path, error.strerror or str(error), error) from error

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """At most `count` of the newest lines of a session, oldest first, each with its number."""
        return journal_read_back.newest(journal_path(self.folder, session_id), count)

    def sessions(self) -> Iterator[str]:
        """The sessions that have a journal, the one written to last first."""
        journals: list[tuple[float, str]] = []
        for path in self.folder.rglob("*.jsonl"):
            with contextlib.suppress(OSError):
                session_id = session_of(self.folder, path)
                if session_id is not None:
                    journals.append((path.stat().st_mtime, session_id))
        journals.sort(reverse=True)
        return (session_id for _, session_id in journals)

    def _sync_all(self) -> None:
        failures: list[OSError] = []
        for stripe in self._stripes:
            unsynced: list[int] = []
            with stripe.lock:
                for journal in stripe.journals.values():
                    if journal.unsynced:
                        unsynced.append(os.dup(journal.descriptor))
                        journal.unsynced = False
            for descriptor in unsynced:  # without the lock, so that no writer waits for the disk
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    failures.append(error)  # the other files must be synced all the same
                finally:
                    os.close(descriptor)
        if failures:
            raise failures[0]

    def reset_after_fork(self) -> None:
        """In the child of a fork: close the files that the parent opened, so that no lock is shared with it."""
        for stripe in self._stripes:
            stripe.reset_after_fork()
        if self._sync_thread is not None:
            self._sync_thread = SyncThread(self._sync_all)

    def close(self) -> None:
        """Sync what the fsync policy requires, and close. A later append opens the file again. Raises ChatstoreError."""
        failures: list[OSError] = []
        for stripe in self._stripes:
            with stripe.lock:
                failures += stripe.close_all(sync=self._fsync != "never")
        if self._sync_thread is not None:
            self._sync_thread.stop()
            failures += self._sync_thread.take_failure()
        if failures:
            reason = failures[0].strerror or failures[0]
            raise ChatstoreError(
                what=f"Cannot sync {self.folder}: {reason}. The newest lines may not be on the disk.",
                hint="Check the disk, then the newest lines of these journals.",
            ) from failures[0]


def _not_recorded(path: Path, reason: str, error: OSError | None = None) -> NotRecorded:
    hint = "Free disk space or grant access, then record it again."
    return NotRecorded(what=f"{path}: {reason}.", hint=access_hint(path, error, hint) if error else hint)


class _JournalEnd(NamedTuple):
    """What a journal held when it was last read or written: its inode, its size in bytes, its number of lines."""

    inode: int = 0
    size: int = 0
    lines: int = 0


class _OpenJournal:
    """A journal that is open for appending, with the size and the lines that it had last."""

    def __init__(self, name: str, path: Path, remembered: _JournalEnd) -> None:
        self._name = name
        self.descriptor = -1
        self.descriptor = _open(path)
        self.inode = os.fstat(self.descriptor).st_ino
        self._size, self._lines = remembered[1:] if remembered.inode == self.inode else (0, 0)
        self._ends_inside_line = False
        self.unsynced = False

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()  # the application may drop a cache without closing it

    @property
    def end(self) -> _JournalEnd:
        """The end of the journal as far as this process knows."""
        return _JournalEnd(self.inode, self._size, self._lines)

    def append(self, line: bytes, fsync: str) -> LineLocation | None:
        """Write a line; None if the path names another file by now, or none, and has to be opened again."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        try:
            try:
                status = os.stat(self._name)  # noqa: PTH116 - once for every message: Path.stat costs a microsecond more
            except FileNotFoundError:
                return None
            if status.st_ino != self.inode:
                return None
            if status.st_size != self._size or self._ends_inside_line:
                self._count_changes(status.st_size)
            return self._write(line, fsync)
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _count_changes(self, size: int) -> None:
        """Count the lines that others appended; all lines if the file was cut."""
        offset, lines = (self._size, self._lines) if size >= self._size else (0, 0)
        while offset < size and (block := os.pread(self.descriptor, min(_READ_SIZE, size - offset), offset)):
            lines += block.count(b"\n")
            offset += len(block)
        self._size, self._lines = size, lines
        self._ends_inside_line = size > 0 and os.pread(self.descriptor, 1, size - 1) != b"\n"

    def _write(self, line: bytes, fsync: str) -> LineLocation:
        size, incomplete = self._size, self._ends_inside_line
        unwritten = memoryview(b"\n" + line + b"\n" if incomplete else line + b"\n")
        length = len(unwritten)
        try:
            while unwritten:
                unwritten = unwritten[os.write(self.descriptor, unwritten) :]
            if fsync == "always":
                os.fsync(self.descriptor)
                if not size:
                    _sync_folder(self._name)  # the new file's name must survive a power loss as well
        except OSError:
            # The lock excludes every other writer, so the file can be cut back to what it held before this line.
            self._size, self._lines = 0, 0
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, size)
            raise
        self._size, self._lines, self._ends_inside_line = size + length, self._lines + incomplete + 1, False
        self.unsynced = fsync == "interval"
        return LineLocation(self._name, self.inode, self._lines, size + incomplete, len(line))


def _open(path: Path) -> int:
    _make_folder(path.parent)
    return open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def _make_folder(folder: Path) -> None:
    if folder.name.endswith("~"):  # of a long id's journal: the folder above it is private as well
        _make_folder(folder.parent)
        make_private_folder(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _sync_folder(name: str) -> None:
    folder = os.open(os.path.dirname(name), os.O_RDONLY | os.O_CLOEXEC)  # noqa: PTH120 - of a name, not a Path
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Stripe:
    """The open journals of some sessions under one lock, and the ends of those that were closed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.journals: LruMap[str, _OpenJournal] = LruMap(OPEN_FILES)
        self._ends: LruMap[str, _JournalEnd] = LruMap(_REMEMBERED_JOURNALS)

    def opened(self, name: str, path: Path) -> _OpenJournal | None:
        """The open journal; None if its folder was removed the moment it was made (`cache prune` removes empty ones)."""
        journal = self.journals.get(name)
        if journal is None:
            try:
                # Without the remembered end, each opening would count all lines of the journal.
                journal = _OpenJournal(name, path, self._ends.get(name) or _JournalEnd())
            except (FileNotFoundError, FileExistsError):
                if path.parent.exists() and not path.parent.is_dir():
                    raise
                return None
        evicted = self.journals.put(name, journal)
        if evicted is not None:
            self._close(*evicted, sync=True)
        return journal

    def close(self, name: str) -> None:
        """Close a journal if it is open."""
        journal = self.journals.pop(name)
        if journal is not None:
            self._close(name, journal, sync=True)

    def _close(self, name: str, journal: _OpenJournal, *, sync: bool) -> None:
        self._ends.put(name, journal.end)
        try:
            if sync and journal.unsynced:
                os.fsync(journal.descriptor)
        finally:
            journal.close()

    def close_all(self, *, sync: bool) -> list[OSError]:
        """Close every journal; returns the failures."""
        failures: list[OSError] = []
        while (oldest := self.journals.pop_oldest()) is not None:
            try:
                self._close(*oldest, sync=sync)
            except OSError as error:
                failures.append(error)
        return failures

    def reset_after_fork(self) -> None:
        """In the child of a fork: replace the locks, which the parent may hold, and close its files."""
        self.lock = threading.Lock()
        self.journals.reset_after_fork()
        self._ends.reset_after_fork()
        self.close_all(sync=False)
