"""Folders of journals that are followed: each is created if it does not exist, locked, and scanned in every round."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from chatstore_cli.core.flush.follow import FileStamp, JournalScan
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotFound
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.ignored_files import IgnoredCount, IgnoredFiles
from chatstore_cli.files.folder_lock import FolderLock
from chatstore_cli.files.journal_folders import FileIdentity, named_folders, scan_folder
from chatstore_cli.files.journal_names import read_journal_name
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import LEDGER_NAME, Ledger
from chatstore_cli.files.ownership import access_hint
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.state_folder import bookkeeping_folder

_UNSETTLED = 2_000_000_000
"""Nanoseconds. File systems may give the same time to two changes that are closer together."""


class FollowedFolders:
    """The journals that paths name, inside a `with` block. A path that does not exist is created as a folder.

    Raises NotFound for a path that has a journal's name and does not exist. A folder that is removed is created and
    locked again.
    """

    def __init__(
        self, paths: Sequence[str], state_folder: str | None, command: str, mapping: FieldMapping | None = None
    ) -> None:
        self._mapping = mapping
        if "-" in paths:
            raise BadValue(name="PATH", value="-", expected="a folder or a file: standard input cannot be followed")
        files_of: dict[Path, set[Path] | None] = {}
        for path in map(Path, paths):
            is_journal = read_journal_name(path.name) is not None
            if is_journal and not os.path.lexists(path):
                hint = "To follow journals that do not exist yet, give their folder."
                raise NotFound(kind_of_thing="journal file", name=str(path), where="", hint=hint)
            if path.is_dir() or not (path.exists() or is_journal):
                files_of[path.resolve()] = None
            else:
                file = path.resolve()
                files = files_of.setdefault(file.parent, set())
                if files is not None:
                    files.add(file)
        self._folders = [_Folder(folder, files, state_folder, command) for folder, files in files_of.items()]
        self._folder_of: dict[str, _Folder] = {}
        self.ignored: list[IgnoredFiles] = []
        """The files of the last scan that are not read."""

    def __enter__(self) -> FollowedFolders:
        """Lock every folder. Raises Locked, which names the holder."""
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
        """The folders' paths."""
        return [str(folder.path) for folder in self._folders]

    def scan(self) -> JournalScan:
        """The journals that exist now, and the errors of those that cannot be examined."""
        scan = JournalScan({}, {})
        ignored = IgnoredCount()
        self._folder_of = {}
        now = time.time_ns()
        visited = named_folders(folder.path for folder in self._folders if folder.is_whole)
        for folder in self._folders:
            for path in folder.journals(scan.errors, ignored, visited):
                name = str(path)
                if name not in self._folder_of:
                    self._folder_of[name] = folder
                    _examine(name, now, scan)
        self.ignored = ignored.by_reason()
        return scan._replace(ignored=self.ignored)

    def sources(self, names: Iterable[str]) -> list[Source]:
        """Journals of the last scan, to be flushed."""
        # Other processes change a quarantine too, so it is read again in each round.
        quarantines = {folder: Quarantine(folder.bookkeeping) for folder in self._folders if folder.bookkeeping}
        return [
            Source(JournalFile(Path(name), self._mapping), folder.ledger, quarantines[folder])
            for name in names
            if (folder := self._folder_of[name]) in quarantines
        ]

    def commit(self) -> None:
        """Write the ledgers to the disk."""
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
        """Create it if it does not exist, and lock it. Raises Locked, or ChatstoreError if it cannot be created."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            hint = access_hint(self.path, error)
            raise ChatstoreError(what=f"{self.path}: {error.strerror or error}", hint=hint) from error
        bookkeeping = bookkeeping_folder(self.path, self._state_folder)
        lock = FolderLock(self.path, bookkeeping, self._command)
        lock.acquire()
        self._lock, self.bookkeeping = lock, bookkeeping
        self.ledger = Ledger(bookkeeping / LEDGER_NAME)

    def close(self) -> None:
        """Close its ledger and release its lock."""
        if self.ledger is not None:
            self.ledger.close()
        if self._lock is not None:
            self._lock.release()
        self._lock = self.ledger = self.bookkeeping = None

    @property
    def is_whole(self) -> bool:
        """Whether all of its journals are followed."""
        return self._files is None

    def journals(
        self, errors: dict[str, ChatstoreError], ignored: IgnoredCount, visited: set[FileIdentity]
    ) -> Iterable[Path]:
        """Its journals, under its lock. None if it was removed and cannot be created and locked again now."""
        try:
            if not self._is_open():
                self.close()
                self.open()
        except ChatstoreError as error:
            errors[str(self.path)] = error
            return []

        def note_error(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                errors[str(error.filename)] = _cannot_be_read(str(error.filename), error)

        if self._files is not None:
            return sorted(file for file in self._files if os.path.lexists(file))
        return scan_folder(self.path, ignored, visited, note_error)

    def _is_open(self) -> bool:
        bookkeeping = self.bookkeeping
        return self._lock is not None and self._lock.is_valid and bookkeeping is not None and bookkeeping.is_dir()


def _examine(name: str, now: int, scan: JournalScan) -> None:
    try:
        status = os.stat(name)  # noqa: PTH116 - for every journal each second: a Path would cost more than the call
    except OSError as error:
        if os.path.lexists(name):  # else it has been removed or renamed just now
            scan.errors[name] = _cannot_be_read(name, error)
        return
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for a writer
        scan.errors[name] = ChatstoreError(what=f"{name}: not a regular file.", hint="Remove it, or rename it.")
        return
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    value = hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    scan.stamps[name] = FileStamp(value, settled=abs(now - changed) > _UNSETTLED)


def _cannot_be_read(name: str, error: OSError) -> ChatstoreError:
    hint = access_hint(Path(name), error, "Repair it, rename it, or remove it.")
    return ChatstoreError(what=f"{name}: {error.strerror or error}", hint=hint)
