"""Documents of the threads layout as threads and messages, and the reverse: pure functions.

What chatstore writes is complete. A document that another program wrote or changed may not be: a field that is missing or
has a wrong type is replaced (docs/layouts.md), and nothing in a document raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bson import DBRef
from pydantic import ValidationError

from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom
from chatstore_cli.domain.times import to_milliseconds
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.identifiers import id_text

Document = dict[str, Any]

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of a document that has no readable time."""
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from naive datetimes, which are UTC here


def thread_document(thread: ChatThread, last_sequence: int) -> Document:
    """The document of a thread."""
    document: Document = {
        "_id": thread.id,
        "user_id": thread.user_id,
        "org_id": thread.org_id,
        "name": thread.name,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "last_sequence": last_sequence,
    }
    if thread.forked_from is not None:
        document["forked_from"] = {
            "thread_id": thread.forked_from.thread_id,
            "sequence": thread.forked_from.sequence,
        }
    return document


def message_document(message: ChatMessage) -> Document:
    """The document of a message."""
    document: Document = {
        "_id": message.id,
        "chat_thread_id": message.chat_thread_id,
        "sender_id": message.sender_id,
        "sender_role": message.sender_role,
        "content": message.content,
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "sequence": message.sequence,
    }
    if message.edits:
        document["edits"] = edit_documents(message)
    return document


def edit_documents(message: ChatMessage) -> list[Document]:
    """The former contents of a message, as they are stored."""
    return [{"content": edit.content, "edited_at": edit.edited_at} for edit in message.edits]


def to_thread(document: Mapping[str, Any]) -> ChatThread:
    """The thread of a document, without messages."""
    created_at, updated_at = _times(document)
    return ChatThread(
        id=id_text(document.get("_id")),
        user_id=_text(document.get("user_id")),
        org_id=_text(document.get("org_id")),
        name=_text(document.get("name")),
        created_at=created_at,
        updated_at=updated_at,
        forked_from=_forked_from(document.get("forked_from")),
    )


def to_message(document: Mapping[str, Any]) -> ChatMessage:
    """The message of a document. A missing `sequence` is 0, which is before all others."""
    created_at, updated_at, content = document.get("created_at"), document.get("updated_at"), document.get("content")
    is_complete = isinstance(created_at, datetime) and isinstance(updated_at, datetime) and "edits" not in document
    if is_complete and type(content) is dict and _is_json(content):
        with suppress(KeyError, ValidationError):
            return _message_of(
                {
                    "id": document["_id"],
                    "chat_thread_id": document["chat_thread_id"],
                    "sender_id": document["sender_id"],
                    "sender_role": document["sender_role"],
                    "content": content,
                    "created_at": _in_utc(document["created_at"]),
                    "updated_at": _in_utc(document["updated_at"]),
                    "sequence": document["sequence"],
                    "edits": [],
                },
                strict=True,
            )
    return _completed_message(document)


_message_of: Callable[..., ChatMessage] = ChatMessage.__pydantic_validator__.validate_python
"""`ChatMessage(...)` in half of the time: it leaves out the Python code of the constructor."""


_JSON_VALUES = frozenset({str, int, float, bool, type(None)})


def _is_json(content: dict[str, Any]) -> bool:
    """Whether a content has only objects and plain values. Nearly every content does, and needs no conversion."""
    for value in content.values():
        if type(value) not in _JSON_VALUES and (type(value) is not dict or not _is_json(value)):
            return False
    return True


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is not None:
        return instant.astimezone(UTC)
    return UNKNOWN_TIME + (instant - _NAIVE_EPOCH)  # a sum is the fastest way to an aware datetime


def _completed_message(document: Mapping[str, Any]) -> ChatMessage:
    """The message of a document that may lack fields."""
    created_at, updated_at = _times(document)
    sender_id = document.get("sender_id")
    return ChatMessage(
        id=id_text(document.get("_id")),
        chat_thread_id=_text(document.get("chat_thread_id")),
        sender_id=None if sender_id is None else _text(sender_id),
        sender_role=_text(document.get("sender_role")),
        content=to_content(document.get("content")),
        created_at=created_at,
        updated_at=updated_at,
        sequence=whole_number(document.get("sequence")) or 0,
        edits=_edits(document.get("edits")),
    )


def to_content(stored: Any) -> dict[str, Any]:
    """The content of a stored value. A text alone becomes `{"type": "text", "text": ...}`; no content is empty."""
    if isinstance(stored, Mapping | DBRef):
        content: dict[str, Any] = json_value(stored)
        return content
    if isinstance(stored, str):
        return {"type": "text", "text": str(stored)}
    return {} if stored is None else {"value": json_value(stored)}


def _edits(stored: Any) -> list[Edit]:
    if not isinstance(stored, list):
        return []
    return [
        Edit(content=to_content(each.get("content")), edited_at=_instant(each.get("edited_at")) or UNKNOWN_TIME)
        for each in stored
        if isinstance(each, Mapping)
    ]


def _forked_from(stored: Any) -> ForkedFrom | None:
    if not isinstance(stored, Mapping) or stored.get("thread_id") is None:
        return None
    return ForkedFrom(thread_id=id_text(stored["thread_id"]), sequence=whole_number(stored.get("sequence")) or 0)


def _times(document: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Creation and last change. If one is missing, it is the other one."""
    created_at, updated_at = _instant(document.get("created_at")), _instant(document.get("updated_at"))
    return created_at or updated_at or UNKNOWN_TIME, updated_at or created_at or UNKNOWN_TIME


def _instant(stored: Any) -> datetime | None:
    instant = stored_instant(stored)
    return None if instant is None else to_milliseconds(instant)


def _text(stored: Any) -> str:
    """A text; empty if there is none. An id of another type is its text."""
    return "" if stored is None else id_text(stored)
