"""Journals that may be removed: looked at without following links, and removed only as they were looked at."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from chatstore_cli.core.flush.pruning import Prunable
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.domain.cache_status import FileState
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.files.folder_lock import folder_lock
from chatstore_cli.files.journal_folders import find_journals, session_named
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import LEDGER_NAME, Ledger, LedgerReading
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.state_folder import bookkeeping_folder, existing_bookkeeping_folders

_SECONDS_FOR_A_WRITER = 1.0
_AS_IT_STANDS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER_AS_IT_STANDS = _AS_IT_STANDS | os.O_DIRECTORY


class PrunableJournals:
    """The journals that paths name, each folder locked. A link that is named itself is not followed either."""

    def __init__(self, paths: list[str], state_folder: str | None) -> None:
        if "-" in paths:
            raise BadValue(name="PATH", value="-", expected="a folder or a file: standard input cannot be removed")
        links = [Path(path) for path in paths if Path(path).is_symlink() and not Path(path).is_dir()]
        self._links = [link.parent.resolve() / link.name for link in links]
        self._found = find_journals([path for path in paths if Path(path) not in links])
        self._state_folder = state_folder
        self._folder_of: dict[str, tuple[Path, Ledger | None]] = {}

    @contextmanager
    def to_look_at(self) -> Iterator[list[Prunable]]:
        """The journals for looking only: without a lock, and nothing is written."""
        found = [self._link(link) for link in self._links]
        for folder, journals in self._found.items():
            assert folder is not None  # standard input was refused
            bookkeeping = next(iter(existing_bookkeeping_folders(folder, self._state_folder)), Path("/nonexistent"))
            ledger, quarantine = LedgerReading(bookkeeping / LEDGER_NAME), Quarantine(bookkeeping)
            found.extend(_prunable(folder, Source(journal, ledger, quarantine)) for journal in journals)
        yield found

    @contextmanager
    def to_prune(self, command: str) -> Iterator[list[Prunable]]:
        """The journals, each folder locked. Raises Locked, naming the holder."""
        found = [self._link(link) for link in self._links]
        with ExitStack() as stack:
            for folder, journals in self._found.items():
                assert folder is not None  # standard input was refused
                bookkeeping = bookkeeping_folder(folder, self._state_folder)
                stack.enter_context(folder_lock(folder, bookkeeping, command))
                ledger, quarantine = Ledger(bookkeeping / LEDGER_NAME), Quarantine(bookkeeping)
                stack.callback(ledger.close)
                for journal in journals:
                    self._folder_of[journal.name] = folder, ledger
                    found.append(_prunable(folder, Source(journal, ledger, quarantine)))
            yield found

    def _link(self, link: Path) -> Prunable:
        return _prunable(link.parent, Source(JournalFile(link), None, Quarantine(Path("/nonexistent"))))

    def remove(self, journal: Prunable) -> str | None:
        """Remove it under the lock that every writer takes, where it still is as it was; else why not."""
        root, ledger = self._folder_of[journal.name]
        *folders, name = Path(journal.name).relative_to(root).parts
        with ExitStack() as stack:
            try:
                opened = [_open(stack, str(root), _FOLDER_AS_IT_STANDS)]
                for folder in folders:
                    opened.append(_open(stack, folder, _FOLDER_AS_IT_STANDS, opened[-1]))
                file = _open(stack, name, _AS_IT_STANDS, opened[-1])
                if not _locked(file):
                    return "a writer does not let go of it"
                now = os.stat(name, dir_fd=opened[-1], follow_symlinks=False)
                if _state(os.fstat(file)) != journal.state or _state(now) != journal.state:
                    return "it was changed just now"
                os.unlink(name, dir_fd=opened[-1])
            except OSError as error:
                return f"it cannot be removed: {error.strerror or error}"
            if ledger is not None:
                ledger.forget(journal.name)
            with suppress(OSError):  # it holds another journal
                for folder, above in zip(reversed(folders), reversed(opened[:-1]), strict=True):
                    if not folder.endswith("~"):
                        break
                    os.rmdir(folder, dir_fd=above)
        return None


def _prunable(folder: Path, source: Source) -> Prunable:
    name = source.journal.name
    session_id = session_named(folder, Path(name))
    try:
        status = os.stat(name, follow_symlinks=False)  # noqa: PTH116 - as above: what the path has, not where it leads
    except OSError as error:
        return Prunable(name, session_id, FileState(0, 0, 0, 0), source, error.strerror or str(error))
    unfit = None
    if not stat.S_ISREG(status.st_mode):
        unfit = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no regular file"
    return Prunable(name, session_id, _state(status), source, unfit)


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _open(stack: ExitStack, name: str, flags: int, folder: int | None = None) -> int:
    descriptor = os.open(name, flags, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _locked(file: int) -> bool:
    deadline = time.monotonic() + _SECONDS_FOR_A_WRITER
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True
