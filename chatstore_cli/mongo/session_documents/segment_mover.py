"""Moves the oldest messages of a session's document into segments. A crash at any instant loses and doubles none.

A move has two steps, each on one document, so it needs no transaction. (1) Insert segment n, a copy of the oldest
messages, with a mark of its own. Readers ignore it, because the head's `last_segment` is n - 1 or missing. (2) One
update of the head removes exactly those messages and sets `last_segment: n`. Its filter contains everything that it
removes: a head whose old messages were edited meanwhile does not match.

A move that stops in between leaves an orphan, segment n, which the next move adopts or removes by the rules in
`segment_copies`. docs/architecture.md (Segments) lists the states after a kill.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pymongo.errors as driver
from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.segments import SEGMENT_BYTES, HeadSize, Move
from chatstore_cli.mongo.bson_arrays import RAW
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.exact import reject_equal_id
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.session_documents.collection import IDENTITY, SessionCollection
from chatstore_cli.mongo.session_documents.documents import MESSAGES_OR_EMPTY, in_order, session_id_of
from chatstore_cli.mongo.session_documents.raw_messages import RawDocument, with_messages
from chatstore_cli.mongo.session_documents.segment_copies import (
    ANSWER_SECONDS,
    FENCE,
    LEASE,
    MoveInProgress,
    SegmentCopies,
    SegmentCopy,
    new_lease,
)
from chatstore_cli.mongo.session_documents.segment_index import SegmentIndex
from chatstore_cli.mongo.session_documents.segment_reader import (
    LAST_MOVE,
    LAST_SEGMENT,
    MOVE,
    MOVED_MESSAGES,
    moved_message_count,
)
from chatstore_cli.mongo.session_documents.shape import DocumentShape

_MAX_ATTEMPTS = 50
_MAX_WAITS = 20
_WAITS_BEFORE_ADOPTION = 2
_PAUSE_SECONDS = 0.05
"""Long enough for a mover that is alive to complete its move, or to remove its copy."""

_ALL = 2**31 - 1


class _Head(NamedTuple):
    """A head as one answer returned it, the order of its messages, and the server's time before that answer."""

    session_id: str
    document_id: Any
    stored: RawDocument
    order: Sequence[int]
    sequences: list[Any]
    now: datetime

    @property
    def guard(self) -> Document:
        """A filter that the head matches only if since then nothing has moved, and no copy was removed."""
        fields = ((LAST_SEGMENT, self.stored.value(LAST_SEGMENT)), (FENCE, self.stored.value(FENCE)))
        return {"_id": {"$eq": self.document_id}, **{field: {"$eq": value} for field, value in fields}}


class _Outcome(NamedTuple):
    """The end of `move_oldest`: the move, or None because there was nothing to move."""

    move: Move | None


