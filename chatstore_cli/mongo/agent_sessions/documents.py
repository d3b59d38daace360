"""The sessions of a Python agent and their messages as they are stored, with their indexes (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.agent_sessions import OWN_FIELDS, AgentMessage, AgentSession
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.own_documents import Has, OwnDocuments, all_of, has_all, has_any

OWN_AGENT_SESSIONS = OwnDocuments(
    OwnKind("a session of a Python agent", "sessions of Python agents", "layout agent_sessions"),
    all_of(Has("session_id"), has_any("user_id", "agent_id")),
)
OWN_AGENT_MESSAGES = OwnDocuments(
    OwnKind("a message of a Python agent", "messages of Python agents", "layout agent_sessions"),
    has_all("session_id", "role", "content"),
)
IN_ORDER = [("created_at", 1), ("sequence", 1), ("_id", 1)]
"""The order of the messages of a session."""


def session_id_index(sessions: str) -> IndexSpec:
    """The index that allows one session for each id."""
    return IndexSpec(
        sessions,
        "agent_sessions_id_idx",
        (("session_id", 1),),
        unique=True,
        partial_filter={"session_id": {"$exists": True}},
        why="allows one session for each id, and finds it",
    )


def sequence_index(messages: str) -> IndexSpec:
    """The index that gives each place in a session to one message. Messages that others store have no sequence."""
    return IndexSpec(
        messages,
        "agent_messages_sequence_idx",
        (("session_id", 1), ("sequence", 1)),
        unique=True,
        partial_filter={"sequence": {"$exists": True}},
        why="gives each place in a session to one message",
    )


def reading_indexes(sessions: str, messages: str) -> tuple[IndexSpec, ...]:
    """The indexes that lists and histories need."""
    newest = (("updated_at", -1), ("session_id", -1))
    return (
        IndexSpec(sessions, "agent_sessions_recent_idx", newest, why="lists the newest sessions"),
        IndexSpec(sessions, "agent_sessions_user_idx", (("user_id", 1), *newest), why="lists the sessions of a user"),
        IndexSpec(
            messages,
            "agent_messages_order_idx",
            (("session_id", 1), *IN_ORDER),
            why="reads and counts the messages of a session in their order",
        ),
    )


def to_agent_session(document: Mapping[str, Any]) -> AgentSession:
    """The session of a document."""
    user, agent = document.get("user_id"), document.get("agent_id")
    created_at = stored_instant(document.get("created_at"))
    return AgentSession(
        session_id=id_text(document.get("session_id")),
        user_id=None if user is None else id_text(user),
        agent_id=None if agent is None else id_text(agent),
        created_at=created_at,
        updated_at=stored_instant(document.get("updated_at")) or created_at,
    )


def to_agent_message(document: Mapping[str, Any]) -> AgentMessage:
    """The message of a document."""
    return AgentMessage(
        role=id_text(document.get("role")),
        content=json_value(document.get("content")),
        sequence=whole_number(document.get("sequence")),
        created_at=stored_instant(document.get("created_at")),
        more={
            name: json_value(value)
            for name, value in document.items()
            if name not in ("role", "content") and name not in OWN_FIELDS
        },
    )


def message_document(session_id: str, message: AgentMessage, sequence: int, created_at: datetime) -> Document:
    """The document of a new message."""
    return {
        "session_id": session_id,
        "role": message.role,
        "content": message.content,
        **message.more,
        "sequence": sequence,
        "created_at": created_at,
    }
