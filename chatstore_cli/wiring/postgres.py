"""Threads on PostgreSQL, whose libraries belong to an optional extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import WrongUse

if TYPE_CHECKING:
    from chatstore_cli.domain.migrations import MigrationState
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.threads.ports import ThreadStore
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.threads.search_index import SearchIndex

_LIBRARIES = ("sqlalchemy", "psycopg", "alembic")


def postgres_database(uri: str, **options: float | None) -> PostgresDatabase:
    """The database of a URI. It connects on first use. Options that are None have their defaults.

    Raises BadValue for a wrong URI, and WrongUse without the extra.
    """
    with _extra():
        from chatstore_cli.postgres.database import PostgresDatabase

        given = {name: value for name, value in options.items() if value is not None}
        return PostgresDatabase(uri, **given)  # type: ignore[arg-type]  # the numbers of a pool are whole


def postgres_store(database: PostgresDatabase) -> ThreadStore:
    """The store of threads in this database."""
    from chatstore_cli.postgres.threads.store import PostgresThreadStore

    return PostgresThreadStore(database)


def postgres_sessions(database: PostgresDatabase) -> SessionReader:
    """The reader of the layout `threads` in this database."""
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions

    return PostgresThreadSessions(database)


def search_index(database: PostgresDatabase) -> SearchIndex:
    """The text index of messages. Raises WrongUse without the extra."""
    with _extra():
        from chatstore_cli.postgres.threads.search_index import SearchIndex

        return SearchIndex(database)


def migration_state(database: PostgresDatabase) -> MigrationState:
    """The version of the tables, and the one that is needed."""
    with _extra():
        from chatstore_cli.postgres.migrate import state

        return state(database)


def migrate(database: PostgresDatabase) -> MigrationState:
    """Bring the tables to the needed version. Returns the state before."""
    with _extra():
        from chatstore_cli.postgres.migrate import migrate

        return migrate(database)


def migration_sql() -> str:
    """The statements that make the tables in an empty database. Nothing is connected."""
    with _extra():
        from chatstore_cli.postgres.migrate import sql

        return sql()


@contextmanager
def _extra() -> Iterator[None]:
    """Raise WrongUse if the libraries of the extra cannot be imported."""
    try:
        yield
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name and name not in _LIBRARIES:
            raise
        raise WrongUse(
            what="Threads on PostgreSQL require the packages SQLAlchemy, psycopg and Alembic.",
            hint="Run pip install 'chatstore-cli[postgres]'.",
        ) from error
