"""A message: one turn of a session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

ROLES = frozenset({"user", "assistant", "system", "tool"})

GENERAL_AGENT = "general_agent"
"""The `source` (or `metadata.source`) of messages that the general agent wrote; resuming leaves them out."""


class Message(NamedTuple):
    """One turn.

    `content` is any JSON value. `created_at` is aware, in UTC, or None where the store has none. `sequence` orders
    messages inside a session; gaps are allowed. `name` is who spoke. `metadata` is as stored. A tuple and no dataclass:
    a history is read a hundred thousand messages at a time, and a frozen dataclass takes four times as long to make.
    """

    session_id: str
    role: str
    content: Any
    message_id: str | None = None
    sequence: int | None = None
    name: str | None = None
    created_at: datetime | None = None
    event_type: str | None = None
    source: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Any] = {}  # noqa: RUF012 - a default of a tuple's field; nobody changes a message's metadata

    @property
    def from_general_agent(self) -> bool:
        """Whether the general agent wrote it (FACTS B)."""
        return self.source == GENERAL_AGENT or self.metadata.get("source") == GENERAL_AGENT
