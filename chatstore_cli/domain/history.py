"""A session's history over cache and database: what MongoDB holds of it, as merging the two needs it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import Content, StoredContent

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
"""How many messages a history shows: FACTS D."""


@dataclass(slots=True)
class JournalTail:
    """The newest messages of a session: a list for each of its journals, oldest file and oldest line first.

    A message's `sequence` is its line's number where the journal was read to its beginning, else None. `damaged` lines
    and those `of_others` (sessions) were passed over. `complete`: nothing was left unread. `failure`: why none was read.
    """

    journals: list[list[Message]] = field(default_factory=list)
    damaged: int = 0
    of_others: int = 0
    complete: bool = True
    failure: ChatstoreError | None = None

    @property
    def messages(self) -> int:
        """How many there are."""
        return sum(map(len, self.journals))


class StoredMessage(NamedTuple):
    """A stored row. `identity` is its `_id` where chatstore gave it, None for a row of another writer.

    `content` is None where no journal line can be equal to it: a role or a time that is none, text that is no text.
    """

    message: Message
    identity: str | None
    content: StoredContent | None


class StoredHistory(Protocol):
    """What the database holds of sessions of flat messages."""

    def is_deleted(self, session_id: str) -> bool:
        """Whether the session was deleted on purpose, so that journals do not bring it back."""
        ...

    def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> Sequence[StoredMessage]:
        """The newest stored messages, oldest first: at least the newest one, and back from it until `limit` are reached,
        or all at or after `since`, whichever is less. What has the same millisecond as the oldest is there whole.
        """
        ...

    def stored_contents(self, identities: Sequence[str]) -> Mapping[str, Content]:
        """The content of each of the ids that is stored."""
        ...


class NewestInstants:
    """The newest `limit` of the instants that were added."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[datetime] = []

    def add(self, instant: datetime) -> None:
        """One more."""
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, instant)
        else:
            heapq.heappushpop(self._heap, instant)

    @property
    def oldest(self) -> datetime | None:
        """The `limit`-th newest; None while there are fewer."""
        return self._heap[0] if len(self._heap) == self._limit else None
