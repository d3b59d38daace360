"""Calls as documents, and their indexes (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.calls import CallSession
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all

OWN_CALL_SESSIONS = OwnDocuments(
    OwnKind("a call session", "call sessions", "chatstore"), has_all("room", "open", "started_at")
)
_IS_OPEN: Document = {"open": True}


def open_room_index_spec(collection: str) -> IndexSpec:
    """The index without which two calls could be open in one room."""
    keys = (("room", 1),)
    return IndexSpec(
        collection,
        "call_room_open_idx",
        keys,
        unique=True,
        partial_filter=_IS_OPEN,
        why="allows one open call in a room",
    )


def call_session_index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """All indexes of call sessions."""
    newest_first = (("started_at", -1), ("_id", -1))
    return (
        open_room_index_spec(collection),
        IndexSpec(collection, "call_open_idx", newest_first, partial_filter=_IS_OPEN, why="lists open calls"),
        IndexSpec(collection, "call_room_idx", (("room", 1), *newest_first), why="finds the last call in a room"),
    )


def to_document(call: CallSession, started_at: datetime) -> Document:
    """The document of a call that begins."""
    return {
        "_id": call.session_id,
        "room": call.room,
        "tenant_id": call.tenant_id,
        "user_identity": call.user_identity,
        "agent_id": call.agent_id,
        "number": call.number,
        "direction": call.direction,
        "started_at": started_at,
        "ended_at": None,
        "close_reason": None,
        "open": True,
    }


def to_call(document: Mapping[str, Any]) -> CallSession:
    """The call of a document."""
    texts = {
        name: None if document.get(name) is None else id_text(document[name])
        for name in ("tenant_id", "user_identity", "agent_id", "number", "direction", "close_reason")
    }
    return CallSession(
        session_id=id_text(document["_id"]),
        room=id_text(document["room"]),
        started_at=stored_instant(document["started_at"]),
        ended_at=stored_instant(document.get("ended_at")),
        is_open=document["open"] is True,
        **texts,
    )
