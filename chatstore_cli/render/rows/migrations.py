"""Rows of `chatstore threads migrate`."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.migrations import MigrationState
from chatstore_cli.render.listing import Column

MIGRATION_FIELDS = (
    Column("database", "DATABASE", whole=True),
    Column("version", "VERSION"),
    Column("needed", "NEEDED"),
    Column("condition", "CONDITION"),
    Column("result", "RESULT"),
)


def migration_row(state: MigrationState, result: str) -> dict[str, Any]:
    """The state of the tables after the command, and what the command did."""
    return {
        "database": state.database,
        "version": state.version,
        "needed": state.needed,
        "condition": state.condition,
        "result": result,
    }
