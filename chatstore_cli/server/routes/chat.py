"""The chat application with a cache and a worker: `/api/chat` and its history."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from chatstore_cli.core.sessions.history import ChatHistory, chat_history
from chatstore_cli.domain.errors import BadValue, ChatstoreError, Unreachable
from chatstore_cli.domain.history import LARGEST_LIMIT
from chatstore_cli.domain.recording import DEFAULT_SESSION
from chatstore_cli.server.chat_turns import CLEAR_COMMANDS, CLEARED, ChatTurns
from chatstore_cli.server.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, Writer, of_all_tenants
from chatstore_cli.server.services import Services

router = APIRouter(tags=["Chat application"])

_DEFAULT_LIMIT = 50


class ChatRequest(BaseModel):
    """A user's message. Other keys of the body are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Where is my parcel?", "session_id": "s-1"}]})
    message: str
    timestamp: str | None = None
    session_id: str | None = None


class ChatResponse(BaseModel):
    """The answer."""

    response: str
    status: str = Field(examples=["completed"])
    timestamp: str


class HistoryItem(BaseModel):
    """A message. `source` is `cache` if the journal or the memory has it, otherwise `mongo`."""

    session_id: str
    role: str
    text: str
    created_at: str | None
    metadata: dict[str, Any]
    source: str


class HistoryResponse(BaseModel):
    """The newest messages, oldest first. `counts` and `last_persisted_at` are those of these messages."""

    session_id: str
    messages: list[HistoryItem]
    counts: dict[str, int | None]
    last_persisted_at: str | None
    source: str = Field(examples=["cache", "mongo", "cache+mongo"])


@router.post("/api/chat", response_model=ChatResponse)
async def chat(body: ChatRequest, services: Served, access: Writer) -> ChatResponse:
    """Answer a message. Both turns are recorded; the user's remains recorded if no answer comes."""
    of_all_tenants(access)
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
    """The newest messages of a session, from the journal and from MongoDB, each once."""
    of_all_tenants(access)
    if not session_id:
        raise Refusal(HTTPStatus.BAD_REQUEST, "session_id is required")
    found = await read_history(services, session_id, max(1, min(limit, LARGEST_LIMIT)))
    return HistoryResponse(
        session_id=session_id,
        messages=[HistoryItem(**_item(found, row)) for row in found.to_dict()["items"]],
        counts={name: count or 0 for name, count in found.counts.items()},
        last_persisted_at=found.to_dict()["last_persisted_at"],
        source="+".join(sorted({shown.source for shown in found.messages})) or "cache",
    )


def local_time() -> str:
    """The local time without a zone, which clients of this application expect."""
    return datetime.now().isoformat()  # noqa: DTZ005 - see above


async def read_history(services: Services, session_id: str, limit: int) -> ChatHistory:
    """The newest messages of a session. If MongoDB does not answer in time, those of the cache. Raises Refusal."""
    cache, storage = services.cache, services.storage
    try:
        if storage is None:
            return await services.recording.run(lambda: cache.history(session_id, None, limit))
        try:
            return await services.reading.run(lambda: cache.history(session_id, storage, limit))
        except Unreachable:  # every thread waits for MongoDB
            return await services.recording.run(lambda: cache.history(session_id, None, limit))
    except BadValue as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, error.message) from error
    except ChatstoreError:  # the journal cannot be read
        return chat_history(cache.messages(session_id), None, session_id, limit)


def _item(found: ChatHistory, row: dict[str, Any]) -> dict[str, Any]:
    text = row["content"] if isinstance(row.get("content"), str) else ""
    return {
        "session_id": found.session_id,
        "role": row["role"],
        "text": text.strip(),
        "created_at": row["created_at"],
        "metadata": row.get("metadata") or {},
        "source": row["source"],
    }
