"""The chat application with a cache and a worker: `/api/chat` and its history."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from itertools import takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from chatstore_cli.core.sessions.history import ChatHistory, HistoryMessage, chat_history
from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.errors import BadValue, ChatstoreError, Unreachable
from chatstore_cli.domain.history import LARGEST_LIMIT
from chatstore_cli.domain.recording import DEFAULT_SESSION
from chatstore_cli.domain.times import format_instant
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.sessions import message_row
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.requests import COMMON_FIGURES, FLAT_MESSAGES, Reader, Served, Writer, of_all_tenants
from chatstore_cli.server.routes.page_text import PageText
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.chat_turns import CLEAR_COMMANDS, CLEARED, ChatTurns, local_time

router = APIRouter(tags=["Chat application"])

_LAYOUT = "messages"
_DEFAULT_LIMIT = 50
_STATUS_SECONDS = 3.0
_HISTORY_SECONDS = 3.0
"""Seconds that a history waits for MongoDB, because the cache has its newest messages."""


class ChatRequest(BaseModel):
    """A user's message. Other keys of the body are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Where is my parcel?", "session_id": "s-1"}]})
    message: str
    timestamp: str | None = None
    session_id: str | None = None


class ChatResponse(BaseModel):
    """The answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"response": "On its way.", "status": "completed", "timestamp": "2026-02-01T10:00:00"}]
        }
    )
    response: str
    status: str = Field(examples=["completed"])
    timestamp: str


class HistoryItem(BaseModel):
    """A message. `source` is `cache` for a message of the journal, otherwise `mongo`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session_id": "s-1",
                    "role": "user",
                    "text": "Where is my parcel?",
                    "created_at": "2026-02-01T10:00:00.000000+00:00",
                    "metadata": {"transport": "rest"},
                    "source": "cache",
                }
            ]
        }
    )
    session_id: str
    role: str
    text: str
    created_at: str | None
    metadata: dict[str, Any]
    source: str


class HistoryResponse(BaseModel):
    """The newest messages, oldest first. `counts` and `last_persisted_at` are those of these messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"session_id": "s-1", "messages": [], "counts": {"cache": 0, "mongo": 0}, "last_persisted_at": None}
            ]
        }
    )
    session_id: str
    messages: list[HistoryItem]
    counts: dict[str, int]
    last_persisted_at: str | None


class ConversationResponse(BaseModel):
    """A session's messages, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"session_id": "s-1", "total_messages": 0, "messages": [], "last_active_at": None}]
        }
    )
    session_id: str
    total_messages: int
    messages: list[HistoryItem]
    last_active_at: str | None


class StatusResponse(BaseModel):
    """`mongo.status` is ok, error or disabled."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mongo": {"enabled": True, "status": "ok", "database": "chatstore", "collection": "chat_messages"},
                    "cache": {
                        "max_messages_per_session": 75,
                        "disk_path": "data/cache/chat_sessions",
                        "flush_enabled": True,
                    },
                }
            ]
        }
    )
    mongo: dict[str, Any]
    cache: dict[str, Any]


@router.post("/api/chat", response_model=ChatResponse)
async def chat(body: ChatRequest, services: Served, access: Writer) -> ChatResponse:
    """Answer a message. Both turns are recorded; the user's remains recorded if no answer comes."""
    of_all_tenants(access, FLAT_MESSAGES)
    session_id = body.session_id or DEFAULT_SESSION
    turns = ChatTurns(services, session_id, {"transport": "rest"})
    if body.message.strip().lower() in CLEAR_COMMANDS:
        text, status = CLEARED, "cleared"
        await turns.clear(body.message)
    else:
        answer = await turns.answer(body.message)
        text, status = answer.text, "completed"
    return ChatResponse(response=text, status=status, timestamp=local_time())