class MongoSegmentStore:
    """A SegmentStore of one layout. In memory (mongomock), where documents have no limit, nothing moves."""

    def __init__(
        self,
        shape: DocumentShape,
        connection: Connection,
        settings: Settings,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`warn` is called once if the segments collection needs an index that is not created here."""
        self._connection = connection = connection.reading_from_primary()
        self._in_memory = connection.in_memory
        self._shape = shape
        self._collection = SessionCollection(shape, connection, settings)
        self._sessions, self._segments = self._collection.sessions, self._collection.segments
        self._reader = self._collection.reader
        self._copies = SegmentCopies(self._sessions, self._segments)
        self._index = SegmentIndex(connection, self._segments.name, warn)

    def head(self, session_id: str) -> HeadSize | None:
        facts = {"count": {"$size": MESSAGES_OR_EMPTY}, "size": {"$bsonSize": "$$ROOT"}, LAST_SEGMENT: 1}
        located = self._collection.locate_shared(session_id, facts)
        if located is None:
            return None
        row, shared_id = located
        document = repr(row["_id"])
        if self._in_memory:
            return HeadSize(self._shape.layout, session_id, 0, 0, document=document, shared_id=shared_id)
        last_segment = whole_number(row.get(LAST_SEGMENT))
        return HeadSize(self._shape.layout, session_id, row["size"], row["count"], last_segment, document, shared_id)

    def check_index(self) -> None:
        """On the first call, create the index of a small segments collection, or warn if a large one does not have it."""
        if not self._in_memory:
            require_writable(self._connection, self._segments.name, self._shape.own_segments)
            self._index.ensure()

    def move_oldest(
        self, session_id: str, *, keep_messages: int = 0, at_most_bytes: int = SEGMENT_BYTES
    ) -> Move | None:
        if self._in_memory:
            return None
        require_writable(self._connection, self._sessions.name, self._shape.own_sessions)
        require_writable(self._connection, self._segments.name, self._shape.own_segments)
        waits = 0

        def attempt() -> _Outcome | None:
            nonlocal waits
            head = self._read(session_id)
            movable = len(head.stored) - keep_messages
            count = _count_to_move(head, movable, at_most_bytes) if movable > 0 else 0
            if count == 0:
                return _Outcome(None)
            try:
                move = self._attempt_move(head, count, waits)
            except MoveInProgress:
                if waits >= _MAX_WAITS:
                    raise
                waits += 1
                time.sleep(_PAUSE_SECONDS)
                return None
            return None if move is None else _Outcome(move)

        def failure() -> Conflict:
            what = f"The messages of session {session_id!r} were rewritten each time before they could be moved."
            return Conflict(what=what, hint="Nothing is lost. Try again when fewer clients write to it.")

        with driver_errors(f"moving messages of session {session_id!r} into {self._segments.name}"):
            return attempt_until_done(attempt, failure, attempts=_MAX_ATTEMPTS).move

    def _read(self, session_id: str) -> _Head:
        row = self._collection.locate(session_id, {**IDENTITY, "now": "$$NOW"})
        fields = {"chat_id": 1, "messages": 1, LAST_SEGMENT: 1, FENCE: 1, MOVED_MESSAGES: 1}
        raw = self._sessions.with_options(codec_options=RAW)
        document = None if row is None else raw.find_one({"_id": {"$eq": row["_id"]}}, fields)
        if row is None or document is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._sessions.name}")
        stored = RawDocument(document)
        sequences = stored.values("sequence")
        return _Head(session_id_of(row), row["_id"], stored, in_order(sequences), sequences, row["now"])

    def _attempt_move(self, head: _Head, count: int, waits: int) -> Move | None:
        """One attempt, after that many waits; None if the head must be read again. Raises MoveInProgress."""
        segments = self._reader.counting_segments(head.session_id, head.stored.value(LAST_SEGMENT))
        last_segment = whole_number(head.stored.value(LAST_SEGMENT)) or 0
        number = 1 + max([0, last_segment, *(number for number, _ in segments)])
        moved_before = self._moved_before(head, [segment_id for _, segment_id in segments])
        lease = new_lease(head.now)
        segment_id = f"{head.session_id}:{number}"
        copy = SegmentCopy(segment_id, number, head.order[:count], ObjectId(), lease, is_exclusive=True)
        self._index.ensure()
        try:
            self._insert(head, copy)
        except driver.DuplicateKeyError:
            adopted = self._adopt(head, copy, waits)
            if adopted is None:
                return None
            copy = adopted
        if not self._remove_from_head(head, copy, moved_before, lease["until"]):
            if copy.is_exclusive:
                self._copies.remove(copy, head.document_id)
            return None
        if self._segments.find_one({"_id": copy.segment_id}, {"_id": 1}) is None:
            with contextlib.suppress(driver.DuplicateKeyError):
                self._insert(head, copy)
        return Move(number, len(copy.positions), sum(map(head.stored.size, copy.positions)))

    def _moved_before(self, head: _Head, segment_ids: list[str]) -> int:
        """How many messages the segments that count hold."""
        noted = moved_message_count({name: head.stored.value(name) for name in (LAST_SEGMENT, MOVED_MESSAGES)})
        if noted is not None:
            return noted
        sizes = self._segments.aggregate(
            [{"$match": {"_id": {"$in": segment_ids}}}, {"$project": {"count": {"$size": MESSAGES_OR_EMPTY}}}]
        )
        return sum(row["count"] for row in sizes)

    def _insert(self, head: _Head, copy: SegmentCopy) -> None:
        """Step 1."""
        fields = _segment_fields(head, copy)
        self._segments.insert_one(with_messages(fields, head.stored.array_of(copy.positions)))

    def _remove_from_head(self, head: _Head, copy: SegmentCopy, moved_before: int, until: datetime) -> bool:
        """Step 2; returns whether it took place."""
        positions = copy.positions
        moving = set(positions)
        staying = [position for position in range(len(head.stored)) if position not in moving]
        is_unchanged = {
            "$eq": [
                {"moved": _slices(positions)},
                {"$literal": with_messages({}, head.stored.array_of(positions), "moved")},
            ]
        }
        fields = {
            "messages": _slices(staying, from_then_on=len(head.stored)),
            LAST_SEGMENT: copy.number,
            MOVED_MESSAGES: moved_before + len(positions),
            LAST_MOVE: copy.mark,
        }
        match = {**head.guard, "$expr": {"$and": [{"$lt": ["$$NOW", until]}, is_unchanged]}}
        with time_limit(ANSWER_SECONDS):
            return self._sessions.update_one(match, [{"$set": fields}]).matched_count == 1

    def _adopt(self, head: _Head, own: SegmentCopy, waits: int) -> SegmentCopy | None:
        """The stored segment of that number as the own copy; None if it no longer exists, or another mover was faster.

        Raises MoveInProgress if another mover relies on it, for a while even if it has the head's messages: a mover that
        is alive completes its move by then, and only that mover can remove the copy.
        """
        document = self._segments.with_options(codec_options=RAW).find_one({"_id": own.segment_id})
        if document is None:
            reject_equal_id(self._segments, "_id", own.segment_id)
            return None
        orphan = RawDocument(document)
        positions = head.order[: len(orphan)]
        copy = SegmentCopy(own.segment_id, own.number, positions, orphan.value(MOVE), orphan.value(LEASE))
        if copy.mark is None:
            raise Conflict(
                what=f"{self._segments.name} has a document {own.segment_id!r} that chatstore did not write.",
                hint=f"The next segment of session {head.session_id!r} needs this _id. Rename or delete the document.",
            )
        is_equal = len(positions) == len(orphan) > 0 and all(
            orphan.message(index) == head.stored.message(position) for index, position in enumerate(positions)
        )
        is_abandoned = self._copies.is_abandoned(copy)
        if not is_abandoned and (not is_equal or waits < _WAITS_BEFORE_ADOPTION):
            raise MoveInProgress(head.session_id)
        if is_equal:
            return self._copies.adopt(copy, own.lease, is_abandoned=is_abandoned)
        self._copies.remove(copy, head.document_id)
        return None


def _count_to_move(head: _Head, movable: int, at_most_bytes: int) -> int:
    """How many messages to move: those that fit, up to one that has a sequence of its own; 0 if none can move.

    A message without a sequence is read after the one that it was stored after. If the array is in order, that is also
    true if only the first of the two moves; if it is not, they stay together.
    """
    count = size = 0
    while count < movable:
        size += head.stored.size(head.order[count])
        if size > at_most_bytes and count:
            break
        count += 1
    total = len(head.order)
    is_ordered = all(position == index for index, position in enumerate(head.order))
    lowest = count // 2 if is_ordered else 0
    for end in (*range(count, lowest, -1), *(() if is_ordered else range(count + 1, movable + 1))):
        if end == total or whole_number(head.sequences[head.order[end]]) is not None:
            return int(end)
    return count if is_ordered else 0


def _segment_fields(head: _Head, copy: SegmentCopy) -> dict[str, Any]:
    positions = copy.positions
    sequences = [whole_number(head.sequences[position]) for position in positions]
    numbers = [number for number in sequences if number is not None]
    return {
        "_id": copy.segment_id,
        "chat_id": head.session_id,
        "segment": copy.number,
        MOVE: copy.mark,
        LEASE: copy.lease,
        "moved_at": datetime.now(UTC),
        "message_count": len(positions),
        "first_sequence": min(numbers, default=None),
        "last_sequence": max(numbers, default=None),
        "bytes": sum(map(head.stored.size, positions)),
    }


def _slices(positions: Sequence[int], *, from_then_on: int | None = None) -> Document:
    """An expression for the messages at these positions in their order, and for all messages from a position on."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and position == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([position, 1])
    if from_then_on is not None:
        if runs and sum(runs[-1]) == from_then_on:
            runs[-1][1] = _ALL
        else:
            runs.append([from_then_on, _ALL])
    slices = [{"$slice": [MESSAGES_OR_EMPTY, start, length]} for start, length in runs]
    return slices[0] if len(slices) == 1 else {"$concatArrays": slices}
