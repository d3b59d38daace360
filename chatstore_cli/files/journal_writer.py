"""Writing journals while a chat goes on: one whole line at a time, from several processes at once.

A writer holds an exclusive `flock` on the journal itself while it appends, and looks whether the path still has that
file: whoever removes or replaces a journal takes the same lock, so that no line goes into a file that is gone. What a
crash left of a line is closed off with a line feed before the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from chatstore_cli.domain.errors import ChatstoreError, NotRecorded
from chatstore_cli.domain.recording import Place, ReadBack, Stretch
from chatstore_cli.files import journal_lines, journal_read_back
from chatstore_cli.files.session_names import journal_path, session_of

STRIPES = 16
OPEN_FILES = max(4, min(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // (4 * STRIPES)))
"""Files kept open in each stripe of sessions: together a quarter of what the process may open, 1,024 at most."""
FSYNC_SECONDS = 1.0

_ENDS_KEPT = 5_000
_BLOCK = 1024 * 1024
_REOPENINGS = 50


class JournalWriter:
    """The journals of one folder, to be written to. `fsync` is never, interval (each second) or always.

    Sessions are spread over stripes, each with a lock of its own: writing to one does not wait for another.
    """

    def __init__(self, folder: Path, fsync: str = "never") -> None:
        self.folder = folder.resolve()
        self._fsync = fsync
        self._stripes = [_Stripe() for _ in range(STRIPES)]
        self._syncing = _Syncing(self._sync_all) if fsync == "interval" else None
        self._path_of = lru_cache(_ENDS_KEPT)(self._path)

    def _path(self, session_id: str) -> tuple[str, Path]:
        path = journal_path(self.folder, session_id)
        return str(path), path

    def encode(self, fields: dict[str, Any]) -> bytes:
        """The line of a message. Raises ValueError where it cannot be written as JSON in UTF-8."""
        return journal_lines.dumps(fields)

    def append(self, session_id: str, line: bytes) -> Place:
        """Write a line, whole or not at all. Raises NotRecorded, BadValue for an id that can have no file."""
        name, path = self._path_of(session_id)
        stripe = self._stripes[hash(name) % STRIPES]
        try:
            if self._syncing is not None:
                self._syncing.look()
            with stripe.lock:
                for _ in range(_REOPENINGS):
                    place = stripe.opened(name, path).append(line, self._fsync)
                    if place is not None:
                        return place
                    stripe.close(name)
        except OSError as error:
            hint = "Make room, or give access, and record it again."
            raise NotRecorded(what=f"{path}: {error.strerror or error}.", hint=hint) from error
        raise NotRecorded(what=f"{path} is removed or replaced again and again.")

    def newest(self, session_id: str, count: int) -> list[tuple[int, dict[str, Any]]]:
        """The newest lines of a session that there are, oldest first, each with its number."""
        return journal_read_back.newest(journal_path(self.folder, session_id), count)

    def sessions(self) -> Iterator[str]:
        """The sessions that have a journal, the one written to last first."""
        found: list[tuple[float, str]] = []
        for path in self.folder.rglob("*.jsonl"):
            with contextlib.suppress(OSError):
                session_id = session_of(self.folder, path)
                if session_id is not None:
                    found.append((path.stat().st_mtime, session_id))
        found.sort(reverse=True)
        return (session_id for _, session_id in found)

    def read_back(self, stretch: Stretch, lines: int, about_bytes: int) -> ReadBack | None:
        """At most `lines` lines of a stretch, of about so many bytes; None where its file is gone. Raises OSError."""
        return journal_read_back.read_back(stretch, lines, about_bytes)

    def _sync_all(self) -> None:
        failures: list[OSError] = []
        for stripe in self._stripes:
            unsynced: list[int] = []
            with stripe.lock:
                for file in stripe.files.values():
                    if file.unsynced:
                        unsynced.append(os.dup(file.descriptor))
                        file.unsynced = False
            for descriptor in unsynced:  # not under the lock: nobody waits for the disk
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    failures.append(error)  # the others are to be on the disk all the same
                finally:
                    os.close(descriptor)
        if failures:
            raise failures[0]

    def let_go(self) -> None:
        """After a fork: close what the parent had open. A lock of the parent's must not be shared."""
        for stripe in self._stripes:
            stripe.lock = threading.Lock()
            stripe.close_all(sync=False)
        if self._syncing is not None:
            self._syncing = _Syncing(self._sync_all)

    def close(self) -> None:
        """Put on disk what the policy asks for, and close. Writing on opens the files again. Raises ChatstoreError."""
        failures: list[OSError] = []
        for stripe in self._stripes:
            with stripe.lock:
                failures += stripe.close_all(sync=self._fsync != "never")
        if self._syncing is not None:
            self._syncing.end()
            failures += self._syncing.failures()
        if failures:
            told = failures[0].strerror or failures[0]
            what = f"{self.folder}: {told}: the disk may not have what was recorded last."
            raise ChatstoreError(what=what) from failures[0]


