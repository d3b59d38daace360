"""A session: one stored conversation, in any layout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatstore_cli.domain.shared_ids import SharedId
from chatstore_cli.domain.usage import KnownUsage

COUNT_CAP = 10_000
"""A page counts a session's messages up to this number, and shows "10000+" beyond it."""


class SessionStatus(StrEnum):
    """The status of a session, the same for every layout."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Session:
    """The facts of one session, without its messages.

    Ids are text (of an ObjectId its hexadecimal form). Times are in UTC, with their zone. `message_count` is exact unless
    `message_count_capped`: then there are more. `usage` is None if the layout has none.
    `reason` is why the session failed or is paused, if that is stored.
    `invalid_numbers` has the fields whose stored number is not valid and therefore unknown.
    `tags` and a title of chatstore's own come from core/labels/, not from the readers of the layouts.
    `shared_id` names the documents if several have the id; only a look-up of this one session finds that out.
    `is_general`: the session is a chat with the general agent, so that agent's messages are the conversation.
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
    usage: KnownUsage | None = None
    reason: str | None = None
    invalid_numbers: tuple[str, ...] = ()
    is_general: bool = False
    tags: tuple[str, ...] = ()
    shared_id: SharedId | None = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a session's oldest and newest message expire; None: never."""

    oldest: datetime | None
    newest: datetime | None
