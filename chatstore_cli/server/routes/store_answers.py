"""The answers of chatstore's own routes, as OpenAPI describes them. The keys are those of `-o json`.

Stored values can be of any type and size, so these models describe answers and do not check them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Time = str | None
"""RFC 3339 in UTC, or null if none is stored."""
_NOTES = Field(description="What the command prints on stderr, such as a layout that was left out.")
_NEXT = Field(description="The cursor for the next page; null at the end.")

_SESSION: dict[str, Any] = {
    "session_id": "chat-5d1c07e2",
    "layout": "workflow",
    "tenant_id": "acme",
    "user_id": "ana",
    "title": None,
    "tags": ["vip"],
    "workflow": "support",
    "status": "running",
    "paused": False,
    "created_at": "2026-02-01T10:00:00Z",
    "updated_at": "2026-02-01T10:05:00Z",
    "message_count": 2,
    "message_count_capped": False,
    "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150, "cost": "0.0021"},
}
_MESSAGE: dict[str, Any] = {
    "message_id": "m-1",
    "sequence": 1,
    "role": "user",
    "name": "ana",
    "content": "Where is my order?",
    "created_at": "2026-02-01T10:00:00Z",
    "event_type": None,
    "source": None,
    "tool_calls": None,
    "tool_call_id": None,
    "metadata": {},
}


def _with_example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": values})


class UsageNumbers(BaseModel):
    """Tokens, and the cost as a decimal text. What is unknown is null."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost: str | None


class SessionRow(BaseModel):
    """A session. With `message_count_capped` it has more messages than `message_count`."""

    model_config = _with_example(**_SESSION)
    session_id: str
    layout: str
    tenant_id: str | None
    user_id: str | None
    title: str | None
    tags: list[str]
    workflow: str | None
    status: str
    paused: bool
    created_at: Time
    updated_at: Time
    message_count: int
    message_count_capped: bool
    usage: UsageNumbers


class ForeignDocuments(BaseModel):
    """Documents of a collection that are not what it is for."""

    collection: str
    expected: str
    foreign: int
    looked_at: int
    sampled: bool
    fields: Any


class SessionList(BaseModel):
    """A page of sessions."""

    model_config = _with_example(
        items=[_SESSION], next_cursor=None, foreign_documents=[], unaddressable_sessions=0, notes=[]
    )
    items: list[SessionRow]
    next_cursor: str | None = _NEXT
    foreign_documents: list[ForeignDocuments]
    unaddressable_sessions: int
    notes: list[str] = _NOTES
    total: int | None = Field(
        None, description="With `count`: how many sessions match; null if that is not known soon."
    )
    total_is_exact: bool = Field(False, description="With `count`: false if there are more than `total`.")


class MessageRow(BaseModel):
    """A message. `content` is any JSON value."""

    model_config = _with_example(**_MESSAGE)
    message_id: str | None
    sequence: int | None
    role: str
    name: str | None
    content: Any
    created_at: Time
    event_type: str | None
    source: str | None
    tool_calls: Any
    tool_call_id: str | None
    metadata: Any


class MessageList(BaseModel):
    """A page of the messages of a session."""

    model_config = _with_example(items=[_MESSAGE], next_cursor=None)
    items: list[MessageRow]
    next_cursor: str | None = _NEXT


class ShownSession(SessionRow):
    """A session with its first and last messages, its artifacts, and when its messages expire."""

    model_config = _with_example(
        **_SESSION, reason=None, expires_at=None, first_messages=[_MESSAGE], last_messages=[], last_artifact=None,
        artifact=None, notes=[],
    )  # fmt: skip
    reason: Any
    expires_at: dict[str, Time] | None
    first_messages: list[MessageRow]
    last_messages: list[MessageRow]
    last_artifact: dict[str, Any] | None
    artifact: dict[str, Any] | None
    notes: list[str] = _NOTES


class Hit(BaseModel):
    """A message with a hit. `offsets` are the begin and end of each hit, in characters of the message's text."""

    session_id: str
    layout: str
    tenant_id: str | None
    user_id: str | None
    message_id: str | None
    sequence: int | None
    created_at: Time
    role: str
    name: str | None
    snippet: str
    snippet_start: int
    text_length: int
    offsets: list[list[int]]
    more_offsets: Any


class HitList(BaseModel):
    """A page of messages that were found."""

    model_config = _with_example(
        items=[
            {
                "session_id": "chat-5d1c07e2", "layout": "workflow", "tenant_id": "acme", "user_id": "ana",
                "message_id": "m-1", "sequence": 1, "created_at": "2026-02-01T10:00:00Z", "role": "user", "name": "ana",
                "snippet": "Where is my order?", "snippet_start": 0, "text_length": 18, "offsets": [[12, 17]],
                "more_offsets": False,
            }
        ],
        next_cursor=None,
        notes=[],
    )  # fmt: skip
    items: list[Hit]
    next_cursor: str | None = _NEXT
    notes: list[str] = _NOTES


class UsageReport(BaseModel):
    """Groups with their tokens and costs. `rounded` and `prices` are there if costs are rounded or calculated."""

    model_config = _with_example(
        items=[
            {
                "tenant_id": "acme", "sessions": 1,
                "usage": {
                    "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150, "cached_tokens": None,
                    "reasoning_tokens": None, "cost": "0.0021",
                },
                "cost_complete": True, "cost_unknown_sessions": 0, "sessions_from_counters": 0, "source": "ledger",
            }
        ],
        next_cursor=None,
        period={"since": None, "until": None, "timezone": "UTC"},
        currency="USD",
        totals={"sessions": 1},
        sources={"ledger": 1, "counters": 0},
        notes=[],
    )  # fmt: skip
    items: list[dict[str, Any]]
    next_cursor: None
    period: dict[str, Any]
    currency: str
    totals: dict[str, Any]
    sources: dict[str, int]
    notes: list[str] = _NOTES
    rounded: dict[str, Any] | None = None
    prices: dict[str, Any] | None = None


class WorkerFigures(BaseModel):
    """What the worker has done since the start. Latencies are the seconds to store a batch."""

    queue_depth: int
    flushed: int
    skipped: int
    quarantined: int
    lost: int
    flush_latency_p50: float | None
    flush_latency_p99: float | None


class ServerStatus(BaseModel):
    """What the server does. `worker` is null if the database is disabled. `uptime` is in seconds."""

    model_config = _with_example(
        uptime=12.5,
        sockets=0,
        worker={
            "queue_depth": 0, "flushed": 2, "skipped": 0, "quarantined": 0, "lost": 0,
            "flush_latency_p50": 0.004, "flush_latency_p99": 0.009,
        },
    )  # fmt: skip
    uptime: float
    sockets: int
    worker: WorkerFigures | None
