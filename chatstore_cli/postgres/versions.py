"""The versions of the tables. Each is one migration in migrations/versions.

They are listed here too, because reading the migrations imports Alembic, and every write must know the newest one. A test
compares the list with the migrations.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, func, select

from chatstore_cli.domain.migrations import Condition, MigrationState

VERSIONS = ("0001",)
"""The oldest first."""
NEEDED = VERSIONS[-1]

VERSION_TABLE = "chatstore_migrations"
"""Alembic's table of the version. The application may use Alembic too, with a table of its own."""
_VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


def state_of(connection: Connection, database: str) -> MigrationState:
    """The version that the tables have. `database` names the database in texts."""
    version: str | None = None
    if connection.scalar(select(func.to_regclass(VERSION_TABLE))) is not None:
        version = connection.scalar(select(_VERSION.c.version_num))
    return MigrationState(database, version, NEEDED, _condition(version))


def _condition(version: str | None) -> Condition:
    if version is None:
        return "absent"
    if version == NEEDED:
        return "current"
    return "behind" if version in VERSIONS else "ahead"
