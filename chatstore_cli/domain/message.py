"""A message: one turn of a session."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.times import format_instant, read_instant, rfc3339

ROLES = frozenset({"user", "assistant", "system", "tool"})

GENERAL_AGENT = "general_agent"
"""The `source` (or `metadata.source`) of the general agent's messages, which `resume` leaves out."""


class ReplyTo(NamedTuple):
    """The message of the same session that a message answers: its time, and its id if it has one."""

    created_at: datetime
    message_id: str | None = None

    def to_fields(self) -> dict[str, str]:
        """As fields of a journal line and of a stored document."""
        at = {"reply_to_at": format_instant(self.created_at)}
        return at if self.message_id is None else {"reply_to": self.message_id, **at}


def read_reply_to(fields: Mapping[str, Any]) -> ReplyTo | None:
    """What a journal line or a document answers; None without a readable `reply_to_at`."""
    created_at, message_id = read_instant(fields.get("reply_to_at")), fields.get("reply_to")
    if created_at is None:
        return None
    return ReplyTo(created_at, message_id if isinstance(message_id, str) and _is_id(message_id) else None)


def _is_id(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:  # half a character, in a journal of another program
        return False


class Message(NamedTuple):
    """One turn.

    `content` is any JSON value. `created_at` is in UTC, with its zone, or None if none is stored. `sequence` orders the
    messages of a session and may have gaps. `name` is the speaker. `metadata` is as stored. `reply_to` is known of recorded
    messages only. It is a tuple because a frozen dataclass takes four times as long to create, and a history may have a
    hundred thousand messages.
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
    reply_to: ReplyTo | None = None

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
