"""Settings -> ready-made ports. The one place that chooses adapters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chatstore_cli.domain.errors import BadValue, ChatstoreError, Unreachable

if TYPE_CHECKING:
    from chatstore_cli.config import Settings
    from chatstore_cli.core.demo import DemoStage
    from chatstore_cli.core.flush_reading import Source
    from chatstore_cli.domain.indexes import IndexSpec
    from chatstore_cli.domain.journal import FlushResult
    from chatstore_cli.domain.ports import SessionReader
    from chatstore_cli.domain.quarantine import QuarantinedLine
    from chatstore_cli.domain.storing import MessageStore
    from chatstore_cli.domain.upkeep import (
        DocumentDates,
        DocumentSamples,
        IndexStore,
        PendingJournal,
        PendingLines,
        ServerProbe,
    )
    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.mongo.embedded import EmbeddedServer


class Stores:
    """The stores that the settings name. Nothing is imported or connected before it is asked for."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        self.settings = settings
        self._say = say

    @cached_property
    def uri(self) -> str:
        """The URI in force; starts the embedded MongoDB where that is what is configured."""
        mongo = self.settings.mongo
        if not mongo.enabled:
            raise Unreachable(
                what="The database is switched off (mongo.enabled: false).",
                hint="Journals can still be read; set mongo.enabled: true for this command.",
            )
        if mongo.uri != "embedded":
            return mongo.uri
        from chatstore_cli.mongo.embedded import ensure_running

        return ensure_running(mongo.embedded.data_dir, mongo.embedded.runtime_dir, say=self._say)

    @cached_property
    def embedded(self) -> EmbeddedServer:
        """The embedded MongoDB, also where mongo.uri names another server. Starts nothing."""
        from chatstore_cli.mongo.embedded import EmbeddedServer

        return EmbeddedServer(
            self.settings.mongo.embedded.data_dir, self.settings.mongo.embedded.runtime_dir, self._say
        )

    @cached_property
    def connection(self) -> Connection:
        """The connection for ordinary operations, each of which must answer in time."""
        from chatstore_cli.mongo.connection import connect

        mongo = self.settings.mongo
        return connect(
            self.uri,
            mongo.database,
            timeout_seconds=mongo.timeout_seconds,
            write_concern=mongo.write_concern,
            journaled=mongo.journaled,
            answer_seconds=max(mongo.timeout_seconds, 30.0),
        )

    @cached_property
    def patient_connection(self) -> Connection:
        """The connection for what may take long, such as building an index."""
        from chatstore_cli.mongo.connection import connect

        mongo = self.settings.mongo
        return connect(
            self.uri,
            mongo.database,
            timeout_seconds=mongo.timeout_seconds,
            write_concern=mongo.write_concern,
            journaled=mongo.journaled,
        )

    @cached_property
    def target(self) -> str:
        """Server and database in words, without credentials."""
        if self.settings.mongo.uri == "embedded":
            return f"embedded MongoDB, database {self.settings.mongo.database}"
        return self.connection.target

    @cached_property
    def message_store(self) -> MessageStore:
        """The collection of flat messages, to be written to."""
        from chatstore_cli.mongo.message_store import MongoMessageStore

        specs = self.index_specs("messages")["messages"]
        return MongoMessageStore(self.connection, self.settings.messages_collection, specs, self.patient_connection)

    def index_specs(self, layout: str | None = None) -> dict[str, list[IndexSpec]]:
        """The indexes that each layout, or the one named, should have. Raises BadValue for a layout that is none."""
        from chatstore_cli.core.indexes import wanted_specs

        ttl_days = self.settings.mongo.ttl_days
        return {reader.layout: wanted_specs(reader.index_specs(), ttl_days) for reader in self.session_readers(layout)}

    @cached_property
    def index_store(self) -> IndexStore:
        """The indexes of the database; building one may take as long as it takes."""
        from chatstore_cli.mongo.index_engine import MongoIndexStore

        return MongoIndexStore(self.connection, self.patient_connection)

    @cached_property
    def document_dates(self) -> DocumentDates:
        """The dates by which documents are deleted, counted within the bounds of the settings."""
        from chatstore_cli.mongo.document_dates import MongoDocumentDates

        bounds = self.settings.verify
        return MongoDocumentDates(self.connection, seconds=bounds.seconds_per_check, sample=bounds.sample)

    @cached_property
    def server_probe(self) -> ServerProbe:
        """The server, to be asked how it is."""
        from chatstore_cli.mongo.probes import MongoServerProbe

        return MongoServerProbe(self.connection)

    @cached_property
    def document_samples(self) -> DocumentSamples:
        """Documents taken at random, within the bounds of the settings."""
        from chatstore_cli.mongo.probes import MongoDocumentSamples

        bounds = self.settings.verify
        return MongoDocumentSamples(self.connection, sample=bounds.sample, seconds=bounds.seconds_per_check)

    @property
    def pending_journal(self) -> PendingJournal:
        """The journals of mongo.cache.disk_path against the database."""
        return PendingJournals(self)

    def session_readers(self, layout: str | None = None) -> list[SessionReader]:
        """The readers of every layout, or of the one named. Raises BadValue for a layout that does not exist."""
        from chatstore_cli.mongo.layouts.registry import LAYOUTS

        if layout is not None and layout not in LAYOUTS:
            known = ", ".join(LAYOUTS)
            raise BadValue(name="--layout", value=layout, expected=f"a layout: {known}")
        names = [layout] if layout is not None else list(LAYOUTS)
        return [LAYOUTS[name](self.connection, self.settings) for name in names]


