"""Turns of a mixed transcript as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column
from chatstore_cli.render.rows.sessions import content_cell, message_row

if TYPE_CHECKING:
    from chatstore_cli.domain.mixed_transcript import MixedTurn


def mixed_turn_row(turn: MixedTurn) -> dict[str, Any]:
    """One turn. `general`: of a conversation with the general assistant, also if it is stored in a workflow session."""
    return {
        "source": turn.source.to_dict(),
        "index": turn.index_in_source,
        "general": turn.is_general,
        "message": message_row(turn.message),
    }


MIXED_TURN_COLUMNS = (
    Column("message.created_at", "TIME", is_time=True, whole=True, spare=1),
    Column("source.layout", "LAYOUT", whole=True, spare=4),
    Column("source.session_id", "SESSION", spare=3),
    Column("index", "INDEX", in_table=False),
    Column("general", "GENERAL", in_table=False),
    Column("message.sequence", "SEQUENCE", align="right", spare=5),
    Column("message.role", "ROLE", whole=True),
    Column("message.name", "NAME", spare=2),
    Column("message.content", "CONTENT", show_row=lambda row: content_cell(row["message"])),
)
