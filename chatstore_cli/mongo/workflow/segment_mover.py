"""Moving the oldest messages of a session's document into segments, so that no instant loses or doubles one.

A move has two steps, each of one document, so that it needs no transaction. (1) Insert segment n, a copy of the oldest
messages, with a mark of its own; readers ignore it, as the head's `last_segment` is n - 1 or missing. (2) One update of
the head takes exactly those messages away and sets `last_segment: n`. Its filter holds the whole of what is taken: a
head whose messages were edited meanwhile does not match.

A move that stops in between leaves an orphan, segment n. The next move adopts it where the head's messages are still
those, and else removes it, for nothing else could become segment n. A step 2 that another mover has in flight must not
count on a copy that is gone by then: `segment_copies` has the rules for that.

Killed at any instant: before step 1 nothing has happened. After it there is an orphan, which does not count. After step
2 the segment counts, and is there, for by those rules nobody has removed it. What knows no rules, such as somebody who
deletes the segments of a session while an application writes its document back, is looked for after step 2: a segment
that is gone is inserted again.
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
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.workflow.segments import SEGMENT_BYTES, HeadSize, Move
from chatstore_cli.mongo.bson_arrays import RAW
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.workflow.documents import in_order, session_id_of
from chatstore_cli.mongo.workflow.lookup import IDENTITY, locate
from chatstore_cli.mongo.workflow.raw_messages import RawDocument, with_messages
from chatstore_cli.mongo.workflow.segment_copies import ANSWER_SECONDS, FENCE, LEASE, Copies, Copy, InTheWay, new_lease
from chatstore_cli.mongo.workflow.segment_index import SegmentIndex
from chatstore_cli.mongo.workflow.segment_reader import (
    LAST_MOVE,
    LAST_SEGMENT,
    MOVE,
    MOVED_MESSAGES,
    SegmentReader,
    moved_messages_of,
)

_TIMES = 50
_MOST_WAITS = 20
_WAITS_FOR_EQUAL = 2
_PAUSE_SECONDS = 0.05
"""Where another mover's copy is in the way: one that is alive has moved or removed it by then."""

_ALL = 2**31 - 1
_MESSAGES: Document = {"$cond": [{"$isArray": "$messages"}, "$messages", []]}


class _Head(NamedTuple):
    """A head as one answer gave it, in which order its messages are read, and the server's time before that."""

    session_id: str
    document_id: Any
    stored: RawDocument
    order: Sequence[int]
    sequences: list[Any]
    now: datetime

    @property
    def guard(self) -> Document:
        """What a head matches in which nothing has moved since, and no segment been removed."""
        fields = ((LAST_SEGMENT, self.stored.value(LAST_SEGMENT)), (FENCE, self.stored.value(FENCE)))
        return {"_id": {"$eq": self.document_id}, **{field: {"$eq": value} for field, value in fields}}


