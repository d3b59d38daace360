"""Documents of general chats as chatstore writes and returns them.

Pure: nothing here reads the database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.general import MISSING_STATUS, GeneralChat, GeneralMessage
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.mongo.bson_values import json_value, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.session_documents.documents import to_session

CHAT_FIELDS = ("general_sequence", "last_sequence")
"""The fields that are read from a document besides the facts of a session."""

_STATUS_NUMBERS = {SessionStatus.RUNNING: 0, SessionStatus.COMPLETED: 1}
"""The numbers of statuses that other writers store as words."""


def new_document(chat: GeneralChat) -> Document:
    """The document of a chat without messages. Its `_id` is the chat's id."""
    return {
        "_id": chat.chat_id,
        "chat_id": chat.chat_id,
        "app_id": chat.tenant_id,
        "user_id": chat.user_id,
        "session_type": "general",
        "general_label": chat.label,
        "general_sequence": chat.sequence,
        "status": chat.status,
        "created_at": chat.created_at,
        "last_updated_at": chat.updated_at,
        "last_sequence": 0,
        "last_artifact": None,
        "messages": [],
        "usage_prompt_tokens_final": 0,
        "usage_completion_tokens_final": 0,
        "usage_total_tokens_final": 0,
        "usage_total_cost_final": 0.0,
    }


def message_document(message: GeneralMessage, sequence: int, timestamp: datetime) -> Document:
    """The stored message."""
    return {
        "role": message.role,
        "content": message.content,
        "timestamp": timestamp,
        "event_type": "general_agent.message",
        "event_id": message.event_id,
        "sequence": sequence,
        "agent_name": message.agent_name,
        "metadata": message.metadata,
    }


def chat_of(facts: Document, last_sequence: int | None = None) -> GeneralChat:
    """The facts of a stored chat. Without a `last_sequence`, the field of the document is used."""
    session = to_session(GENERAL, facts)
    number = whole_number(facts.get("status"))  # 0 is a status: running
    return GeneralChat(
        chat_id=session.session_id,
        label=session.title or session.session_id,
        sequence=whole_number(facts.get("general_sequence")) or 0,
        tenant_id=session.tenant_id,
        user_id=session.user_id,
        status=_STATUS_NUMBERS.get(session.status, MISSING_STATUS) if number is None else number,
        created_at=session.created_at,
        updated_at=session.updated_at,
        last_sequence=last_sequence if last_sequence is not None else whole_number(facts.get("last_sequence")) or 0,
    )


def plain_message(stored: Any) -> dict[str, Any]:
    """A stored message with all its fields. Times are aware, and other types of BSON as `json_value` returns them.

    An element that is not a document is content of the assistant.
    """
    if not isinstance(stored, dict):
        return {"role": "assistant", "content": _plain(stored)}
    return {str(name): _plain(value) for name, value in stored.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return json_value(value)
