"""General chats as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, count, plain
from chatstore_cli.render.rows.sessions import (
    MESSAGE_COLUMNS,
    SESSION_FIELDS,
    known_count,
    session_view_row,
    status_style,
)

if TYPE_CHECKING:
    from chatstore_cli.domain.message import Message

_STATUSES = {0: SessionStatus.RUNNING, 1: SessionStatus.COMPLETED}


def started_row(chat: Mapping[str, Any], tenant: str, user: str) -> dict[str, Any]:
    """A chat that was created."""
    return {
        "session_id": chat["chat_id"],
        "label": chat["label"],
        "number": chat["sequence"],
        "tenant_id": tenant,
        "user_id": user,
    }


def listed_chat_row(chat: Mapping[str, Any], tenant: str, user: str) -> dict[str, Any]:
    """One chat of a list. `last_sequence` is the sequence number of its newest message, 0 without messages."""
    return {
        **started_row(chat, tenant, user),
        "status": _STATUSES.get(chat["status"], SessionStatus.UNKNOWN).value,
        "created_at": rfc3339(chat["created_at"]),
        "updated_at": rfc3339(chat["last_updated_at"]),
        "last_sequence": chat["last_sequence"],
    }


def chat_view_row(
    session: Session, first: list[Message], last: list[Message], number: int | None, last_sequence: int | None
) -> dict[str, Any]:
    """One chat with its first and last messages: the row of a session, whose title is `label`, with its numbers."""
    row = session_view_row(session, first, last, None)
    label = row.pop("title")
    left_out = {"layout", "workflow", "paused", "reason", "expires_at"}
    rest = {name: value for name, value in row.items() if name not in left_out}
    numbers = {"label": label, "number": number, "last_sequence": last_sequence}
    return {"session_id": rest.pop("session_id"), **numbers, **rest}


def appended_row(session_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A stored message, with its session. The keys are those of every message that have a value in general chats."""
    return {
        "session_id": session_id,
        "message_id": message["event_id"],
        "sequence": message["sequence"],
        "role": message["role"],
        "name": message["agent_name"],
        "content": message["content"],
        "created_at": rfc3339(message["timestamp"]),
        "event_type": message["event_type"],
        "metadata": message["metadata"],
    }


STARTED_FIELDS = (
    Column("session_id", "Session"),
    Column("label", "Label"),
    Column("number", "Number", show=count),
    Column("tenant_id", "Tenant"),
    Column("user_id", "User"),
)
CHAT_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("label", "LABEL", spare=1),
    Column("number", "NUMBER", align="right", show=count, in_table=False),
    Column("tenant_id", "TENANT", in_table=False),
    Column("user_id", "USER", in_table=False),
    Column("status", "STATUS", style=status_style, whole=True, spare=4),
    Column("created_at", "CREATED", is_time=True, whole=True, spare=3),
    Column("updated_at", "UPDATED", is_time=True, whole=True, spare=2),
    Column("last_sequence", "LAST SEQUENCE", align="right", show=count, spare=5),
)
_HIDDEN = {"session_id", "layout", "title", "workflow", "paused", "reason", "expires_at", "message_count_capped"}
CHAT_FIELDS = (
    Column("session_id", "Session"),
    Column("label", "Label"),
    Column("number", "Number", show=known_count),
    *(column for column in SESSION_FIELDS if column.key not in _HIDDEN),
    Column("last_sequence", "Last sequence", show=known_count),
)
TRANSCRIPT_COLUMNS = (
    Column("message_id", "MESSAGE", in_table=False),
    *MESSAGE_COLUMNS,
    Column("event_type", "EVENT TYPE", in_table=False),
    Column("metadata", "METADATA", in_table=False),
)
APPENDED_FIELDS = (
    Column("message_id", "Message"),
    Column("session_id", "Session"),
    Column("sequence", "Sequence"),
    Column("role", "Role"),
    Column("name", "Name"),
    Column("content", "Content"),
    Column("created_at", "Created", is_time=True),
    Column("event_type", "Event type"),
    Column("metadata", "Metadata", show=plain),
)
