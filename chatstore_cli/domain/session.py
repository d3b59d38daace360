"""A session: one conversation, in whatever shape it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatstore_cli.domain.usage import NO_USAGE, Usage

COUNT_CAP = 10_000
"""A page counts a session's messages up to here, and says "10000+" beyond (DESIGN section 3)."""


class SessionStatus(StrEnum):
    """Where a session stands, on one scale for every layout."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Session:
    """The facts of one session, without its messages.

    Ids are text (an ObjectId is its hex). Times are aware, in UTC. `message_count` is exact unless
    `message_count_capped`, where there are more than it says. `reason` is why it failed or is paused, where that is told.
    """

    session_id: str
    layout: str
    tenant_id: str | None = None
    user_id: str | None = None
    title: str | None = None
    workflow: str | None = None
    status: SessionStatus = SessionStatus.UNKNOWN
    created_at: datetime | None = None
    updated_at: datetime | None = None
    message_count: int = 0
    message_count_capped: bool = False
    paused: bool = False
    usage: Usage = NO_USAGE
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """When the database deletes a session's oldest and newest message by itself; None where it never does."""

    oldest: datetime | None
    newest: datetime | None
