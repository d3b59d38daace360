"""What a session's history is merged from: the ends of its journals, and its newest stored messages."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from chatstore_cli.domain.errors import BadValue, ChatstoreError
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import Content, StoredContent
from chatstore_cli.domain.tombstones import Tombstone

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
"""The largest number of messages in a history."""


def check_limit(limit: object, largest: int = LARGEST_LIMIT) -> None:
    """Raise BadValue for a limit that is not a whole number from 1 to `largest`."""
    if type(limit) is not int or not 1 <= limit <= largest:
        raise BadValue(name="limit", value=str(limit)[:60], expected=f"a number from 1 to {largest:,}")


@dataclass(slots=True)
class JournalTail:
    """The newest messages of a session: a list for each of its journals, oldest file and oldest line first.

    A message's `sequence` is its line's number if the journal was read to its beginning, else None. `damaged` lines and
    lines `of_others` (other sessions) were skipped. `complete`: everything was read. `failure`: why nothing was read.
    """

    journals: list[list[Message]] = field(default_factory=list)
    damaged: int = 0
    of_others: int = 0
    complete: bool = True
    failure: ChatstoreError | None = None

    @property
    def messages(self) -> int:
        """The number of messages."""
        return sum(map(len, self.journals))


class StoredMessage(NamedTuple):
    """A stored row. `identity` is its `_id` if chatstore assigned it, None for a row of another writer.

    `content` is None if no journal line can equal it, because role, time or text have another type.
    """

    message: Message
    identity: str | None
    content: StoredContent | None


class StoredHistory(Protocol):
    """The stored flat messages of sessions."""

    def tombstone(self, session_id: str) -> Tombstone | None:
        """The tombstone of the session if it was deleted on purpose: what it covers, a flush does not restore."""

    def tombstones(self, session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        """The tombstones of those of the sessions that were deleted on purpose."""

    def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> Sequence[StoredMessage]:
        """The newest stored messages, oldest first: `limit` of them or all at or after `since`, whichever is fewer.

        At least the newest one. All messages of the oldest one's millisecond are included.
        """

    def stored_contents(self, identities: Sequence[str]) -> Mapping[str, Content]:
        """The stored content of each of these ids."""


class NewestInstants:
    """Keeps the newest `limit` of the instants that are added."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[datetime] = []

    def add(self, instant: datetime) -> None:
        """Add an instant."""
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, instant)
        else:
            heapq.heappushpop(self._heap, instant)

    @property
    def oldest(self) -> datetime | None:
        """The `limit`-th newest instant; None while there are fewer."""
        return self._heap[0] if len(self._heap) == self._limit else None
