"""Copies of messages that a move has stored as a segment and not yet removed from the head, and their leases.

The rules of leases, adoption and fences are below. docs/architecture.md (Segments) explains why each of them is needed.

- Whoever removes the messages from the head requires that `$$NOW` is before the end of the copy's `lease`, and gives the
  server `ANSWER_SECONDS`. So a mover that was stopped for long changes nothing afterwards.
- A mover that adopts a copy replaces the lease that it saw with its own, which ends no earlier, in one update.
- A copy of other messages than the head's is left alone until its lease has been over for `_GRACE_SECONDS`.
- Only the mover that made a copy, or that adopted one whose lease was over for that long, may remove it at once.
- Before a copy is removed, an update of the head sets a new `segment_fence` on the condition that the segment does not
  count: no update that would make it count still matches the head. The removal matches the copy with its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import ReadPreference
from pymongo.collection import Collection

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT, MOVE

FENCE = "segment_fence"
LEASE = "lease"

LEASE_SECONDS = 20
"""Counted from when a mover begins to read."""

ANSWER_SECONDS = 20
_GRACE_SECONDS = 30


class MoveInProgress(Conflict):
    """Another move of messages of session {session_id!r} is in progress, or was interrupted."""

    def __init__(self, session_id: str) -> None:
        """Its mover is at work, or was killed."""
        hint = f"Nothing is lost. Try again in {LEASE_SECONDS + _GRACE_SECONDS} seconds."
        super().__init__(session_id=session_id, hint=hint)


class SegmentCopy(NamedTuple):
    """A segment that does not count yet: its number, the positions of its messages in the head, its mark and its lease.

    `is_exclusive`: no other mover relies on it.
    """

    segment_id: str
    number: int
    positions: Sequence[int]
    mark: Any
    lease: Any
    is_exclusive: bool = False

    @property
    def match(self) -> Document:
        """A filter that this copy matches until another mover adopts it."""
        return {"_id": self.segment_id, MOVE: {"$eq": self.mark}, LEASE: {"$eq": self.lease}}


def new_lease(now: datetime) -> Document:
    """A lease that begins at this time of the server, which is in UTC even if it is naive."""
    return {"by": ObjectId(), "until": now.replace(tzinfo=UTC) + timedelta(seconds=LEASE_SECONDS)}


class SegmentCopies:
    """The copies for one collection of heads. Callers translate the driver's errors."""

    def __init__(self, sessions: Collection[Document], segments: Collection[Document]) -> None:
        self._sessions = sessions
        self._segments = segments

    def is_abandoned(self, copy: SegmentCopy) -> bool:
        """Whether no mover relies on the copy any more, by the server's clock."""
        end = {"$add": [f"${LEASE}.until", _GRACE_SECONDS * 1000]}
        has_no_end = {"$ne": [{"$type": f"${LEASE}.until"}, "date"]}
        is_over = {"$cond": [has_no_end, True, {"$gt": ["$$NOW", end]}]}
        primary = self._segments.with_options(read_preference=ReadPreference.PRIMARY)
        return primary.find_one({**copy.match, "$expr": is_over}, {"_id": 1}) is not None

    def adopt(self, copy: SegmentCopy, lease: Document, *, is_abandoned: bool) -> SegmentCopy | None:
        """The copy with this lease instead of its own; None if another mover was faster, or the copy no longer exists."""
        until = copy.lease.get("until") if isinstance(copy.lease, dict) else None
        if isinstance(until, datetime):
            lease = {**lease, "until": max(until.replace(tzinfo=UTC), lease["until"])}
        if self._segments.update_one(copy.match, {"$set": {LEASE: lease}}).matched_count != 1:
            return None
        return copy._replace(lease=lease, is_exclusive=is_abandoned)

    def remove(self, copy: SegmentCopy, document_id: Any) -> None:
        """Remove a copy that no other mover relies on; do nothing if it has become a segment that counts."""
        counts = {LAST_SEGMENT: {"$gte": copy.number, "$lt": 2.0**63}}
        head = {"_id": {"$eq": document_id}}
        is_fenced = self._sessions.update_one({**head, "$nor": [counts]}, {"$set": {FENCE: ObjectId()}}).matched_count
        if is_fenced or self._sessions.find_one(head, {"_id": 1}) is None:
            self._segments.delete_one(copy.match)
