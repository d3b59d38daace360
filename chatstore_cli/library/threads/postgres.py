"""The threads of an application in two tables of a PostgreSQL database."""

from __future__ import annotations

from typing import Self

from chatstore_cli.config.loading import load_settings
from chatstore_cli.config.thread_database import DatabaseConfig
from chatstore_cli.config.uris import flaw_of_postgres_uri
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import BadConfig, BadValue
from chatstore_cli.domain.migrations import MigrationState
from chatstore_cli.wiring.postgres import migrate, migration_state, postgres_database, postgres_store

_TIMEOUT_SECONDS = 5.0
_MOST_SECONDS = 3600


class PostgreSQLConversationRepository(StoredConversations):
    """Stores threads and their messages in PostgreSQL. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        connection_string: str | None = None,
        *,
        pool_size: int | None = None,
        max_overflow: int | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        strict_roles: bool = True,
    ) -> None:
        """`connection_string` is `postgresql://USER:PASSWORD@HOST:5432/DATABASE` with the options of libpq, such as
        `?sslmode=verify-full&sslrootcert=/etc/ca.pem`.

        What is None comes from the variables `DB_*`, as in `DatabaseConfig.from_env()`; with a `connection_string` no
        variable is read, and the pool keeps 5 connections and opens up to 10 more. Connecting, each statement and repeating
        a transaction take at most `timeout_seconds`. The tables are made by `migrate`, or by `chatstore threads migrate`.

        With `strict_roles` False a message may have any role, else only user, assistant, system and tool. Raises BadValue,
        BadVariable, and WrongUse without the extra `postgres`.
        """
        if connection_string is None:
            config = DatabaseConfig.postgresql_from_env()
            connection_string = config.get_connection_string()
            pool_size = config.pool_size if pool_size is None else pool_size
            max_overflow = config.max_overflow if max_overflow is None else max_overflow
        if flaw := flaw_of_postgres_uri(connection_string):
            raise BadValue(name="connection_string", value="its value", expected=flaw)
        for name, number, least in (("pool_size", pool_size, 1), ("max_overflow", max_overflow, 0)):
            if number is not None and (number.__class__ is not int or number < least):
                raise BadValue(name=name, value=number, expected=f"a whole number from {least}")
        if not 0 < timeout_seconds <= _MOST_SECONDS:
            raise BadValue(name="timeout_seconds", value=timeout_seconds, expected="above 0, up to 3600")
        self._database = postgres_database(
            connection_string, pool_size=pool_size, max_overflow=max_overflow, timeout_seconds=timeout_seconds
        )
        super().__init__(postgres_store(self._database), strict_roles=strict_roles)

    @classmethod
    def from_config(cls, config_file: str | None = None, *, strict_roles: bool = True) -> Self:
        """The threads of chatstore's configuration (chatstore.threads.uri, mongo.timeout_seconds).

        Raises BadConfig if its backend is not postgresql.
        """
        settings = load_settings(config_file)
        uri = settings.chatstore.threads.uri
        if not settings.threads_on_postgres or uri is None:
            what = f"chatstore.threads.backend is {settings.chatstore.threads.backend}."
            raise BadConfig(where=config_file or "configuration", what=what, hint="Set it to postgresql.")
        return cls(uri, timeout_seconds=settings.mongo.timeout_seconds, strict_roles=strict_roles)

    @property
    def target(self) -> str:
        """Server and database as text, without user and password."""
        return self._database.target

    def migrate(self) -> MigrationState:
        """Make the tables, or bring them to the version that this program needs. Returns the state before.

        Several processes may do so at once. Raises Unreachable if the tables are of a newer version, NotAllowed, Conflict.
        """
        return migrate(self._database)

    def migration_state(self) -> MigrationState:
        """The version of the tables, and the one that this program needs. Raises Unreachable, NotAllowed."""
        return migration_state(self._database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A later use connects again."""
        self._database.close()
