"""Bringing the tables of a database to the version that this program needs, with Alembic, without a file of settings."""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select, text

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.migrations import MigrationState
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.versions import NEEDED, state_of

_LOCK = 0x63686174_73746F72
"""The number of the advisory lock: "chatstor" in ASCII. Advisory locks of other programs have other numbers."""


def state(database: PostgresDatabase) -> MigrationState:
    """The version that the tables have, and the one that this program needs."""
    return database.read("reading the version of the tables", lambda connection: state_of(connection, database.target))


def migrate(database: PostgresDatabase) -> MigrationState:
    """Bring the tables to the needed version in one transaction. Returns the state before.

    Another process that migrates the same database is waited for. Raises Unreachable if the tables are of a newer version, and
    Conflict if tables of these names exist that no migration made.
    """

    def run(connection: Connection) -> MigrationState:
        # A migration may take long, and so may the one that another process runs.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(text("SET LOCAL lock_timeout = DEFAULT"))
        before = state_of(connection, database.target)
        if before.condition == "ahead":
            before.require_current()
        if before.condition == "absent" and connection.scalar(select(func.to_regclass("chat_threads"))) is not None:
            raise Conflict(
                what=f"{database.target} has a table chat_threads that chatstore did not make. Nothing was changed.",
                hint="Use another database, or another schema: add options=-csearch_path%3DNAME to the connection string.",
            )
        if not before.is_current:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, NEEDED)
        return before

    return database.change("migrating the tables", run, needs_tables=False)


def sql() -> str:
    """The statements that make the tables in an empty database, for an administrator who runs them."""
    output = io.StringIO()
    command.upgrade(_config(output), NEEDED, sql=True)
    return output.getvalue()


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
