"""Segments: separate documents that hold the oldest messages of a long session.

The head is the session's own document. Its `last_segment` is the number of the newest segment that counts: a segment with
a higher number is the copy of a move that has not taken place yet, and readers ignore it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chatstore_cli.domain.session import Session
from chatstore_cli.domain.shared_ids import SharedId

MEBIBYTE = 1 << 20

GUARD_BYTES = 12 * MEBIBYTE
"""The oldest messages of a head that reaches this size move out; the server rejects documents over 16 MiB."""

SEGMENT_BYTES = 4 * MEBIBYTE
"""One move removes at most this much from the head, unless a single message is larger."""

HARD_LIMIT_BYTES = 16 * MEBIBYTE
"""The server rejects larger documents."""


@dataclass(frozen=True, slots=True)
class HeadSize:
    """The size of a session's own document: its BSON bytes, its messages, and its newest segment.

    `document` distinguishes it from other documents with the same session id, and `shared_id` names these if a look-up
    of the id found several; each is None if it was not requested.
    """

    layout: str
    session_id: str
    size_bytes: int
    message_count: int
    last_segment: int | None = None
    document: str | None = None
    shared_id: SharedId | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A move that took place: `message_count` messages of `size_bytes` BSON bytes are now in segment number `segment`."""

    segment: int
    message_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DocumentFull:
    """A message was not stored: with its `needed_bytes` the session's document would be over 16 MiB."""

    needed_bytes: int


class SegmentStore(Protocol):
    """Where heads and segments are stored."""

    def head(self, session_id: str) -> HeadSize | None:
        """The size of the head; None if there is no such session. The server reads the whole document."""

    def check_index(self) -> None:
        """On the first call, check that the segments have the index that each append to a session with segments needs."""

    def move_oldest(
        self, session_id: str, *, keep_messages: int = 0, at_most_bytes: int = SEGMENT_BYTES
    ) -> Move | None:
        """Move the oldest messages into the next segment: as many as fit in `at_most_bytes`, and at least one.

        `keep_messages` of them stay. None if there is nothing to move. Killed at any instant, and run by several
        processes at once, it loses and doubles nothing. Raises NotFound; Conflict if the messages were rewritten before
        each attempt, or another move is in progress.
        """


@dataclass(frozen=True, slots=True)
class DocumentSize:
    """A session's document: its BSON bytes, its messages, and the times of the first and the last one of them.

    `session` also counts messages in segments. `document` is as in HeadSize.
    """

    session: Session
    size_bytes: int
    messages_in_document: int
    segment_count: int
    first_message_at: datetime | None
    last_message_at: datetime | None
    document: str | None = None


class DocumentSizes(Protocol):
    """Finds large documents of one layout."""

    def largest(self, limit: int, at_least_bytes: int = 0) -> list[DocumentSize]:
        """The largest documents, largest first. The server reads the collection to find them."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of a document per day from its first message until now, and when it reaches 16 MiB at this rate.

    For a silent session the rate decreases. Both are None for a session that has ended, and if the growth is unknown
    (fewer than two messages, no time, or within the first minute). `full_at` is None beyond the next 1,000 years.
    """

    bytes_per_day: int | None
    full_at: datetime | None


class SplitOutcome(StrEnum):
    """The outcome of splitting one document."""

    DONE = "done"
    FAILED = "failed"
    """An error stopped it; what has moved stays in segments."""
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class SplitResult:
    """The result of splitting one document. `reads_the_same`: a reader sees the same messages as before, and new ones.

    A field is None if the split ended before it was known.
    """

    layout: str
    session_id: str
    size_before: int
    size_after: int | None = None
    segments: int = 0
    moved_messages: int = 0
    messages: int | None = None
    reads_the_same: bool | None = None
    outcome: SplitOutcome = SplitOutcome.DONE

    @classmethod
    def planned(cls, head: HeadSize) -> SplitResult:
        """What is known of a document before it is split."""
        return cls(head.layout, head.session_id, head.size_bytes)
