"""Messages of sessions whose oldest ones are in segments: each is seen once, also while more of them move there.

A head with `last_segment` says which segments count: those up to that number. Above it there may be the copy that a
move has made and not yet taken out of the head. A head without it has the segments that some other writer gave it, and
not those that carry the mark of a move (`move`), whose first one is then still under way. Segments that count never
change. So whoever reads the head's number and its messages in one answer, and the segments up to that number, has
everything once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.bson_arrays import MovedOn, Rewritten, StoredArray
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.workflow.selection import chosen

LAST_SEGMENT = "last_segment"
MOVED_MESSAGES = "moved_messages"
"""In the head: how many messages the segments up to `last_segment` hold."""

LAST_MOVE = "last_move"
"""In the head: the mark of the move that made its newest segment."""

MOVE = "move"
"""In a segment: the move that made it."""

_PATIENT_ATTEMPTS = 3
"""After so many attempts a head is fetched in one answer: there is no reading between two edits of it."""

_MOST_ATTEMPTS = 20
_MOST_DIGITS = 19
_SIZE: Document = {"$cond": [{"$isArray": "$messages"}, {"$size": "$messages"}, 0]}


def says_number(head: Document) -> bool:
    """Whether a head says which segments count."""
    return whole_number(head.get(LAST_SEGMENT)) is not None


def moved_messages_of(head: Document) -> int | None:
    """How many messages a head says that the segments hold; None where it does not, and somebody has to look."""
    moved = whole_number(head.get(MOVED_MESSAGES))
    return moved if moved is not None and moved >= 0 and says_number(head) else None


class _Segment(NamedTuple):
    """A segment that counts. The version of its elements is the move that made it."""

    number: int
    document_id: str
    elements: StoredArray


class SegmentReader:
    """Reads heads together with their segments. Callers translate the driver's errors."""

    def __init__(self, sessions: Collection[Document], segments: Collection[Document], *, in_memory: bool) -> None:
        self._sessions = sessions
        self._segments = segments
        self._in_memory = in_memory

    def ids(self, session_ids: Sequence[str]) -> dict[str, str]:
        """Ids of all segments of these sessions, whether they count or not, oldest first, each with its session's id."""
        return {segment: session_id for session_id, _, segment in self._numbered(session_ids)}

    def visible(self, session_id: str, last_segment: Any) -> list[tuple[int, str]]:
        """Numbers and ids of the segments that count for a head with this `last_segment`, oldest first."""
        found = [(number, segment) for _, number, segment in self._numbered([session_id])]
        last = whole_number(last_segment)
        if last is not None:
            return [(number, segment) for number, segment in found if number <= last]
        unmarked = self._unmarked([segment for _, segment in found])
        return [(number, segment) for number, segment in found if segment in unmarked]

    def _numbered(self, session_ids: Sequence[str]) -> list[tuple[str, int, str]]:
        if not session_ids:
            return []
        ranges = [{"_id": {"$gte": f"{name}:", "$lt": f"{name};"}} for name in session_ids]  # ; follows : in every code
        wanted = set(session_ids)
        found: list[tuple[str, int, str]] = []
        for row in self._segments.find({"$or": ranges}, {"_id": 1}):
            session_id, number = _owner_and_number(row["_id"])
            if session_id in wanted and number is not None:  # the range also has those of sessions named `<id>:...`
                found.append((session_id, number, row["_id"]))
        return sorted(found)

    def _unmarked(self, segments: Sequence[str]) -> set[str]:
        if not segments:
            return set()
        match = {"_id": {"$in": list(segments)}, MOVE: {"$exists": False}}
        return {row["_id"] for row in self._segments.find(match, {"_id": 1})}

    # --- counts ------------------------------------------------------------------------------------------------------

    def counted(self, sessions: Sequence[Session], heads: Mapping[str, Document]) -> list[Session]:
        """The sessions, messages in segments counted too, where their heads have not counted them already.

        `heads` has, by session id, at least the rows that say which segments count (`says_number`).
        """
        wanted = [each.session_id for each in sessions if moved_messages_of(heads.get(each.session_id, {})) is None]
        owners = self.ids(wanted)
        if not owners:
            return list(sessions)
        moved: dict[str, int] = {}
        sizes: list[Document] = [
            {"$match": {"_id": {"$in": list(owners)}}},
            {"$project": {"count": _SIZE, MOVE: 1}},
        ]
        for row in self._segments.aggregate(sizes):
            owner = owners[row["_id"]]
            last = whole_number(heads.get(owner, {}).get(LAST_SEGMENT))
            number = _owner_and_number(row["_id"])[1]
            if MOVE not in row if last is None else number is not None and number <= last:
                moved[owner] = moved.get(owner, 0) + row["count"]
        return [
            replace(session, message_count=session.message_count + moved.get(session.session_id, 0))
            for session in sessions
        ]

    def all_counted(self, rows: Iterable[tuple[Session, Document]]) -> Iterator[Session]:
        """The same for any number of sessions, each with its head: a look at every segment's id."""
        owners: set[str] | None = None
        for session, head in rows:
            if moved_messages_of(head) is None:
                if owners is None:
                    owners = self._owners()
                if session.session_id in owners:
                    yield self.counted([session], {session.session_id: head})[0]
                    continue
            yield session

    def _owners(self) -> set[str]:
        rows = self._segments.find({}, {"_id": 1})
        if not self._in_memory:
            rows = rows.hint([("_id", 1)])  # without the hint the server reads the segments themselves
        return {_owner_and_number(row["_id"])[0] for row in rows}

    # --- messages ----------------------------------------------------------------------------------------------------

    def elements(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[list[Any]]:
        """The stored messages that are wanted, in order, a few at a time. Raises Conflict where they are rewritten."""
        if selection.last is None:
            return self._from_the_beginning(session_id, document_id, selection)
        return self._newest(session_id, document_id, selection)

    def _from_the_beginning(
        self, session_id: str, document_id: Any, selection: MessageSelection
    ) -> Iterator[list[Any]]:
        given: dict[str, Any] = {}
        last_given = -1
        for attempt in count():
            try:
                head, segments = self._begin(session_id, document_id, attempt)
                self._check_that_they_count(session_id, given, segments)
                before = partial(_key_before, [segment.elements for segment in segments])
                whole = list(chosen([head], selection, before))
                for segment in segments:
                    if segment.number > last_given:
                        for elements, positions in chosen([segment.elements], selection, before):
                            yield from elements.read(positions)
                        given[segment.document_id] = segment.elements.version
                        last_given = segment.number
                runs = [elements.read(positions) for elements, positions in whole]
            except (MovedOn, Rewritten):  # messages that are still to be given moved, or were edited, meanwhile
                if attempt >= _MOST_ATTEMPTS:
                    raise
                continue
            for run in runs:
                yield from run
            return

    def _newest(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[list[Any]]:
        for attempt in count():
            try:
                head, segments = self._begin(session_id, document_id, attempt)
                arrays = [segment.elements for segment in segments]
                wanted = list(chosen([*arrays, head], selection, partial(_key_before, arrays)))
                # The head is fetched first, for its oldest messages may move while those of the segments are given.
                fetched = [elements.read(positions) for elements, positions in wanted if elements is head]
            except (MovedOn, Rewritten):
                if attempt >= _MOST_ATTEMPTS:
                    raise
                continue
            for elements, positions in wanted:
                if elements is not head:
                    yield from elements.read(positions)
            for run in fetched:
                yield from run
            return

    def _begin(self, session_id: str, document_id: Any, attempt: int) -> tuple[StoredArray, list[_Segment]]:
        """The head, of which the order of its messages is known, and the segments that count for it as it is."""
        in_memory = self._in_memory
        head = StoredArray(self._sessions, document_id, "messages", in_memory=in_memory, version=LAST_SEGMENT)
        if attempt >= _PATIENT_ATTEMPTS:
            head.hold()
        head.values("sequence")  # now its number is known
        return head, [
            _Segment(
                number, segment, StoredArray(self._segments, segment, "messages", in_memory=in_memory, version=MOVE)
            )
            for number, segment in self.visible(session_id, head.version)
        ]

    def _check_that_they_count(self, session_id: str, given: Mapping[str, Any], segments: Sequence[_Segment]) -> None:
        """Raise Conflict where a segment that was given does not count any more, or is another one by now.

        So it is after somebody wrote an older copy of the whole document back: its messages are in the head again.
        """
        if not given:
            return
        rows = self._segments.find({"_id": {"$in": list(given)}}, {MOVE: 1})
        marks = {row["_id"]: row.get(MOVE) for row in rows}
        counting = {segment.document_id for segment in segments}
        if any(name not in counting or name not in marks or marks[name] != mark for name, mark in given.items()):
            raise Conflict(
                what=f"An older copy of session {session_id!r} was written back while its messages were being read.",
                hint="Run it again.",
            )


def _owner_and_number(segment_id: Any) -> tuple[str, int | None]:
    """The session that the id of a segment names, and its number; None where that is none of 64 bits."""
    session_id, _, number = str(segment_id).rpartition(":")
    return session_id, whole_number(int(number)) if number.isdecimal() and len(number) <= _MOST_DIGITS else None


def _key_before(segments: Sequence[StoredArray], elements: StoredArray) -> int | None:
    """The sequence that the messages before those of a segment, or of the head, end with."""
    place = next((place for place, segment in enumerate(segments) if segment is elements), len(segments))
    for segment in reversed(segments[:place]):
        numbers = [found for value in segment.values("sequence") if (found := whole_number(value)) is not None]
        if numbers:
            return max(numbers)
    return None
