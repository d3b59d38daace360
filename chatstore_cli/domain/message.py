"""A message: one turn of a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ROLES = frozenset({"user", "assistant", "system", "tool"})

GENERAL_AGENT = "general_agent"
"""The `source` (or `metadata.source`) of messages that the general agent wrote; resuming leaves them out."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    `content` is any JSON value. `created_at` is aware, in UTC, or None where the store has none. `sequence` orders
    messages inside a session; gaps are allowed. `name` is who spoke. `metadata` is as stored.
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
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def from_general_agent(self) -> bool:
        """Whether the general agent wrote it (FACTS B)."""
        return self.source == GENERAL_AGENT or self.metadata.get("source") == GENERAL_AGENT
