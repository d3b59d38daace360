"""A message: one turn of a session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.times import rfc3339

ROLES = frozenset({"user", "assistant", "system", "tool"})

GENERAL_AGENT = "general_agent"
"""The `source` (or `metadata.source`) of the general agent's messages, which `resume` leaves out."""


class Message(NamedTuple):
    """One turn.

    `content` is any JSON value. `created_at` is in UTC, with its zone, or None if none is stored. `sequence` orders the
    messages of a session and may have gaps. `name` is the speaker. `metadata` is as stored. It is a tuple because a frozen
    dataclass takes four times as long to create, and a history may have a hundred thousand messages.
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
    metadata: dict[str, Any] = {}  # noqa: RUF012 - the default of a tuple's field; messages are never changed

    @property
    def from_general_agent(self) -> bool:
        """Whether the general agent wrote the message."""
        return self.source == GENERAL_AGENT or self.metadata.get("source") == GENERAL_AGENT

    def to_dict(self) -> dict[str, Any]:
        """The message without its session, as one JSON object of plain values."""
        return {
            "message_id": self.message_id,
            "sequence": self.sequence,
            "role": self.role,
            "name": self.name,
            "content": json_safe(self.content),
            "created_at": rfc3339(self.created_at),
            "event_type": self.event_type,
            "source": self.source,
            "tool_calls": json_safe(self.tool_calls),
            "tool_call_id": self.tool_call_id,
            "metadata": json_safe(self.metadata),
        }
