"""The copy of messages that a move makes before it takes them away: who counts on it, and when it may be removed.

`workflow_segments` says how a move goes on. A copy is the one thing that must not be gone when its messages are taken
away, and what is in the head cannot see to that: an application may write the whole document back as it once read it,
so all of it can be as it was before. So who counts on a copy does so until a time that the server measures:

- The segment carries a `lease`: whose it is, and until when its messages may be taken away. Whoever does that asks for
  `$$NOW` to be before it, and gives the server `ANSWER_SECONDS`: however long a mover was stopped, it does nothing after
  that.
- Who adopts a copy puts a lease of its own, which ends no earlier, in place of the one it saw, in one update. So when the
  lease is over, that of everybody is who ever counted on the copy.
- A copy of other messages than the head's is left alone until its lease has been over for `_GRACE_SECONDS`: that covers
  an answer that takes its time, and the clocks of two members of a set, or of two routers.
- Who made a copy, or adopted one whose lease was over for that long, alone counts on it, and may remove it at once.
- Before it is removed, an update of the head (it puts up another `segment_fence`) finds out that the segment does not count
  by now. Then it never will: nobody is left who could make it. It is removed as it was seen, with its lease: where another
  has adopted it in between, nothing happens.
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
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, MOVE

FENCE = "segment_fence"
LEASE = "lease"

LEASE_SECONDS = 20
"""From when a mover begins to read."""

ANSWER_SECONDS = 20
_GRACE_SECONDS = 30


class InTheWay(Conflict):
    """A move of messages of session {session_id!r} has begun and not ended."""

    def __init__(self, session_id: str) -> None:
        """Its mover is at work, or has been killed."""
        hint = f"Nothing is lost. Try again in {LEASE_SECONDS + _GRACE_SECONDS} seconds."
        super().__init__(session_id=session_id, hint=hint)


class Copy(NamedTuple):
    """A segment that does not count yet: its number, which messages of the head it has, its mark, and its lease.

    `is_ours`: nobody else counts on it.
    """

    segment_id: str
    number: int
    positions: Sequence[int]
    mark: Any
    lease: Any
    is_ours: bool = False

    @property
    def itself(self) -> Document:
        """What only this copy matches, as long as nobody has adopted it."""
        return {"_id": self.segment_id, MOVE: {"$eq": self.mark}, LEASE: {"$eq": self.lease}}


def new_lease(now: datetime) -> Document:
    """A lease that begins at that time of the server, which is UTC whether it says so or not."""
    return {"by": ObjectId(), "until": now.replace(tzinfo=UTC) + timedelta(seconds=LEASE_SECONDS)}


class Copies:
    """The copies of one collection of heads. Callers translate the driver's errors."""

    def __init__(self, sessions: Collection[Document], segments: Collection[Document]) -> None:
        self._sessions = sessions
        self._segments = segments

    def is_over(self, copy: Copy) -> bool:
        """Whether nobody counts on the copy any more, by the server's clock."""
        over_at = {"$add": [f"${LEASE}.until", _GRACE_SECONDS * 1000]}
        has_none = {"$ne": [{"$type": f"${LEASE}.until"}, "date"]}
        is_over = {"$cond": [has_none, True, {"$gt": ["$$NOW", over_at]}]}
        primary = self._segments.with_options(read_preference=ReadPreference.PRIMARY)
        return primary.find_one({**copy.itself, "$expr": is_over}, {"_id": 1}) is not None

    def adopt(self, copy: Copy, lease: Document, *, is_over: bool) -> Copy | None:
        """Count on it with a lease of one's own; None where another was faster, or it is gone."""
        until = copy.lease.get("until") if isinstance(copy.lease, dict) else None
        if isinstance(until, datetime):
            lease = {**lease, "until": max(until.replace(tzinfo=UTC), lease["until"])}
        if self._segments.update_one(copy.itself, {"$set": {LEASE: lease}}).matched_count != 1:
            return None
        return copy._replace(lease=lease, is_ours=is_over)

    def remove(self, copy: Copy, document_id: Any) -> None:
        """Remove a copy that nobody else counts on; nothing happens where it is a segment by now."""
        counts = {LAST_SEGMENT: {"$gte": copy.number, "$lt": 2.0**63}}
        same = {"_id": {"$eq": document_id}}
        renewed = self._sessions.update_one({**same, "$nor": [counts]}, {"$set": {FENCE: ObjectId()}}).matched_count
        if renewed or self._sessions.find_one(same, {"_id": 1}) is None:
            self._segments.delete_one(copy.itself)
