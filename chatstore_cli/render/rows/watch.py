"""Rows of `sessions watch`: a session's facts, what happened to it, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column
from chatstore_cli.render.rows.sessions import SESSION_COLUMNS, session_row

if TYPE_CHECKING:
    from chatstore_cli.domain.watch import SessionChange

_CHANGE_STYLES = {"new": "green", "changed": "cyan", "deleted": "red"}


def change_row(change: SessionChange) -> dict[str, Any]:
    """One change of a session: the keys of `sessions list`, then `change` (new, changed, deleted) and `changed_at`."""
    return {**session_row(change.session), "change": change.change.value, "changed_at": rfc3339(change.changed_at)}


CHANGE_COLUMNS = (
    Column("changed_at", "TIME", is_time=True, whole=True),
    Column("change", "CHANGE", whole=True, style=lambda value: _CHANGE_STYLES.get(str(value), "")),
    *(replace(column, in_table=column.in_table and column.key != "updated_at") for column in SESSION_COLUMNS),
)
