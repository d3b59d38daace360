"""Journals on disk with what remembers them: lock, ledger and quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.flush.reading import Source
    from chatstore_cli.domain.cache_status import CacheLook
    from chatstore_cli.domain.errors import ChatstoreError
    from chatstore_cli.domain.indexes.ports import PendingLines
    from chatstore_cli.domain.journal import FlushResult, Position
    from chatstore_cli.domain.message_store import MessageStore
    from chatstore_cli.domain.quarantine import QuarantinedLine
    from chatstore_cli.files.followed_folders import FollowedFolders
    from chatstore_cli.files.prunable_journals import PrunableJournals


class Journals:
    """The journals that paths name, with what remembers them. Raises NotFound for a path that is not there."""

    def __init__(self, settings: Settings, paths: list[str]) -> None:
        from chatstore_cli.files.journal_folders import find_journals

        self._state_folder = settings.state.folder
        self._found = find_journals(paths)
        self._whole = {Path(path).resolve() for path in paths if path != "-" and Path(path).is_dir()}

    @property
    def total_bytes(self) -> int:
        """Bytes of all journals; 0 where one is standard input, whose end nobody knows."""
        if None in self._found:
            return 0
        return sum(journal.size() for journals in self._found.values() for journal in journals)

    @property
    def from_stdin(self) -> bool:
        """Whether standard input is among them, which can be read once only."""
        return None in self._found

    @contextmanager
    def to_read(self) -> Iterator[list[Source]]:
        """The journals for looking only: nothing is written beside them, and no lock is needed."""
        from chatstore_cli.core.flush.reading import Source
        from chatstore_cli.files.ledger import LEDGER_NAME, LedgerReading
        from chatstore_cli.files.quarantine import Quarantine
        from chatstore_cli.files.state_folder import existing_folders

        sources: list[Source] = []
        for folder, journals in self._found.items():
            remembering = next(iter(existing_folders(folder, self._state_folder)), Path("/nonexistent"))
            ledger = LedgerReading(remembering / LEDGER_NAME) if folder else None
            quarantine = Quarantine(remembering)
            sources.extend(Source(journal, ledger, quarantine) for journal in journals)
        yield sources

    def quarantined(self) -> Iterator[QuarantinedLine]:
        """The quarantined lines of every folder that the paths name."""
        from chatstore_cli.files.quarantine import Quarantine
        from chatstore_cli.files.state_folder import existing_folders

        for folder in self._found:
            for remembering in existing_folders(folder, self._state_folder):
                yield from Quarantine(remembering).lines()

    def status(self, message_store: Callable[[], MessageStore] | None) -> CacheLook:
        """How they stand against the database; without one (None), or where it is away, what the files tell."""
        from chatstore_cli.core.flush.status import standing, standing_without_database
        from chatstore_cli.domain.cache_status import CacheLook, CacheStatus
        from chatstore_cli.domain.errors import NotAllowed, Unreachable
        from chatstore_cli.files.folder_lock import holder_of
        from chatstore_cli.files.journal_folders import session_named
        from chatstore_cli.files.ledger import LedgerReading
        from chatstore_cli.files.state_folder import existing_folders

        def known(source: Source) -> Position | None:
            ledger = source.ledger
            return ledger.newest(source.journal.name) if isinstance(ledger, LedgerReading) else None

        remembering = [place for folder in self._found for place in existing_folders(folder, self._state_folder)]
        away: ChatstoreError | None = None
        found = None
        with self.to_read() as sources:
            try:
                found = None if message_store is None else standing(sources, message_store())
            except (Unreachable, NotAllowed) as error:
                away = error
            if found is None:
                found = standing_without_database(sources, known)
        status = CacheStatus(
            sessions=len(
                {
                    (folder, session_named(folder, Path(journal.name)))
                    for folder, journals in self._found.items()
                    if folder is not None
                    for journal in journals
                }
            ),
            journals=sum(map(len, self._found.values())),
            lines=found.lines,
            bytes=self.total_bytes,
            not_persisted=found.to_store,
            oldest_not_persisted=found.oldest,
            to_quarantine=found.to_quarantine,
            torn=found.torn,
            quarantined=self._quarantined_of_them(),
            worker=next(filter(None, map(holder_of, remembering)), None),
        )
        return CacheLook(status, [error for error in (away, *found.unreadable) if error is not None])

    def _quarantined_of_them(self) -> int:
        """How many lines are in quarantine: of whole folders all, of others those of the journals that were named."""
        from chatstore_cli.files.quarantine import Quarantine, source_shown
        from chatstore_cli.files.state_folder import existing_folders

        count = 0
        for folder, journals in self._found.items():
            named = {source_shown(journal.name) for journal in journals}
            for remembering in existing_folders(folder, self._state_folder):
                lines = Quarantine(remembering).lines()
                count += sum(1 for line in lines if folder in self._whole or line.source in named)
        return count

    @contextmanager
    def to_flush(self, command: str) -> Iterator[list[Source]]:
        """The journals with ledger and quarantine, each folder locked. Raises Locked, naming the holder."""
        from chatstore_cli.core.flush.reading import Source
        from chatstore_cli.files.folder_lock import folder_lock
        from chatstore_cli.files.ledger import LEDGER_NAME, Ledger
        from chatstore_cli.files.quarantine import Quarantine
        from chatstore_cli.files.state_folder import remembering_folder, stdin_folder

        with ExitStack() as stack:
            sources: list[Source] = []
            for folder, journals in self._found.items():
                if folder is None:
                    remembering = stdin_folder(self._state_folder)
                    sources.extend(Source(journal, None, Quarantine(remembering)) for journal in journals)
                    continue
                remembering = remembering_folder(folder, self._state_folder)
                stack.enter_context(folder_lock(folder, remembering, command))
                ledger = Ledger(remembering / LEDGER_NAME)
                stack.callback(ledger.close)
                quarantine = Quarantine(remembering)
                sources.extend(Source(journal, ledger, quarantine) for journal in journals)
            yield sources


def prunable(settings: Settings, paths: list[str]) -> PrunableJournals:
    """The journals that paths name, to be removed. Raises NotFound for a path that is not there."""
    from chatstore_cli.files.prunable_journals import PrunableJournals

    return PrunableJournals(paths, settings.state.folder)


def followed(settings: Settings, paths: list[str], command: str) -> FollowedFolders:
    """The journals that paths name, to be followed. Opened as a context manager; raises Locked then."""
    from chatstore_cli.files.followed_folders import FollowedFolders

    return FollowedFolders(paths, settings.state.folder, command)


class PendingJournals:
    """The journals of mongo.cache.disk_path against the database: a flush that stores nothing."""

    def __init__(self, settings: Settings, message_store: Callable[[], MessageStore]) -> None:
        self._settings = settings
        self._message_store = message_store

    def count(self, seconds: float) -> PendingLines:
        """What is not stored yet. Raises NotFound where there is no journal, Overdue where it takes too long."""
        import time

        from chatstore_cli.core.flush.run import Flush, FlushOptions
        from chatstore_cli.core.flush.storing import StoringRules
        from chatstore_cli.domain.errors import Overdue
        from chatstore_cli.domain.indexes.ports import PendingLines

        settings = self._settings
        deadline = time.monotonic() + seconds

        def stop_in_time(_: object) -> None:
            if time.monotonic() > deadline:
                raise Overdue(what=f"reading the journals took longer than {seconds:g} seconds")

        journals = Journals(settings, [settings.mongo.cache.disk_path])
        rules = StoringRules(settings.mongo.ttl_days, ttl_from_created=True, skip_expired=True, dry_run=True)

        def look(*, ignore_ledger: bool) -> FlushResult:
            options = FlushOptions(rules=rules, ignore_ledger=ignore_ledger, timeout=seconds)
            with journals.to_read() as sources:
                return Flush(self._message_store(), options, on_progress=stop_in_time).run(sources)

        new, every = look(ignore_ledger=False), look(ignore_ledger=True)
        return PendingLines(
            journals=every.files,
            lines=every.lines,
            to_store=new.stored + new.expired,
            to_quarantine=every.quarantined,
            torn=every.pending,
            missing=every.stored - new.stored,
            in_quarantine=sum(1 for _ in journals.quarantined()),
        )
