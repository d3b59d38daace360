"""The sessions of a Python agent, and the port of their store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

AGENT_SESSIONS = "agent_sessions"
"""The layout of these sessions, for the commands that read."""


OWN_FIELDS = ("_id", "session_id", "sequence", "created_at")
"""Fields of a stored message that the store sets."""


@dataclass(frozen=True, slots=True)
class AgentSession:
    """A session of a Python agent, without its messages."""

    session_id: str
    user_id: str | None
    agent_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """A message of such a session. `content` is a text or another JSON value; `more` has further fields, such as `tool_calls`."""

    role: str
    content: Any
    sequence: int | None = None
    created_at: datetime | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


class AgentSessionStore(Protocol):
    """The sessions of one database, with their messages. core/agent_sessions/ has checked all values.

    Methods raise Unreachable, NotAllowed and ForeignCollection.
    """

    def get_or_create(self, session_id: str, user_id: str, agent_id: str | None) -> AgentSession:
        """The session with the id. A missing session is stored, once."""

    def append(self, session_id: str, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
        """Append messages in their order, and return those that were stored.

        The first is left out if it is a retry of the last stored one, as decided by core/agent_sessions/retries.py. Raises
        NotFound if there is no session.
        """

    def messages(self, session_id: str, last: int | None) -> list[AgentMessage]:
        """The messages in their order: all, or the newest ones."""
