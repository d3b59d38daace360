"""Rows of `sessions watch`: a session's facts, what happened to it, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, Row
from chatstore_cli.render.rows.sessions import SESSION_COLUMNS, session_row
from chatstore_cli.render.safe import sanitize_id

if TYPE_CHECKING:
    from chatstore_cli.domain.watch import SessionChange

_CHANGE_STYLES = {"new": "green", "changed": "cyan", "deleted": "red"}


def change_row(change: SessionChange) -> dict[str, Any]:
    """One change of a session: the keys of `sessions list`, then `change` (new, changed, deleted) and `changed_at`.

    With `only_document_id`, the `session_id` of a deleted session is the `_id` of its document.
    """
    return {
        **session_row(change.session),
        "change": change.change.value,
        "changed_at": rfc3339(change.changed_at),
        "only_document_id": change.only_document_id,
    }


def _shown(column: Column) -> Column:
    if column.key == "session_id":
        return replace(column, show_row=_session_id)
    return replace(column, in_table=column.in_table and column.key != "updated_at")


def _session_id(row: Row) -> str:
    shown = sanitize_id(row["session_id"])
    return f"{shown} (_id)" if row["only_document_id"] else shown


CHANGE_COLUMNS = (
    Column("changed_at", "TIME", is_time=True, whole=True),
    Column("change", "CHANGE", whole=True, style=lambda value: _CHANGE_STYLES.get(str(value), "")),
    *map(_shown, SESSION_COLUMNS),
    Column("only_document_id", "ONLY DOCUMENT ID", in_table=False),
)