class Journals:
    """The journals that paths name, with what remembers them. Raises NotFound for a path that is not there."""

    def __init__(self, settings: Settings, paths: list[str]) -> None:
        from chatstore_cli.files.journal_folders import find_journals

        self._state_folder = settings.state.folder
        self._found = find_journals(paths)

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
        from chatstore_cli.core.flush_reading import Source
        from chatstore_cli.files.ledger import LEDGER_NAME, LedgerReading
        from chatstore_cli.files.quarantine import Quarantine
        from chatstore_cli.files.state import existing_folders

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
        from chatstore_cli.files.state import existing_folders

        for folder in self._found:
            for remembering in existing_folders(folder, self._state_folder):
                yield from Quarantine(remembering).lines()

    @contextmanager
    def to_flush(self, command: str) -> Iterator[list[Source]]:
        """The journals with ledger and quarantine, each folder locked. Raises Locked, naming the holder."""
        from chatstore_cli.core.flush_reading import Source
        from chatstore_cli.files.folder_lock import folder_lock
        from chatstore_cli.files.ledger import LEDGER_NAME, Ledger
        from chatstore_cli.files.quarantine import Quarantine
        from chatstore_cli.files.state import remembering_folder, stdin_folder

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


class PendingJournals:
    """The journals of mongo.cache.disk_path against the database: a flush that stores nothing."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def count(self, seconds: float) -> PendingLines:
        """What is not stored yet. Raises NotFound where there is no journal, Overdue where it takes too long."""
        import time

        from chatstore_cli.core.flush import Flush, FlushOptions
        from chatstore_cli.core.flush_storing import StoringRules
        from chatstore_cli.domain.errors import Overdue
        from chatstore_cli.domain.upkeep import PendingLines

        settings = self._stores.settings
        deadline = time.monotonic() + seconds

        def stop_in_time(_: object) -> None:
            if time.monotonic() > deadline:
                raise Overdue(what=f"reading the journals took longer than {seconds:g} seconds")

        journals = Journals(settings, [settings.mongo.cache.disk_path])
        rules = StoringRules(settings.mongo.ttl_days, ttl_from_created=True, skip_expired=True, dry_run=True)

        def look(*, ignore_ledger: bool) -> FlushResult:
            options = FlushOptions(rules=rules, ignore_ledger=ignore_ledger, timeout=seconds)
            with journals.to_read() as sources:
                return Flush(self._stores.message_store, options, on_progress=stop_in_time).run(sources)

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


def demo_stage(stores: Stores, folder: Path | None) -> DemoStage:
    """The database and the folder of `chatstore demo`; the folder is in the state folder unless one is named."""
    from chatstore_cli.core.demo import DemoStage
    from chatstore_cli.files.sample_folder import MarkedFolder
    from chatstore_cli.files.state import state_root
    from chatstore_cli.mongo.sample_store import MongoSampleStore

    settings = stores.settings
    return DemoStage(
        store=MongoSampleStore(stores.connection, settings.sessions_collection),
        folder=MarkedFolder((folder or state_root(settings.state.folder) / "demo").absolute()),
        uri=settings.mongo.uri,
        database=settings.mongo.database,
        sessions_collection=settings.sessions_collection,
        messages_collection=settings.messages_collection,
        data_dir=settings.mongo.embedded.data_dir,
        runtime_dir=settings.mongo.embedded.runtime_dir,
    )


def new_file(path: str, *, force: bool, private: bool = False) -> AbstractContextManager[BinaryIO]:
    """A file to be written to, which appears whole when the block ends well. Raises Conflict where there is one."""
    from chatstore_cli.files.new_file import new_file as appearing

    return appearing(Path(path), force=force, private=private)


def translate_stray(error: Exception) -> ChatstoreError | None:
    """The error of ours for a driver's or the system's error that no adapter caught; None for a bug."""
    if "pymongo" in sys.modules:  # else it cannot be the driver's, and an error must not cost its import
        from chatstore_cli.mongo.connection import is_driver_error, translate

        if is_driver_error(error):
            return translate(error, "MongoDB")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ChatstoreError(what=f"{where}{error.strerror}")
    return None
