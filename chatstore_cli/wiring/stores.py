"""The databases that the settings name, as ports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from chatstore_cli.wiring.databases import Databases

if TYPE_CHECKING:
    from chatstore_cli.domain.foreign import CollectionContents
    from chatstore_cli.domain.indexes.ports import DocumentDates, DocumentSamples, IndexStore, ServerProbe
    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.message_store import MessageStore
    from chatstore_cli.domain.migrations import MigrationState
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.threads.repair import ThreadRepairs
    from chatstore_cli.domain.times import Clock
    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.mongo.layouts.rights import LayoutRights

GENERAL = "general"
"""The layout of general chats. The indexes of the session registry are listed with this layout."""

AGENTS = "agents"
"""Names the indexes of saved agents, phone numbers and calls, as a layout names its own."""


class Stores(Databases):
    """The stores in the databases that the settings name. Each is imported on first use."""

    def migration_state(self) -> MigrationState:
        """The version of the tables of threads in PostgreSQL."""
        from chatstore_cli.wiring.postgres import migration_state

        return migration_state(self.postgres)

    def clock_of(self, layout: str) -> Clock:
        """The server's clock, if deletions in this layout depend on one; else this machine's."""
        from chatstore_cli.domain.times import utc_now

        return self.server_now if self.uses_mongo(layout) else utc_now

    @cached_property
    def server_now(self) -> Clock:
        """The server's clock, for every deadline by which MongoDB or chatstore deletes. Its first call asks the server."""
        from chatstore_cli.mongo.server_clock import ServerClock

        return ServerClock(self.connection, warn=self._warn).now

    @cached_property
    def message_store(self) -> MessageStore:
        """The collection of flat messages, for writing."""
        return self._message_store(self.connection)

    @cached_property
    def proving_message_store(self) -> MessageStore:
        """The same for a proof that messages are stored: it reads only what a majority of the servers has."""
        return self._message_store(self.connection.reading_majority())

    def _message_store(self, connection: Connection) -> MessageStore:
        from chatstore_cli.mongo.messages.store import MongoMessageStore

        specs = self.index_specs("messages")["messages"]
        collection = self.settings.messages_collection
        return MongoMessageStore(connection, collection, specs, self.patient_connection, self.server_now)

    def index_specs(self, layout: str | None = None, *, whatever_expires: bool = False) -> dict[str, list[IndexSpec]]:
        """The indexes that each layout, or the named one, needs; `agents` is the name of saved agents. Raises BadValue.

        Another product's layout has none unless it is named. Those of the usage ledger are listed with the workflow layout,
        and those of the session registry with the general layout. With `whatever_expires`, a TTL index is included even if
        nothing expires.
        """
        from chatstore_cli.core.indexes import wanted_specs
        from chatstore_cli.mongo.layouts.agent_indexes import indexes_of_agents
        from chatstore_cli.mongo.layouts.registry import OTHER_PRODUCTS
        from chatstore_cli.mongo.session_registry.documents import registry_index_specs
        from chatstore_cli.mongo.usage.rows import usage_index_specs
        from chatstore_cli.wiring.labels import label_indexes

        ttl_days = 1 if whatever_expires else self.settings.mongo.ttl_days
        names = self.settings.layouts.workflow
        others = OTHER_PRODUCTS if layout is None else ()
        found = self.session_readers(layout, accepted=[AGENTS]) if layout != AGENTS else []
        readers = [reader for reader in found if reader.layout not in others]
        specs = {reader.layout: wanted_specs(reader.index_specs(), ttl_days) for reader in readers}
        if "workflow" in specs:
            specs["workflow"].extend(usage_index_specs(names.usage, names.usage_rollups))
        if layout in (None, GENERAL) and self.uses_mongo():
            specs.setdefault(GENERAL, []).extend(
                registry_index_specs(self.settings.layouts.general.registry, self.settings.chatstore.registry.keep_days)
            )
        if layout in (None, AGENTS) and self.uses_mongo():
            specs[AGENTS] = indexes_of_agents(self.connection, self.settings, is_named=layout == AGENTS)
        if layout is None and self.uses_mongo():
            specs["labels"] = label_indexes(self)
        return specs

    def create_missing_indexes(self, layout: str) -> list[str]:
        """Create the indexes of a layout that are missing; returns a line for each one that was created or left alone."""
        return self.create_indexes(self.index_specs(layout)[layout])

    def create_indexes(self, specs: Sequence[IndexSpec]) -> list[str]:
        """Create those of the indexes that are missing; returns a line for each one that was created or left alone."""
        from chatstore_cli.core.indexes import create_missing

        self.contents.require_writable(spec.collection for spec in specs)
        done = list(create_missing(specs, self.index_store, self.document_dates, self.server_now()))
        for line in done:
            self._say(line)
        return done

    @cached_property
    def contents(self) -> CollectionContents:
        """What the collections of the database hold."""
        from chatstore_cli.mongo.layouts.contents import MongoCollectionContents

        return MongoCollectionContents(self.connection, self.settings)

    @cached_property
    def index_store(self) -> IndexStore:
        """The indexes of the database. Builds have no time limit."""
        from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

        return MongoIndexStore(self.connection.reading_from_primary(), self.patient_connection)

    @cached_property
    def document_dates(self) -> DocumentDates:
        """The dates by which documents are deleted, counted within the limits of the settings."""
        from chatstore_cli.mongo.maintenance.expiry_dates import MongoDocumentDates

        bounds = self.settings.verify
        connection = self.connection.reading_from_primary()
        return MongoDocumentDates(connection, seconds=bounds.seconds_per_check, sample=bounds.sample)

    @cached_property
    def server_probe(self) -> ServerProbe:
        """The checks of the server."""
        from chatstore_cli.mongo.maintenance.server_probe import MongoServerProbe

        return MongoServerProbe(self.connection)

    @cached_property
    def layout_rights(self) -> LayoutRights:
        """Which layouts the user of MongoDB may read. Use wiring/readable.py."""
        from chatstore_cli.mongo.layouts.rights import LayoutRights

        return LayoutRights(self.connection, self.settings)

    @cached_property
    def document_samples(self) -> DocumentSamples:
        """Random documents, within the limits of the settings."""
        from chatstore_cli.mongo.layouts.contents import own_documents_of
        from chatstore_cli.mongo.session_documents.document_samples import MongoDocumentSamples

        bounds = self.settings.verify
        return MongoDocumentSamples(
            self.connection,
            own_documents_of(self.settings),
            sample=bounds.sample,
            seconds=bounds.seconds_per_check,
            segments=self.settings.segments_of_sessions,
        )

    @cached_property
    def thread_repairs(self) -> ThreadRepairs:
        """Threads compared with their messages, within the limits of the settings."""
        from chatstore_cli.mongo.threads.repair import MongoThreadRepairs

        return MongoThreadRepairs(self.connection, self.settings, self.settings.verify.seconds_per_check)

    def session_readers(
        self, layout: str | None = None, *, used_for_long: bool = False, accepted: Sequence[str] = ()
    ) -> list[SessionReader]:
        """The readers of every layout, or of the named one. Raises NotFound, and BadValue if it is off.

        With `used_for_long` they notice at once when a missing collection is created; others may take some seconds.
        `accepted` are the words besides layouts that the command accepts; errors name them too.
        """
        if not self.uses_mongo(layout):
            return [self._postgres_reader()]
        from chatstore_cli.mongo.layouts.registry import LAYOUTS, used_layouts

        used = used_layouts(self.settings)
        if layout is not None and layout not in used:
            from chatstore_cli.wiring.layout_errors import unusable_layout

            raise unusable_layout(layout, [*used, *accepted])
        names = [layout] if layout is not None else used
        connection = self.connection if used_for_long else self.connection.for_one_command()
        return [
            self._postgres_reader() if self.uses_postgres(name) else LAYOUTS[name](connection, self.settings)
            for name in names
        ]

    def readers_beside(self, layout: str | None) -> list[SessionReader]:
        """The readers of every layout, for a command that reads this one. They use no database that it does not use."""
        return self.session_readers(None if self.uses_mongo(layout) else layout)

    def _postgres_reader(self) -> SessionReader:
        from chatstore_cli.wiring.postgres import postgres_sessions

        return postgres_sessions(self.postgres)
