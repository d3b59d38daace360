"""What happens to sessions and their messages while somebody watches: the nouns, and the ports that tell it."""

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
    """One change of one session; `session` is how it stands after it, or stood before it was deleted."""

    change: Change
    session: Session
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A change as a feed tells it.

    `place` orders it among all changes of the server. `moment` is the time that the writer gave it, where there is one.
    """

    told: SessionChange
    place: int
    moment: datetime | None


class News(StrEnum):
    """What happened to the session whose messages are watched."""

    APPENDED = "appended"
    """One message more: the event has it."""
    REWRITTEN = "rewritten"
    """Something else: whoever wants to know has to read."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """What happened to the watched session, with its place among all changes of the server."""

    news: News
    place: int = 0
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Taken(Generic[Event]):
    """What a feed had. With `missed_since`, changes after that instant are not in it, nor in any answer to come."""

    events: Sequence[Event]
    missed_since: datetime | None = None


class Feed(Protocol[Event]):
    """Changes in their order, each once, over restarts, step-downs and faults of the server."""

    def open(self) -> bool:
        """Begin with what happens from now on; False where the server cannot tell changes. Raises Unreachable."""
        ...

    def take(self) -> Taken[Event]:
        """What happened next; nothing where that is not soon. Raises Unreachable: asked again, it goes on."""
        ...

    def place(self) -> int:
        """The present place: whatever has happened so far has this one or a smaller one."""
        ...

    def close(self) -> None:
        """Let go of the server's resources."""
        ...
