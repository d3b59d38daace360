"""Calls: which session is in which room of the voice platform, from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chatstore_cli.domain.queries import SessionKey

DIRECTIONS = ("inbound", "outbound")
CALLS = "calls"
"""The layout whose sessions have the same ids, once the platform has stored the transcript of a call."""


@dataclass(frozen=True, slots=True)
class CallSession:
    """One call. It is open until it is ended. `number` is the phone number, and `direction` inbound or outbound."""

    session_id: str
    room: str
    tenant_id: str | None
    user_identity: str | None
    agent_id: str | None
    number: str | None
    direction: str | None
    started_at: datetime | None
    ended_at: datetime | None = None
    close_reason: str | None = None
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first. `next_cursor` is None at the end."""

    calls: tuple[CallSession, ...]
    next_cursor: str | None = None


class CallSessionStore(Protocol):
    """The calls of one database. core/call_sessions/ has checked all values.

    `tenant_id` is a condition of the command that reads or writes; None is the operator, who may use all calls. A room has
    at most one open call, over all tenants. Methods raise Unreachable, NotAllowed, ForeignCollection.
    """

    collection: str

    def start(self, call: CallSession) -> CallSession:
        """Store a call that begins now. The same call again changes nothing and returns the stored one.

        Raises Conflict if the room has an open call, or another call has the id.
        """

    def end(
        self, session_id: str | None, room: str | None, tenant_id: str | None, close_reason: str | None
    ) -> CallSession | None:
        """End the call with the id, or the open one in the room, and return it.

        A call that has ended is returned as it is: the one with the id, or the newest one in the room. None without one.
        """

    def find(self, session_id: str, tenant_id: str | None) -> CallSession | None:
        """The call with the id, open or ended."""

    def open_in(self, room: str, tenant_id: str | None) -> CallSession | None:
        """The open call in a room."""

    def open_calls(self, tenant_id: str | None, after: SessionKey | None, limit: int) -> list[CallSession]:
        """At most `limit` open calls, the newest first, equal ones in descending order of their ids, below a position."""
