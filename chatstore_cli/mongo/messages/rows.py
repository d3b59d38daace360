"""A row of the `messages` layout as a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.times import as_utc
from chatstore_cli.domain.workflow.provider_parts import id_as_text
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.messages.ordering import number_of
from chatstore_cli.mongo.rare_fields import RARE_FIELDS, with_rare_fields

LAYOUT = "messages"

_USUAL_FIELDS = frozenset({
    "_id", "session_id", "role", "text", "metadata", "vector_ids", "created_at", "expires_at", "sequence", "message_id",
})  # fmt: skip


def to_message(document: Document) -> Message:
    """A stored row as a message. `message_id` is that of the journal line if it had one, else the row's `_id` as text."""
    get = document.get
    metadata = get("metadata")
    if metadata.__class__ is not dict:
        metadata = metadata if isinstance(metadata, dict) else {} if metadata is None else {"metadata": metadata}
    sequence = get("sequence")
    if sequence.__class__ is not int:
        sequence = None if (number := number_of(sequence)) is None else int(number)
    created_at: Any = get("created_at")
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(created_at)  # by far the most common: canonical text
        if moment.tzinfo is not UTC:
            moment = as_utc(moment)
    except (TypeError, ValueError):
        moment = stored_instant(created_at)
    message_id = get("message_id")
    if message_id.__class__ is not str:
        message_id = id_text(get("_id"))
    usual = (id_text(get("session_id")), _text(get("role")) or "unknown", get("text"), message_id, sequence)
    if document.keys() <= _USUAL_FIELDS:
        return Message(*usual, None, moment, None, None, None, None, metadata)
    content, calls = usual[2], get("tool_calls")
    if not RARE_FIELDS.isdisjoint(document):
        content, calls, metadata = with_rare_fields(document, content, calls, metadata)
    return Message(
        *usual[:2],
        content,
        *usual[3:],
        _text(get("name")),
        moment,
        _text(get("event_type")),
        _text(get("source")),
        calls if isinstance(calls, list) else None,
        id_as_text(get("tool_call_id")),
        metadata,
    )


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) else None
