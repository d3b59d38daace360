"""A thread's document as a session, and the document of one of its messages as a message: pure functions.

`documents.py` reads the same documents for applications, whose models require every field. Here a field that is missing
or cannot be read is unknown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.threads.turns import turn
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.identifiers import addressable_id, id_text

Document = dict[str, Any]

LAYOUT = "threads"

FACT_FIELDS = ("user_id", "org_id", "name", "created_at", "updated_at")
"""The fields that `to_session` reads beside `_id`."""


def to_session(document: Document) -> Session:
    """The facts of a thread without its number of messages. The id is empty if no text addresses it."""
    created_at = stored_instant(document.get("created_at"))
    name = document.get("name")
    return Session(
        session_id=addressable_id(document.get("_id")) or "",
        layout=LAYOUT,
        tenant_id=addressable_id(document.get("org_id")) or None,
        user_id=addressable_id(document.get("user_id")) or None,
        title=str(name) if isinstance(name, str) else None,
        created_at=created_at,
        updated_at=newest_instant(document.get("updated_at")) or created_at,
    )


def newest_instant(value: Any) -> datetime | None:
    """The instant of a value; for an array its newest date, because MongoDB sorts it by that."""
    if isinstance(value, list):
        return max(filter(None, (stored_instant(each) for each in value if isinstance(each, datetime))), default=None)
    return stored_instant(value)


def to_message(session_id: str, document: Document) -> Message:
    """One message, by the rules of domain/threads/turns.py."""
    return turn(
        session_id,
        document.get("content"),
        role=document.get("sender_role"),
        message_id=id_text(document.get("_id")),
        sequence=whole_number(document.get("sequence")),
        sender=addressable_id(document.get("sender_id")),
        created_at=stored_instant(document.get("created_at")),
        plain=json_value,
    )
