"""A thread's document as a session, and the document of one of its messages as a message: pure functions.

`documents.py` reads the same documents for applications, whose models require every field. Here a field that is missing
or cannot be read is unknown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.workflow.provider_parts import id_as_text
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.identifiers import addressable_id, id_text

Document = dict[str, Any]

LAYOUT = "threads"

FACT_FIELDS = ("user_id", "org_id", "name", "created_at", "updated_at")
"""The fields that `to_session` reads beside `_id`."""

_PLAIN = frozenset({"type", "text", "metadata"})


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
    """One message. Its content is the text, or the stored object without its metadata.

    The speaker of a tool's message is `metadata.tool_name` if that is a text. Otherwise it is the sender.
    """
    stored = document.get("content")
    content, metadata = _content_and_metadata(stored)
    role, fields = document.get("sender_role"), stored if isinstance(stored, dict) else {}
    calls = next((each for each in _both("tool_calls", fields, metadata) if isinstance(each, list)), None)
    tool_call_id = next(filter(None, map(id_as_text, _both("tool_call_id", fields, metadata))), None)
    tool, sender = metadata.get("tool_name"), addressable_id(document.get("sender_id"))
    return Message(
        session_id,
        str(role) if isinstance(role, str) and role else "unknown",
        content,
        message_id=id_text(document.get("_id")),
        sequence=whole_number(document.get("sequence")),
        name=(str(tool) if role == "tool" and isinstance(tool, str) else sender) or None,
        created_at=stored_instant(document.get("created_at")),
        tool_calls=None if calls is None else json_value(calls),
        tool_call_id=tool_call_id,
        metadata=metadata,
    )


def _content_and_metadata(stored: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(stored, dict):
        return json_value(stored), {}
    metadata = stored.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {} if metadata is None else {"metadata": metadata}
    text = stored.get("text")
    if stored.get("type", "text") == "text" and "text" in stored and stored.keys() <= _PLAIN:
        return text if text.__class__ is str else json_value(text), metadata
    content = {name: json_value(value) for name, value in stored.items() if name != "metadata"}
    # Parts under any of the usual names are the content itself.
    inner = content.get("content", content.get("parts"))
    return inner if isinstance(inner, list) and content.keys() <= {"type", "content", "parts"} else content, metadata


def _both(name: str, content: Document, metadata: Document) -> tuple[Any, Any]:
    return content.get(name), metadata.get(name)