@router.get("/api/chat/history", response_model=HistoryResponse)
async def history(
    services: Served,
    access: Reader,
    session_id: Annotated[str, Query(examples=["s-1"])],
    limit: Annotated[int, Query(description="Clamped to 1 to 500.")] = _DEFAULT_LIMIT,
) -> HistoryResponse:
    """The newest messages of a session, from the journal and from MongoDB, each once. They have at most 16 MiB."""
    of_all_tenants(access, FLAT_MESSAGES)
    if not session_id:
        raise Refusal(HTTPStatus.BAD_REQUEST, "session_id is required")
    found = await read_history(services, session_id, max(1, min(limit, LARGEST_LIMIT)))
    if found.messages:
        await note_reading(services, access, [(_LAYOUT, session_id)])
    kept = _newest_that_fit(found.messages)
    persisted = (shown.message.created_at for shown in kept if shown.persisted)
    return HistoryResponse(
        session_id=session_id,
        messages=[_item(shown, session_id) for shown in kept],
        counts={name: sum(shown.source == name for shown in kept) for name in found.counts},
        last_persisted_at=_instant(max(filter(None, persisted), default=None)),
    )


@router.get("/api/conversation/history/{session_id:path}", response_model=ConversationResponse)
async def conversation(services: Served, access: Reader, session_id: str) -> ConversationResponse:
    """The newest 500 messages of a session, of at most 16 MiB."""
    of_all_tenants(access, FLAT_MESSAGES)
    if not session_id:
        raise Refusal(HTTPStatus.BAD_REQUEST, "session_id is required")
    found = await read_history(services, session_id, LARGEST_LIMIT)
    if found.messages:
        await note_reading(services, access, [(_LAYOUT, session_id)])
    items = [_item(shown, session_id) for shown in _newest_that_fit(found.messages)]
    return ConversationResponse(
        session_id=session_id,
        total_messages=len(items),
        messages=items,
        last_active_at=items[-1].created_at if items else None,
    )


@router.get("/api/storage/status", response_model=StatusResponse)
async def storage_status(services: Served, access: Reader) -> StatusResponse:
    """Whether MongoDB answers, and the settings of the cache. Hosts are not named."""
    of_all_tenants(access, COMMON_FIGURES)
    mongo, cache = services.settings.mongo, services.settings.mongo.cache
    cached = {
        "max_messages_per_session": cache.max_messages_per_session,
        "disk_path": cache.disk_path,
        "flush_enabled": mongo.enabled,
    }
    if services.storage is None:
        return StatusResponse(mongo={"enabled": False, "status": "disabled"}, cache=cached)
    storage = services.storage
    try:
        status = (await services.reading.run(storage.health, seconds=_STATUS_SECONDS)).status
    except ChatstoreError:
        status = "error"
    found = {"enabled": True, "status": status}
    if status == "ok":
        found |= {"database": mongo.database, "collection": services.settings.messages_collection}
    else:
        found["error"] = "MongoDB does not answer. Messages are kept in the journal."
    return StatusResponse(mongo=found, cache=cached)


async def read_history(services: Services, session_id: str, limit: int) -> ChatHistory:
    """The newest messages of a session. If MongoDB does not answer in time, those of the cache. Raises Refusal."""
    cache, storage = services.cache, services.storage
    try:
        if storage is None:
            return await services.recording.run(lambda: cache.history(session_id, None, limit))
        try:
            seconds = min(_HISTORY_SECONDS, services.settings.chatstore.server.read_seconds)
            return await services.reading.run(lambda: cache.history(session_id, storage, limit), seconds=seconds)
        except Unreachable:  # every thread waits for MongoDB
            return await services.recording.run(lambda: cache.history(session_id, None, limit))
    except BadValue as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, error.message) from error
    except ChatstoreError:  # the journal cannot be read
        return chat_history(cache.messages(session_id), None, session_id, limit)


def _newest_that_fit(messages: list[HistoryMessage]) -> list[HistoryMessage]:
    page = PageText()
    fitting = takewhile(lambda shown: page.add(as_json(message_row(shown.message), indented=False)), reversed(messages))
    return [*fitting][::-1]


def _item(shown: HistoryMessage, session_id: str) -> HistoryItem:
    message = shown.message
    text = message.content if isinstance(message.content, str) else content_text(message.content)
    return HistoryItem(
        session_id=session_id,
        role=message.role,
        text=text.strip(),
        created_at=_instant(message.created_at),
        metadata=dict(message.metadata or {}),
        source=shown.source,
    )


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else format_instant(moment)