class MongoSegmentStore:
    """Heads and segments of the workflow layout. In memory (mongomock), which has no limit of size, nothing moves."""

    def __init__(
        self, connection: Connection, settings: Settings, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """`warn` is called once if the segments collection needs an index that is not created here."""
        self._in_memory = connection.in_memory
        self._sessions = connection.collection(settings.sessions_collection)
        self._segments = connection.collection(settings.layouts.workflow.segments)
        self._reader = SegmentReader(self._sessions, self._segments, in_memory=connection.in_memory)
        self._copies = Copies(self._sessions, self._segments)
        self._index = SegmentIndex(connection, self._segments.name, warn)

    def head(self, session_id: str) -> HeadSize | None:
        """How large the head is; None where there is no such session. The server reads the whole document."""
        facts = {"count": {"$size": _MESSAGES}, "size": {"$bsonSize": "$$ROOT"}, LAST_SEGMENT: 1}
        found = locate(self._sessions, session_id, facts, in_memory=self._in_memory)
        if found is None:
            return None
        document = repr(found["_id"])
        if self._in_memory:
            return HeadSize(session_id, 0, 0, document=document)
        return HeadSize(session_id, found["size"], found["count"], whole_number(found.get(LAST_SEGMENT)), document)

    def move_oldest(
        self, session_id: str, *, keep_messages: int = 0, at_most_bytes: int = SEGMENT_BYTES
    ) -> Move | None:
        """Move the oldest messages into the next segment, as many as fit in `at_most_bytes` and at least one.

        `keep_messages` of them stay. None where there is nothing to move. Killed at any instant, and done by several at
        once, it loses and doubles nothing. Raises NotFound; Conflict where the messages kept being rewritten meanwhile.
        """
        if self._in_memory:
            return None
        waits = 0
        with driver_errors(f"moving messages of session {session_id!r} into {self._segments.name}"):
            for _ in range(_TIMES):
                head = self._read(session_id)
                movable = len(head.stored) - keep_messages
                count = _cut(head, movable, at_most_bytes) if movable > 0 else 0
                if count == 0:
                    return None
                try:
                    moved = self._move(head, count, waits)
                except InTheWay:
                    if waits >= _MOST_WAITS:
                        raise
                    waits += 1
                    time.sleep(_PAUSE_SECONDS)
                    continue
                if moved is not None:
                    return moved
        raise Conflict(
            what=f"The messages of session {session_id!r} were rewritten whenever they were about to be moved.",
            hint="Nothing is lost. Try again when it is quieter.",
        )

    def _read(self, session_id: str) -> _Head:
        found = locate(self._sessions, session_id, {**IDENTITY, "now": "$$NOW"})
        wanted = {"chat_id": 1, "messages": 1, LAST_SEGMENT: 1, FENCE: 1, MOVED_MESSAGES: 1}
        raw = self._sessions.with_options(codec_options=RAW)
        document = None if found is None else raw.find_one({"_id": {"$eq": found["_id"]}}, wanted)
        if found is None or document is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._sessions.name}")
        stored = RawDocument(document)
        sequences = stored.values("sequence")
        return _Head(session_id_of(found), found["_id"], stored, in_order(sequences), sequences, found["now"])

    # --- a move ------------------------------------------------------------------------------------------------------

    def _move(self, head: _Head, count: int, waits: int) -> Move | None:
        """One attempt, after so many waits; None where it has to begin anew. Raises InTheWay."""
        seen = self._reader.visible(head.session_id, head.stored.value(LAST_SEGMENT))
        number = 1 + max([0, whole_number(head.stored.value(LAST_SEGMENT)) or 0, *(number for number, _ in seen)])
        lease, before = new_lease(head.now), self._messages_in(head, seen)
        copy = Copy(f"{head.session_id}:{number}", number, head.order[:count], ObjectId(), lease, is_ours=True)
        self._index.ensure()
        try:
            self._insert(head, copy)
        except driver.DuplicateKeyError:
            adopted = self._adopt(head, copy, waits)
            if adopted is None:
                return None
            copy = adopted
        if not self._take_away(head, copy, before, lease["until"]):
            if copy.is_ours:
                self._copies.remove(copy, head.document_id)
            return None
        if self._segments.find_one({"_id": copy.segment_id}, {"_id": 1}) is None:
            with contextlib.suppress(driver.DuplicateKeyError):
                self._insert(head, copy)
        return Move(number, len(copy.positions), sum(map(head.stored.size, copy.positions)))

    def _messages_in(self, head: _Head, seen: list[tuple[int, str]]) -> int:
        """How many messages the segments that count hold."""
        noted = moved_messages_of({name: head.stored.value(name) for name in (LAST_SEGMENT, MOVED_MESSAGES)})
        if noted is not None:
            return noted
        return self._count_of([segment for _, segment in seen])

    def _insert(self, head: _Head, copy: Copy) -> None:
        """Step 1."""
        fields = _segment_fields(head, copy)
        self._segments.insert_one(with_messages(fields, head.stored.array_of(copy.positions)))

    def _take_away(self, head: _Head, copy: Copy, before: int, until: datetime) -> bool:
        """Step 2."""
        positions = copy.positions
        taken = set(positions)
        staying = [position for position in range(len(head.stored)) if position not in taken]
        same = {
            "$eq": [
                {"moved": _slices(positions)},
                {"$literal": with_messages({}, head.stored.array_of(positions), "moved")},
            ]
        }
        changed = {
            "messages": _slices(staying, from_then_on=len(head.stored)),
            LAST_SEGMENT: copy.number,
            MOVED_MESSAGES: before + len(positions),
            LAST_MOVE: copy.mark,
        }
        match = {**head.guard, "$expr": {"$and": [{"$lt": ["$$NOW", until]}, same]}}
        with time_limit(ANSWER_SECONDS):
            return self._sessions.update_one(match, [{"$set": changed}]).matched_count == 1

    def _count_of(self, segments: list[str]) -> int:
        sizes = self._segments.aggregate(
            [{"$match": {"_id": {"$in": segments}}}, {"$project": {"count": {"$size": _MESSAGES}}}]
        )
        return sum(row["count"] for row in sizes)

    # --- orphans -----------------------------------------------------------------------------------------------------

    def _adopt(self, head: _Head, ours: Copy, waits: int) -> Copy | None:
        """Make the segment that is there ours; None where it is gone, or another was faster.

        Raises InTheWay where somebody else counts on it, for a while even where it has the head's messages: a mover that
        is alive will be done by then, and alone can remove it.
        """
        found = self._segments.with_options(codec_options=RAW).find_one({"_id": ours.segment_id})
        if found is None:
            return None
        orphan = RawDocument(found)
        positions = head.order[: len(orphan)]
        there = Copy(ours.segment_id, ours.number, positions, orphan.value(MOVE), orphan.value(LEASE))
        if there.mark is None:
            raise Conflict(
                what=f"{self._segments.name} has a document {ours.segment_id!r} that chatstore has not written.",
                hint=f"The next messages of session {head.session_id!r} would go there. Look at it, and rename or delete it.",
            )
        is_same = len(positions) == len(orphan) > 0 and all(
            orphan.message(place) == head.stored.message(position) for place, position in enumerate(positions)
        )
        is_over = self._copies.is_over(there)
        if not is_over and (not is_same or waits < _WAITS_FOR_EQUAL):
            raise InTheWay(head.session_id)
        if is_same:
            return self._copies.adopt(there, ours.lease, is_over=is_over)
        self._copies.remove(there, head.document_id)
        return None


def _cut(head: _Head, movable: int, at_most_bytes: int) -> int:
    """How many messages to move: what fits, up to one that has a sequence of its own; 0 where nothing can be cut off.

    One without a sequence stays behind the one that it was stored after. Where the array is in order, that is also so
    when only the first of the two moves; where it is not, they stay together.
    """
    count = size = 0
    while count < movable:
        size += head.stored.size(head.order[count])
        if size > at_most_bytes and count:
            break
        count += 1
    total = len(head.order)
    in_order = all(position == place for place, position in enumerate(head.order))
    lowest = count // 2 if in_order else 0
    for cut in (*range(count, lowest, -1), *(() if in_order else range(count + 1, movable + 1))):
        if cut == total or whole_number(head.sequences[head.order[cut]]) is not None:
            return int(cut)
    return count if in_order else 0


def _segment_fields(head: _Head, copy: Copy) -> dict[str, Any]:
    positions = copy.positions
    numbers = [found for position in positions if (found := whole_number(head.sequences[position])) is not None]
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
    """An expression for the messages at these positions, in their order, and for all from a position on."""
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
    slices = [{"$slice": [_MESSAGES, start, length]} for start, length in runs]
    return slices[0] if len(slices) == 1 else {"$concatArrays": slices}
