"""The databases that the settings name: where they are, which layouts they have, and the connections to them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import Unreachable

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.mongo.collection_facts import KnownCollections
    from chatstore_cli.mongo.command_monitor import CommandCallbacks
    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.mongo.embedded.server import EmbeddedServer
    from chatstore_cli.mongo.waiting import WaitingNotice
    from chatstore_cli.postgres.database import PostgresDatabase

THREADS = "threads"
"""The layout whose sessions can be in another database than those of the other layouts."""


class Databases:
    """MongoDB, and PostgreSQL if threads are there. Each is connected on first use."""

    def __init__(
        self, settings: Settings, *, say: Callable[[str], None], warn: Callable[[str], None] | None = None
    ) -> None:
        """`say` is called with each notice, `warn` with each warning (by default `say` too)."""
        self.settings = settings
        self._say = say
        self._warn = warn or say
        self._listener: CommandCallbacks | None = None
        self._from_primary = False

    def listen(self, answered: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Call back for every answer and for each failure that the driver hides, on connections that are made after this."""
        from chatstore_cli.mongo.command_monitor import CommandCallbacks

        self._listener = CommandCallbacks(answered, failed)

    def read_from_primary(self) -> None:
        """From now on read from the primary, whatever the URI prefers: what a command writes depends on what it reads."""
        self._from_primary = True
        for name in ("connection", "patient_connection"):
            if name in self.__dict__:
                self.__dict__[name] = self.__dict__[name].reading_from_primary()

    @cached_property
    def uri(self) -> str:
        """The URI of the server. Starts the embedded MongoDB if that is configured."""
        mongo = self.settings.mongo
        if not mongo.enabled:
            raise Unreachable(
                what="The database is disabled (mongo.enabled: false).",
                hint="To run this command, set mongo.enabled: true. Journals can be read without a database.",
            )
        if mongo.uri != "embedded":
            return mongo.uri
        return self.embedded.ensure_running()

    @cached_property
    def embedded(self) -> EmbeddedServer:
        """The embedded MongoDB, even if mongo.uri names another server. Starts nothing."""
        from chatstore_cli.mongo.embedded.server import EmbeddedServer

        return EmbeddedServer(
            self.settings.mongo.embedded.data_dir, self.settings.mongo.embedded.runtime_dir, self._say
        )

    @cached_property
    def connection(self) -> Connection:
        """The connection for ordinary operations, which have a time limit."""
        return self.new_connection(answer_seconds=max(self.settings.mongo.timeout_seconds, 30.0))

    @cached_property
    def patient_connection(self) -> Connection:
        """The connection for operations without a time limit, such as index builds."""
        return self.new_connection(answer_seconds=None)

    def new_connection(self, answer_seconds: float | None) -> Connection:
        """A connection with this time limit for an answer of the server; None means no limit."""
        from chatstore_cli.mongo.connection import connect

        mongo, uri, waiting = self.settings.mongo, self.uri, self._waiting_notice
        with waiting.while_looking_up() if uri.startswith("mongodb+srv://") else nullcontext():
            connection = connect(
                uri,
                mongo.database,
                timeout_seconds=mongo.timeout_seconds,
                write_concern=mongo.write_concern,
                journaled=mongo.journaled,
                answer_seconds=answer_seconds,
                listener=self._listener,
                waiting=waiting,
                known_collections=self._known_collections,
            )
        return connection.reading_from_primary() if self._from_primary else connection

    @cached_property
    def _known_collections(self) -> KnownCollections:
        """The facts of collections, for all connections."""
        from chatstore_cli.mongo.collection_facts import KnownCollections

        return KnownCollections(self.settings.collections)

    @cached_property
    def _waiting_notice(self) -> WaitingNotice:
        """Reports once that no server answers, for all connections."""
        from chatstore_cli.mongo.waiting import SECONDS_UNTIL_NOTICE, WaitingNotice

        limit = self.settings.mongo.timeout_seconds
        text = (
            f"Waiting for MongoDB ({self.target}): no answer for {SECONDS_UNTIL_NOTICE:g} seconds. "
            f"The time limit of an attempt is {limit:g} s (mongo.timeout_seconds)."
        )
        return WaitingNotice(lambda: self._say(text))

    @cached_property
    def target(self) -> str:
        """Server and database as text, without credentials. Nothing is connected."""
        if self.settings.mongo.uri == "embedded":
            return f"embedded MongoDB, database {self.settings.mongo.database}"
        from chatstore_cli.mongo.connection import describe

        return describe(self.uri, self.settings.mongo.database)

    def uses_mongo(self, layout: str | None = None) -> bool:
        """Whether MongoDB has sessions of a layout, or of any layout. It has none if it is disabled and PostgreSQL is not."""
        if not self.settings.threads_on_postgres:
            return True
        return layout != THREADS and (layout is not None or self.settings.mongo.enabled)

    def uses_postgres(self, layout: str | None = None) -> bool:
        """Whether PostgreSQL has sessions of a layout, or of any layout."""
        return self.settings.threads_on_postgres and layout in (None, THREADS)

    def target_of(self, layout: str | None) -> str:
        """The servers and databases that have the sessions of a layout, or of all layouts. Nothing is connected."""
        targets = [self.target] if self.uses_mongo(layout) else []
        return " and ".join([*targets, *([f"PostgreSQL {self.postgres.target}"] if self.uses_postgres(layout) else [])])

    @cached_property
    def postgres(self) -> PostgresDatabase:
        """The PostgreSQL of the settings. It connects on first use."""
        from chatstore_cli.wiring.postgres import postgres_database

        seconds = self.settings.mongo.timeout_seconds
        return postgres_database(self.settings.chatstore.threads.uri or "", timeout_seconds=seconds)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the total time of all operations inside."""
        from chatstore_cli.mongo.connection import time_limit

        return time_limit(seconds)

    def close(self) -> None:
        """Close the connections. A later use connects again."""
        if "postgres" in self.__dict__:
            self.postgres.close()
        for name in ("connection", "patient_connection"):
            connection = self.__dict__.pop(name, None)
            if connection is not None and not connection.in_memory:
                connection.client.close()
        for name in [
            name
            for name in self.__dict__
            if name not in ("settings", "_say", "_warn", "_listener", "_from_primary", "embedded")
        ]:
            del self.__dict__[name]