class _OpenJournal:
    """A journal that is open for appending, and where it ended when it was last looked at."""

    def __init__(self, name: str, path: Path, known: tuple[int, int, int]) -> None:
        self._name = name
        self.descriptor = -1
        self.descriptor = _opened(path)
        self.file = os.fstat(self.descriptor).st_ino
        self._size, self._lines = known[1:] if known[0] == self.file else (0, 0)
        self._torn = False
        self.unsynced = False

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()  # where nobody closed the cache before it was let go of

    @property
    def end(self) -> tuple[int, int, int]:
        """Inode, bytes, and lines in them."""
        return self.file, self._size, self._lines

    def append(self, line: bytes, fsync: str) -> Place | None:
        """None where the path has another file by now, or none: then it has to be opened again."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        try:
            try:
                now = os.stat(self._name)  # noqa: PTH116 - once for every message: Path.stat costs a microsecond more
            except FileNotFoundError:
                return None
            if now.st_ino != self.file:
                return None
            if now.st_size != self._size or self._torn:
                self._look_at_what_others_did(now.st_size)
            return self._write(line, fsync)
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _look_at_what_others_did(self, size: int) -> None:
        at, lines = (self._size, self._lines) if size >= self._size else (0, 0)
        while at < size and (block := os.pread(self.descriptor, min(_BLOCK, size - at), at)):
            lines += block.count(b"\n")
            at += len(block)
        self._size, self._lines = size, lines
        self._torn = size > 0 and os.pread(self.descriptor, 1, size - 1) != b"\n"

    def _write(self, line: bytes, fsync: str) -> Place:
        size, torn = self._size, self._torn
        left = memoryview(b"\n" + line + b"\n" if torn else line + b"\n")
        whole = len(left)
        try:
            while left:
                left = left[os.write(self.descriptor, left) :]
            if fsync == "always":
                os.fsync(self.descriptor)
                if not size:
                    _sync_folder(self._name)  # that there is such a file must survive a power cut, too
        except OSError:
            # Nobody else writes while we hold the lock: what there is of our line can be taken back.
            self._size, self._lines = 0, 0
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, size)
            raise
        self._size, self._lines, self._torn = size + whole, self._lines + torn + 1, False
        self.unsynced = fsync == "interval"
        return Place(self._name, self.file, self._lines, size + torn, len(line))


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    for _ in range(_REOPENINGS):
        try:
            _make_folder(path.parent)
            return os.open(path, flags, 0o600)
        except (FileNotFoundError, FileExistsError) as error:
            vanished = error  # `cache prune` removes a long id's folder where it is empty, also one just made
    raise vanished


def _make_folder(folder: Path) -> None:
    if folder.name.endswith("~"):  # of a long id's journal: the folder above it is private, too
        _make_folder(folder.parent)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _sync_folder(name: str) -> None:
    folder = os.open(os.path.dirname(name), os.O_RDONLY | os.O_CLOEXEC)  # noqa: PTH120 - of a name, not a Path
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Stripe:
    """Some of the sessions, with one lock: the files that are open, and where those ended that were."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: OrderedDict[str, _OpenJournal] = OrderedDict()
        self._ends: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def opened(self, name: str, path: Path) -> _OpenJournal:
        file = self.files.get(name)
        if file is None:
            while len(self.files) >= OPEN_FILES:
                self.close(next(iter(self.files)))
            # Where it ended is remembered, else each opening would count the whole journal's lines.
            file = self.files[name] = _OpenJournal(name, path, self._ends.pop(name, (0, 0, 0)))
        else:
            self.files.move_to_end(name)
        return file

    def close(self, name: str, *, sync: bool = True) -> None:
        file = self.files.pop(name)
        self._ends[name] = file.end
        if len(self._ends) > _ENDS_KEPT:
            self._ends.popitem(last=False)
        try:
            if sync and file.unsynced:
                os.fsync(file.descriptor)
        finally:
            file.close()

    def close_all(self, *, sync: bool) -> list[OSError]:
        failures: list[OSError] = []
        for name in list(self.files):
            try:
                self.close(name, sync=sync)
            except OSError as error:
                failures.append(error)
        return failures


class _Syncing:
    """A thread that puts on disk what was written, each second; begun with the first line."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin = threading.Lock()
        self._failure: OSError | None = None

    def look(self) -> None:
        """Begin, and raise what went wrong the last time: the disk may not have what was said to be written."""
        if self._thread is None:
            with self._begin:
                if self._thread is None:
                    self._ended.clear()
                    self._thread = threading.Thread(target=self._run, name="chatstore-fsync", daemon=True)
                    self._thread.start()
        if self._failure is not None:
            for failure in self.failures():
                raise failure

    def failures(self) -> list[OSError]:
        """What went wrong and was not told yet."""
        failure, self._failure = self._failure, None
        return [failure] if failure is not None else []

    def _run(self) -> None:
        while not self._ended.wait(FSYNC_SECONDS):
            try:
                self._sync()
            except OSError as error:
                self._failure = error

    def end(self) -> None:
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
