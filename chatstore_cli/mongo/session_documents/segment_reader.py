"""Messages of sessions whose oldest messages are in segments: each is read once, also while more of them move there.

A head with `last_segment` names the segments that count: those up to that number. Above it there may be the copy of a
move that has not yet removed its messages from the head. For a head without `last_segment`, segments of other writers
count; segments with the mark of a move (`move`) do not, because their first move is still in progress. A segment that
counts never changes. So a reader that takes the head's number and messages from one answer, and adds the segments up to
that number, has each message once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, dropwhile
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.bson_arrays import MovedOn, Rewritten, StoredArray
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import own_collation, text_range
from chatstore_cli.mongo.session_documents.documents import MESSAGE_COUNT, NO_SEQUENCE
from chatstore_cli.mongo.session_documents.selection import chosen, first_of

LAST_SEGMENT = "last_segment"
MOVED_MESSAGES = "moved_messages"
"""In the head: how many messages the segments up to `last_segment` hold."""

LAST_MOVE = "last_move"
"""In the head: the mark of the move that made the newest segment that counts."""

MOVE = "move"
"""In a segment: the move that made it."""

LAST_SEQUENCE = "last_sequence"
"""In a segment that a move made: the highest sequence of its messages; null if none has one."""

_ATTEMPTS_IN_PIECES = 3
"""Attempts after which the head is fetched in one answer, because it is edited too often to be read in pieces."""

_MAX_ATTEMPTS = 20
_MAX_DIGITS = 19


def names_segments(head: Document) -> bool:
    """Whether a head names the segments that count."""
    return whole_number(head.get(LAST_SEGMENT)) is not None


def moved_message_count(head: Document) -> int | None:
    """How many messages are in segments according to the head; None if the head does not have that number."""
    count = whole_number(head.get(MOVED_MESSAGES))
    return count if count is not None and count >= 0 and names_segments(head) else None


class _Segment(NamedTuple):
    """A segment that counts. The version of its elements is the mark of the move that made it."""

    number: int
    document_id: str
    elements: StoredArray
    highest: int | None
    """The highest sequence in it, as its move noted; None if that is not known."""

    def is_below(self, sequence: int) -> bool:
        """Whether it is known to have no message with a higher sequence than this."""
        return self.highest is not None and self.highest <= sequence


class SegmentReader:
    """Reads heads together with their segments. Callers translate the driver's errors."""

    def __init__(self, sessions: Collection[Document], segments: Collection[Document], *, in_memory: bool) -> None:
        self._sessions = sessions
        self._segments = segments
        self._in_memory = in_memory

    def segment_ids(self, session_ids: Sequence[str]) -> dict[str, str]:
        """All segments of these sessions, whether they count or not, oldest first: segment id to session id."""
        return {row["_id"]: session_id for session_id, _, row in self._find(session_ids)}

    def counting_segments(self, session_id: str, last_segment: Any) -> list[tuple[int, str]]:
        """Numbers and ids of the segments that count for a head with this `last_segment`, oldest first."""
        return [(number, row["_id"]) for number, row in self._counting(session_id, last_segment)]

    def _counting(self, session_id: str, last_segment: Any, *more: str) -> list[tuple[int, Document]]:
        segments = [(number, row) for _, number, row in self._find([session_id], *more)]
        last = whole_number(last_segment)
        if last is not None:
            return [(number, row) for number, row in segments if number <= last]
        unmarked = self._unmarked([row["_id"] for _, row in segments])
        return [(number, row) for number, row in segments if row["_id"] in unmarked]

    def _find(self, session_ids: Sequence[str], *more: str) -> list[tuple[str, int, Document]]:
        """Session id, number, and `_id` and more fields of all segments of these sessions, in the order of the first two."""
        if not session_ids:
            return []
        own = own_collation(self._segments)  # once: an absent collection is looked up each time
        ranges = [{"_id": text_range(own, f"{name}:", f"{name};")} for name in session_ids]
        names = set(session_ids)
        segments: list[tuple[str, int, Document]] = []
        for row in self._segments.find({"$or": ranges}, dict.fromkeys(("_id", *more), 1), **own):
            session_id, number = _owner_and_number(row["_id"])
            if session_id in names and number is not None:  # a range also has the segments of sessions named `<id>:...`
                segments.append((session_id, number, row))
        return sorted(segments, key=lambda segment: segment[:2])

    def _unmarked(self, segment_ids: Sequence[str]) -> set[str]:
        if not segment_ids:
            return set()
        match = {"_id": {"$in": list(segment_ids)}, MOVE: {"$exists": False}}
        return {row["_id"] for row in self._segments.find(match, {"_id": 1})}

    def with_moved_messages(self, sessions: Sequence[Session], heads: Mapping[str, Document]) -> list[Session]:
        """The sessions with the messages in segments added to their counts, unless their heads have counted these.

        `heads` contains, by session id, at least the heads that name the segments that count (`names_segments`).
        """
        uncounted = [
            each.session_id for each in sessions if moved_message_count(heads.get(each.session_id, {})) is None
        ]
        owners = self.segment_ids(uncounted)
        if not owners:
            return list(sessions)
        moved: dict[str, int] = {}
        counts: list[Document] = [
            {"$match": {"_id": {"$in": list(owners)}}},
            {"$project": {"count": MESSAGE_COUNT, MOVE: 1}},
        ]
        for row in self._segments.aggregate(counts):
            owner = owners[row["_id"]]
            last = whole_number(heads.get(owner, {}).get(LAST_SEGMENT))
            number = _owner_and_number(row["_id"])[1]
            if MOVE not in row if last is None else number is not None and number <= last:
                moved[owner] = moved.get(owner, 0) + row["count"]
        return [
            replace(session, message_count=session.message_count + moved.get(session.session_id, 0))
            for session in sessions
        ]

    def all_with_moved_messages(self, rows: Iterable[tuple[Session, Document]]) -> Iterator[Session]:
        """The same for any number of sessions, each with its head: at most once it reads the id of every segment."""
        owners: set[str] | None = None
        for session, head in rows:
            if moved_message_count(head) is None:
                if owners is None:
                    owners = self._owners()
                if session.session_id in owners:
                    yield self.with_moved_messages([session], {session.session_id: head})[0]
                    continue
            yield session

    def _owners(self) -> set[str]:
        rows = self._segments.find({}, {"_id": 1})
        if not self._in_memory:
            rows = rows.hint([("_id", 1)])  # without the hint the server reads the segments themselves
        return {_owner_and_number(row["_id"])[0] for row in rows}

    def elements(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[list[Any]]:
        """The selected stored messages in order, a few at a time. Raises Conflict if they are rewritten meanwhile."""
        if selection.last is None:
            return self._from_the_beginning(session_id, document_id, selection)
        return self._newest(session_id, document_id, selection)

    def _from_the_beginning(
        self, session_id: str, document_id: Any, selection: MessageSelection
    ) -> Iterator[list[Any]]:
        yielded: dict[str, Any] = {}
        last_number = -1
        missing = selection.first

        def is_below(segment: _Segment) -> bool:
            # A message without a sequence has that of one before it, which is then in a segment that is below, too.
            return selection.after_sequence is not None and segment.is_below(selection.after_sequence)

        for attempt in count():
            try:
                head, segments = self._begin(session_id, document_id, attempt, selection.after_sequence)
                self._check_that_they_count(session_id, yielded, segments)
                before = partial(_key_before, [segment.elements for segment in segments])
                [(_, of_head)] = chosen([head], selection, before)
                for segment in dropwhile(is_below, segments):
                    if missing == 0:
                        return
                    if segment.number > last_number:
                        [(elements, positions)] = chosen([segment.elements], selection, before)
                        positions, still_missing = first_of(elements, positions, missing, selection)
                        yield from elements.read(positions)
                        missing = still_missing
                        yielded[segment.document_id] = segment.elements.version
                        last_number = segment.number
                run = head.read(first_of(head, of_head, missing, selection)[0])
            except (MovedOn, Rewritten):  # messages that were not yet yielded have moved, or were edited
                if attempt >= _MAX_ATTEMPTS:
                    raise
                continue
            yield from run
            return

    def _newest(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[list[Any]]:
        for attempt in count():
            try:
                head, segments = self._begin(session_id, document_id, attempt)
                arrays = [segment.elements for segment in segments]
                newest = list(chosen([*arrays, head], selection, partial(_key_before, arrays)))
                # The head is fetched first, because its oldest messages may move while those of segments are yielded.
                runs = [elements.read(positions) for elements, positions in newest if elements is head]
            except (MovedOn, Rewritten):
                if attempt >= _MAX_ATTEMPTS:
                    raise
                continue
            for elements, positions in newest:
                if elements is not head:
                    yield from elements.read(positions)
            for run in runs:
                yield from run
            return

    def _begin(
        self, session_id: str, document_id: Any, attempt: int, after_sequence: int | None = None
    ) -> tuple[StoredArray, list[_Segment]]:
        """The head, with its number and the order of its messages, and the segments that count for that number.

        For a selection after a sequence, each segment has its highest one if it is known.
        """
        in_memory = self._in_memory
        head = StoredArray(self._sessions, document_id, "messages", in_memory=in_memory, version=LAST_SEGMENT)
        if attempt >= _ATTEMPTS_IN_PIECES:
            head.hold()
        head.values("sequence")  # this answer also has the number, as `head.version`
        fields = () if after_sequence is None else (MOVE, LAST_SEQUENCE)
        return head, [
            _Segment(
                number,
                row["_id"],
                StoredArray(self._segments, row["_id"], "messages", in_memory=in_memory, version=MOVE),
                _highest(row),
            )
            for number, row in self._counting(session_id, head.version, *fields)
        ]

    def _check_that_they_count(self, session_id: str, yielded: Mapping[str, Any], segments: Sequence[_Segment]) -> None:
        """Raise Conflict if a segment that was yielded no longer counts, or was replaced by another one.

        That happens if an older copy of the whole document was written back: its messages are in the head again.
        """
        if not yielded:
            return
        rows = self._segments.find({"_id": {"$in": list(yielded)}}, {MOVE: 1})
        marks = {row["_id"]: row.get(MOVE) for row in rows}
        counting = {segment.document_id for segment in segments}
        if any(name not in counting or name not in marks or marks[name] != mark for name, mark in yielded.items()):
            what = f"An older copy of session {session_id!r} was written back while its messages were being read."
            raise Conflict(what=what, hint="Run it again.")


def _owner_and_number(segment_id: Any) -> tuple[str, int | None]:
    """The session that the id of a segment names, and its number; None if that is not a number of 64 bits."""
    session_id, _, number = str(segment_id).rpartition(":")
    return session_id, whole_number(int(number)) if number.isdecimal() and len(number) <= _MAX_DIGITS else None


def _highest(segment: Document) -> int | None:
    """The highest sequence in a segment of chatstore; without one, that which such messages have in the order."""
    if MOVE not in segment or LAST_SEQUENCE not in segment:
        return None
    noted = segment[LAST_SEQUENCE]
    return NO_SEQUENCE if noted is None else whole_number(noted)


def _key_before(segments: Sequence[StoredArray], elements: StoredArray) -> int | None:
    """The highest sequence of the nearest array before this one (a segment, or the head) that has any."""
    index = next((index for index, segment in enumerate(segments) if segment is elements), len(segments))
    for segment in reversed(segments[:index]):
        sequences = map(whole_number, segment.values("sequence"))
        numbers = [number for number in sequences if number is not None]
        if numbers:
            return max(numbers)
    return None
