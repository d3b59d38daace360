"""Segments: documents of their own that the oldest messages of a long chat move to (DESIGN section 3).

The head is the session's own document. Its `last_segment` is the number of the newest segment that counts: a segment
above it is the copy of a move that has not taken place yet, and no reader looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chatstore_cli.domain.session import Session

MEBIBYTE = 1 << 20

GUARD_BYTES = 12 * MEBIBYTE
"""A head that would pass this has its oldest messages moved out; the server refuses documents above 16 MiB."""

SEGMENT_BYTES = 4 * MEBIBYTE
"""What one move takes away at most, unless a single message is larger."""

HARD_LIMIT_BYTES = 16 * MEBIBYTE
"""What the server refuses."""


@dataclass(frozen=True, slots=True)
class HeadSize:
    """How large a session's own document is: BSON bytes, messages in it, and how many segments came out of it.

    `document` is what tells it from another document that has the same session id; None where nobody asked.
    """

    session_id: str
    size_bytes: int
    message_count: int
    last_segment: int | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One move that took place: `message_count` messages of `size_bytes` BSON bytes went into segment `segment`."""

    segment: int
    message_count: int
    size_bytes: int


class SegmentStore(Protocol):
    """Where heads and segments are."""

    def head(self, session_id: str) -> HeadSize | None:
        """How large the head is; None where there is no such session. The server reads the whole document."""
        ...

    def move_oldest(
        self, session_id: str, *, keep_messages: int = 0, at_most_bytes: int = SEGMENT_BYTES
    ) -> Move | None:
        """Move the oldest messages into the next segment, as many as fit in `at_most_bytes` and at least one.

        `keep_messages` of them stay. None where there is nothing to move. Killed at any instant, and done by several at
        once, it loses and doubles nothing. Raises NotFound; Conflict where the messages kept being rewritten meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class DocumentSize:
    """A session's document: its BSON bytes and the messages in it, with the times of its first and its last one.

    `session` counts messages in segments too. `document` is as in HeadSize.
    """

    session: Session
    size_bytes: int
    messages_in_document: int
    segment_count: int
    first_message_at: datetime | None
    last_message_at: datetime | None
    document: str | None = None


class DocumentSizes(Protocol):
    """Finds large documents."""

    def largest(self, limit: int, at_least_bytes: int = 0) -> list[DocumentSize]:
        """The largest documents, largest first. The server reads the collection to find them."""
        ...


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast a document grew from its first message up to now, and when it is full if it goes on so.

    A chat that has fallen silent grows less and less so. None of an ended one, where it is not known (fewer than two
    messages, no time, within the first minute), and for a date that is not in this millennium.
    """

    bytes_per_day: int | None
    full_at: datetime | None


class SplitOutcome(StrEnum):
    """How splitting one document ended."""

    DONE = "done"
    FAILED = "failed"
    """It could not be gone on with; what has moved stays where it is."""
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class SplitResult:
    """What splitting one document came to. `reads_the_same`: a reader saw what it had seen before, and what was new.

    What is not known, as it ended too early for that, is None.
    """

    session_id: str
    size_before: int
    size_after: int | None = None
    segments: int = 0
    moved_messages: int = 0
    messages: int | None = None
    reads_the_same: bool | None = None
    outcome: SplitOutcome = SplitOutcome.DONE
