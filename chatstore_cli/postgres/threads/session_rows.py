"""Rows of the tables as sessions and their messages."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from sqlalchemy import Row

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.threads.turns import turn
from chatstore_cli.postgres.key_order import in_key_order

LAYOUT = "threads"


def to_session(row: Row[Any]) -> Session:
    """The facts of a thread without its number of messages."""
    return Session(
        session_id=row.id,
        layout=LAYOUT,
        tenant_id=row.org_id or None,
        user_id=row.user_id or None,
        title=row.name,
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.updated_at.astimezone(UTC),
    )


def to_message(row: Row[Any]) -> Message:
    """One message, by the rules of domain/threads/turns.py."""
    return turn(
        row.chat_thread_id,
        in_key_order(row.content, row.key_order),
        role=row.sender_role,
        message_id=row.id,
        sequence=row.sequence,
        sender=row.sender_id,
        created_at=row.created_at.astimezone(UTC),
        plain=lambda value: value,
    )
