"""Changes of sessions and their messages, and the port that reports them to a watcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session

Event = TypeVar("Event")


class Change(StrEnum):
    """What happened to a session."""

    NEW = "new"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class SessionChange:
    """One change of one session. `session` has the facts after the change, or before a deletion.

    `only_document_id`: of a deleted session, only the `_id` of its document is known. The session may have another id.
    """

    change: Change
    session: Session
    changed_at: datetime | None
    only_document_id: bool = False


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A change as a feed reports it.

    `position` orders it among all changes of the server. `written_at` is the time that the writer stored, if any.
    """

    change: SessionChange
    position: int
    written_at: datetime | None


class MessageEventKind(StrEnum):
    """What happened to the session whose messages are watched."""

    APPENDED = "appended"
    """One message was added, and the event contains it."""
    REWRITTEN = "rewritten"
    """Any other change: its result has to be read."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """A change of the watched session. `position` orders it among all changes of the server."""

    kind: MessageEventKind
    position: int = 0
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Batch(Generic[Event]):
    """The next events of a feed. With `missed_since`, changes after that instant are in no batch, now or later."""

    events: Sequence[Event]
    missed_since: datetime | None = None


class Feed(Protocol[Event]):
    """Reports changes in their order from its opening on, each once, also after restarts and faults of the server."""

    def read(self) -> Batch[Event]:
        """The next events, or an empty batch after a short wait. After Unreachable the next call resumes."""

    def position(self) -> int:
        """The server's present position: every change so far has this position or a smaller one."""

    def close(self) -> None:
        """Release the server's resources."""
