"""The result of a change of a session's state, as a row."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.workflow.chats import Transition
from chatstore_cli.render.listing import Column

TRANSITION_COLUMNS = (
    Column("session_id", "SESSION"),
    Column("status", "STATUS"),
    Column("paused", "PAUSED"),
    Column("changed", "CHANGED"),
)


def transition_row(transition: Transition) -> dict[str, Any]:
    """The session's state, and whether it was changed."""
    return {
        "session_id": transition.chat_id,
        "status": transition.status.value,
        "paused": transition.paused,
        "changed": transition.changed,
    }
