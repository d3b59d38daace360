"""Journals that can be removed: links are not followed, and a journal that has changed is not removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from chatstore_cli.core.flush.pruning import Prunable
from chatstore_cli.core.flush.reading import Source
from chatstore_cli.domain.cache_status import FileState
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.files.file_lock import lock_within
from chatstore_cli.files.journal_folders import find_journals, session_named
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.journals import locked_sources, sources_to_read
from chatstore_cli.files.ledger import Ledger
from chatstore_cli.files.quarantine import Quarantine

_SECONDS_TO_LOCK = 1.0
_WITHOUT_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER_WITHOUT_FOLLOWING = _WITHOUT_FOLLOWING | os.O_DIRECTORY


class PrunableJournals:
    """The journals that paths name. A path that is a link is not followed.

    `ignored` has the files in their folders that are not read.
    """

    def __init__(self, paths: list[str], state_folder: str | None, mapping: FieldMapping | None = None) -> None:
        if "-" in paths:
            raise BadValue(name="PATH", value="-", expected="a folder or a file: standard input cannot be removed")
        links = [Path(path) for path in paths if Path(path).is_symlink() and not Path(path).is_dir()]
        self._links = [link.parent.resolve() / link.name for link in links]
        found = find_journals([path for path in paths if Path(path) not in links], mapping)
        self._found = found.by_folder
        self.ignored = found.ignored.by_reason()
        self._state_folder = state_folder
        self._folder_of: dict[str, Path] = {}

    @contextmanager
    def to_read(self) -> Iterator[list[Prunable]]:
        """The journals, to be read only: without a lock, and nothing is written."""
        candidates = [self._link(link) for link in self._links]
        for folder, journals in self._found.items():
            assert folder is not None  # standard input was rejected
            sources = sources_to_read(folder, journals, self._state_folder)
            candidates.extend(_prunable(folder, source) for source in sources)
        yield candidates

    @contextmanager
    def to_prune(self, command: str) -> Iterator[list[Prunable]]:
        """The journals, each folder locked. Raises Locked, which names the holder."""
        candidates = [self._link(link) for link in self._links]
        with ExitStack() as stack:
            for folder, journals in self._found.items():
                assert folder is not None  # standard input was rejected
                for source in locked_sources(stack, folder, journals, self._state_folder, command):
                    self._folder_of[source.journal.name] = folder
                    candidates.append(_prunable(folder, source))
            yield candidates

    def _link(self, link: Path) -> Prunable:
        return _prunable(link.parent, Source(JournalFile(link), None, Quarantine(Path("/nonexistent"))))

    def remove(self, journal: Prunable) -> str | None:
        """Remove it under the lock that writers take, if it has not changed. Returns why it was kept, or None."""
        root = self._folder_of[journal.name]
        *folders, name = Path(journal.name).relative_to(root).parts
        with ExitStack() as stack:
            try:
                opened = [_open(stack, str(root), _FOLDER_WITHOUT_FOLLOWING)]
                for folder in folders:
                    opened.append(_open(stack, folder, _FOLDER_WITHOUT_FOLLOWING, opened[-1]))
                file = _open(stack, name, _WITHOUT_FOLLOWING, opened[-1])
                if not lock_within(file, _SECONDS_TO_LOCK):
                    return "another process keeps its lock"
                now = os.stat(name, dir_fd=opened[-1], follow_symlinks=False)
                if _state(os.fstat(file)) != journal.state or _state(now) != journal.state:
                    return "it has changed"
                os.unlink(name, dir_fd=opened[-1])
            except OSError as error:
                return f"it cannot be removed: {error.strerror or error}"
            if isinstance(journal.source.ledger, Ledger):
                journal.source.ledger.forget(journal.name)
            with suppress(OSError):  # the folder has another journal
                for folder, above in zip(reversed(folders), reversed(opened[:-1]), strict=True):
                    if not folder.endswith("~"):
                        break
                    os.rmdir(folder, dir_fd=above)
        return None


def _prunable(folder: Path, source: Source) -> Prunable:
    name = source.journal.name
    session_id = session_named(folder, Path(name))
    try:
        status = os.stat(name, follow_symlinks=False)  # noqa: PTH116 - beside the calls above; a link itself, not its target
    except OSError as error:
        return Prunable(name, session_id, FileState(0, 0, 0, 0), source, error.strerror or str(error))
    unfit = None
    if not stat.S_ISREG(status.st_mode):
        unfit = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
    elif any(above.is_symlink() for above in Path(name).parents if above.is_relative_to(folder) and above != folder):
        unfit = "in a linked folder: name that folder itself"
    return Prunable(name, session_id, _state(status), source, unfit)


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _open(stack: ExitStack, name: str, flags: int, folder: int | None = None) -> int:
    descriptor = os.open(name, flags, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor
