"""The journals that paths name, with their locks, ledgers and quarantines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

from chatstore_cli.core.flush.reading import Source
from chatstore_cli.domain.cache_status import LockHolder
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.journal import Position
from chatstore_cli.domain.quarantine import NumberedLine, QuarantinedLine
from chatstore_cli.files.folder_lock import folder_lock, holder_of
from chatstore_cli.files.journal_folders import find_journals, session_named
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import LEDGER_NAME, Ledger, LedgerReading
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.running_workers import running_worker
from chatstore_cli.files.session_names import printable
from chatstore_cli.files.state_folder import bookkeeping_folder, existing_bookkeeping_folders, stdin_folder


class NamedJournals:
    """The journals that paths name. Raises NotFound for a path that does not exist.

    `ignored` has the files in their folders that are not read.
    """

    def __init__(self, paths: list[str], state_folder: str | None, mapping: FieldMapping | None = None) -> None:
        self._state_folder = state_folder
        self.mapping = mapping
        found = find_journals(paths, mapping)
        self._journals = found.by_folder
        self.ignored = found.ignored.by_reason()
        self._whole_folders = {Path(path).resolve() for path in paths if path != "-" and Path(path).is_dir()}

    @property
    def total_bytes(self) -> int:
        """Bytes of all journals; 0 if one of them is standard input, whose length is not known."""
        if self.from_stdin:
            return 0
        return sum(journal.size() for journals in self._journals.values() for journal in journals)

    @property
    def from_stdin(self) -> bool:
        """Whether standard input is among them, which can be read only once."""
        return None in self._journals

    @property
    def sessions(self) -> int:
        """How many sessions the names of the journals stand for: rotated journals of a session count as one."""
        names = {
            (folder, session_named(folder, Path(journal.name)))
            for folder, journals in self._journals.items()
            if folder is not None
            for journal in journals
        }
        return len(names)

    @property
    def folders(self) -> list[str]:
        """The folders of the journals."""
        return [str(folder) for folder in self._journals if folder is not None]

    @contextmanager
    def to_read(self) -> Iterator[list[Source]]:
        """The journals, to be read only: nothing is written beside them, and no lock is needed."""
        groups = self._journals.items()
        yield [
            source for folder, journals in groups for source in sources_to_read(folder, journals, self._state_folder)
        ]

    @contextmanager
    def to_flush(self, command: str) -> Iterator[list[Source]]:
        """The journals with ledger and quarantine, each folder locked. Raises Locked, which names the holder."""
        with ExitStack() as stack:
            sources: list[Source] = []
            for folder, journals in self._journals.items():
                if folder is None:
                    bookkeeping = stdin_folder(self._state_folder)
                    sources.extend(Source(journal, None, Quarantine(bookkeeping)) for journal in journals)
                else:
                    sources.extend(locked_sources(stack, folder, journals, self._state_folder, command))
            yield sources

    def furthest_position(self, source: Source) -> Position | None:
        """How far a journal of `to_read` was stored in the collection that has most of it."""
        ledger = source.ledger
        return (
            ledger.furthest_position(source.journal.name, source.journal.mapping_key)
            if isinstance(ledger, LedgerReading)
            else None
        )

    def quarantined(self) -> Iterator[QuarantinedLine]:
        """The quarantined lines of every folder that the paths name. Raises as `numbered_lines` does."""
        return (numbered.line for numbered in self.numbered_lines())

    def numbered_lines(self) -> Iterator[NumberedLine]:
        """The same with the numbers by which a list shows them.

        Raises ChatstoreError if a quarantine cannot be read, after the lines of all others.
        """
        errors: list[ChatstoreError] = []
        number = 0
        for _, bookkeeping in self._remembering():
            try:
                for line in Quarantine(bookkeeping).lines():
                    number += 1
                    yield NumberedLine(number, line, str(bookkeeping))
            except ChatstoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    @contextmanager
    def to_resolve(self, command: str) -> Iterator[dict[str, Quarantine]]:
        """The quarantines by their folder, each journal folder locked. Raises Locked, which names the holder."""
        with ExitStack() as stack:
            for folder in self._journals:
                if folder is not None:
                    stack.enter_context(folder_lock(folder, bookkeeping_folder(folder, self._state_folder), command))
            yield {str(bookkeeping): Quarantine(bookkeeping) for _, bookkeeping in self._remembering()}

    def count_quarantined(self) -> int:
        """How many lines are in quarantine: of a whole folder all lines, else those of the journals that were named."""
        count = 0
        for folder, bookkeeping in self._remembering():
            named = {printable(journal.name) for journal in self._journals[folder]}
            lines = Quarantine(bookkeeping).lines()
            count += sum(1 for line in lines if folder in self._whole_folders or line.source in named)
        return count

    def worker(self) -> LockHolder | None:
        """The process that holds the lock of the first locked folder; otherwise a server whose worker uses a folder."""
        folders = [folder for folder in self._journals if folder is not None]
        kept = [existing_bookkeeping_folders(folder, self._state_folder) for folder in folders]
        holders = (holder_of(folder, next(iter(each), folder)) for folder, each in zip(folders, kept, strict=True))
        return next(filter(None, holders), None) or running_worker(chain.from_iterable(kept))

    def _remembering(self) -> Iterator[tuple[Path | None, Path]]:
        for folder in self._journals:
            for bookkeeping in existing_bookkeeping_folders(folder, self._state_folder):
                yield folder, bookkeeping


def sources_to_read(folder: Path | None, journals: Sequence[JournalFile], state_folder: str | None) -> list[Source]:
    """Journals of one folder, to be read only: nothing is written beside them, and no lock is needed."""
    bookkeeping = next(iter(existing_bookkeeping_folders(folder, state_folder)), Path("/nonexistent"))
    ledger = LedgerReading(bookkeeping / LEDGER_NAME) if folder else None
    quarantine = Quarantine(bookkeeping)
    return [Source(journal, ledger, quarantine) for journal in journals]


def locked_sources(
    stack: ExitStack, folder: Path, journals: Sequence[JournalFile], state_folder: str | None, command: str
) -> list[Source]:
    """Journals of one folder, which is locked until the stack is closed. Raises Locked, which names the holder."""
    bookkeeping = bookkeeping_folder(folder, state_folder)
    stack.enter_context(folder_lock(folder, bookkeeping, command))
    ledger, quarantine = Ledger(bookkeeping / LEDGER_NAME), Quarantine(bookkeeping)
    stack.callback(ledger.close)
    return [Source(journal, ledger, quarantine) for journal in journals]
