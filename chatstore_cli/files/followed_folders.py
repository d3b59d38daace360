"""Folders of journals that are followed: locked, remembered, looked at again and again, made where they are not there."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from chatstore_cli.core.flush.follow import FileStamp, JournalScan
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotFound
from chatstore_cli.files.folder_lock import FolderLock
from chatstore_cli.files.journal_folders import is_journal_name, journals_below
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import LEDGER_NAME, Ledger
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.state_folder import bookkeeping_folder

_UNSETTLED = 2_000_000_000
"""Nanoseconds: within so long after a change, file systems may give another one the same time."""


class FollowedFolders:
    """The journals that paths name, for as long as it is open. A path that is not there yet is made, as a folder.

    Raises NotFound for one that has a journal's name: whoever names a file means one that is there. Where a folder is
    removed, it is made and locked again.
    """

    def __init__(self, paths: Sequence[str], state_folder: str | None, command: str) -> None:
        if "-" in paths:
            raise BadValue(name="PATH", value="-", expected="a folder or a file: standard input cannot be followed")
        wanted: dict[Path, set[Path] | None] = {}
        for path in map(Path, paths):
            if is_journal_name(path.name) and not os.path.lexists(path):
                hint = "To follow journals that are still to be made, give their folder."
                raise NotFound(kind_of_thing="journal file", name=str(path), where="", hint=hint)
            if path.is_dir() or not (path.exists() or is_journal_name(path.name)):
                wanted[path.resolve()] = None
            else:
                file = path.resolve()
                named = wanted.setdefault(file.parent, set())
                if named is not None:
                    named.add(file)
        self._folders = [_Folder(folder, files, state_folder, command) for folder, files in wanted.items()]
        self._folder_of: dict[str, _Folder] = {}

    def __enter__(self) -> FollowedFolders:
        """Lock every folder. Raises Locked, naming the holder."""
        try:
            for folder in self._folders:
                folder.open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self._folders:
            folder.close()

    @property
    def folders(self) -> list[str]:
        """The folders."""
        return [str(folder.path) for folder in self._folders]

    def scan(self) -> JournalScan:
        """The journals that exist now, and the errors of those that cannot be examined."""
        scan = JournalScan({}, {})
        self._folder_of = {}
        now = time.time_ns()
        for folder in self._folders:
            for path in folder.journals(scan.errors):
                name = str(path)
                if name not in self._folder_of:
                    self._folder_of[name] = folder
                    _examine(name, now, scan)
        return scan

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Journals of the last scan, to be flushed."""
        # What is known of a quarantine is read again each time: others put lines into it and take them out, too.
        quarantines = {folder: Quarantine(folder.bookkeeping) for folder in self._folders if folder.bookkeeping}
        return [
            Source(JournalFile(Path(name)), folder.ledger, quarantines[folder])
            for name in names
            if (folder := self._folder_of[name]) in quarantines
        ]

    def commit(self) -> None:
        """Put on disk what is remembered."""
        for folder in self._folders:
            if folder.ledger is not None:
                folder.ledger.commit()


class _Folder:
    """One folder, or only some `files` of it, with its lock and its ledger."""

    def __init__(self, path: Path, files: set[Path] | None, state_folder: str | None, command: str) -> None:
        self.path = path
        self.bookkeeping: Path | None = None
        self.ledger: Ledger | None = None
        self._files = files
        self._state_folder = state_folder
        self._command = command
        self._lock: FolderLock | None = None

    def open(self) -> None:
        """Make it where it is not there, and lock it. Raises Locked, and ChatstoreError where that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ChatstoreError(what=f"{self.path}: {error.strerror or error}") from error
        bookkeeping = bookkeeping_folder(self.path, self._state_folder)
        lock = FolderLock(self.path, bookkeeping, self._command)
        lock.acquire()
        self._lock, self.bookkeeping = lock, bookkeeping
        self.ledger = Ledger(bookkeeping / LEDGER_NAME)

    def close(self) -> None:
        """Let go of it."""
        if self.ledger is not None:
            self.ledger.close()
        if self._lock is not None:
            self._lock.release()
        self._lock = self.ledger = self.bookkeeping = None

    def journals(self, troubles: dict[str, ChatstoreError]) -> Iterable[Path]:
        """Its journals, still under its lock; none where it has been removed and cannot be had back yet."""
        try:
            if self._lock is None or not self._lock.is_there:
                self.close()
                self.open()
        except ChatstoreError as error:
            troubles[str(self.path)] = error
            return []

        def keep(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                troubles[str(error.filename)] = _cannot_be_read(str(error.filename), error)

        if self._files is not None:
            return sorted(file for file in self._files if os.path.lexists(file))
        return journals_below(self.path, keep)


def _examine(name: str, now: int, scan: JournalScan) -> None:
    try:
        status = os.stat(name)  # noqa: PTH116 - for every journal each second: a Path would cost more than the call
    except OSError as error:
        if os.path.lexists(name):  # else it has been removed or renamed just now
            scan.errors[name] = _cannot_be_read(name, error)
        return
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for a writer
        scan.errors[name] = ChatstoreError(what=f"{name}: this is no file with lines in it.", hint="Remove it.")
        return
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    value = hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    scan.stamps[name] = FileStamp(value, settled=abs(now - changed) > _UNSETTLED)


def _cannot_be_read(name: str, error: OSError) -> ChatstoreError:
    return ChatstoreError(what=f"{name}: {error.strerror or error}", hint="Give access to it, or remove it.")
