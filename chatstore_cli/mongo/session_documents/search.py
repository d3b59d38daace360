"""Searches the messages of sessions that are one document each, and of their segments.

The server selects the documents that have a message which can have a hit, and then the messages, so only these come over
the wire. Each message is read once, also while messages move into segments: see `_Reading`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pymongo.collection import Collection

from chatstore_cli.core.search.session_walk import Page
from chatstore_cli.core.search.walking import session_steps
from chatstore_cli.domain.errors import NotAllowed, Overdue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.search.batches import MILLISECONDS, Batches, chunk_of
from chatstore_cli.mongo.search.text_condition import conditions, in_array, in_field
from chatstore_cli.mongo.search.words_collection import WordsCollection
from chatstore_cli.mongo.session_documents.documents import to_message
from chatstore_cli.mongo.session_documents.indexed_sessions import IndexedSessions
from chatstore_cli.mongo.session_documents.listing import LocatedSession
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT, MOVE

if TYPE_CHECKING:
    from chatstore_cli.domain.queries import SessionKey, SessionQuery
    from chatstore_cli.mongo.session_documents.collection import SessionCollection

_NOT_SEARCHED = (
    "event_id", "message_id", "_id", "id", "sender", "agent_name", "name", "role", "timestamp", "created_at", "event_type",
    "source", "sequence", "is_user_proxy", "tool_call_id", "metadata", "reasoning_content", "tool_responses",
)  # fmt: skip
"""The fields of a stored message that are not part of its text (core/search/message_text.py)."""


class LocatingReader(SessionReader, Protocol):
    """The reader of a layout that also returns the documents of its sessions."""

    def located(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[LocatedSession]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`."""

    def located_session(self, session_id: str) -> LocatedSession | None:
        """One session; None if it does not exist."""

    def located_documents(self, document_ids: Sequence[Any]) -> Iterator[LocatedSession]:
        """The sessions with these `_id`s, in any order."""

    @property
    def words(self) -> WordsCollection:
        """The index of their words, which need not exist."""


class DocumentSearcher:
    """The searcher of one layout."""

    def __init__(
        self, layout: LocatingReader, collection: SessionCollection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.reader: SessionReader = layout
        self._layout = layout
        self._collection = collection
        self._batches = Batches(clock)
        self.remarks: list[str] = []

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """A step or several for each session with candidates, and one for each page of sessions."""
        wanted = _Wanted(text)
        return session_steps(
            query,
            page=self._page(text),
            find=self._layout.located_session,
            session_of=attrgetter("session"),
            read=lambda sessions: self._read(sessions, wanted),
        )

    def _page(self, text: TextFilter) -> Page[LocatedSession]:
        """The pages of sessions to read: all, or fewer if there is an index of words."""
        words = self._layout.words
        if not text.words or not words.exists:
            return self._layout.located
        try:
            until = words.complete_until()
            ids = None if until is None else words.with_all(text.words)
        except (NotAllowed, Overdue) as error:
            self.remarks.append(f"The index of words was not used. {error.as_text()}")
            return self._layout.located
        if until is None or ids is None:
            return self._layout.located
        return IndexedSessions(self._layout.located, lambda: self._layout.located_documents(ids), until).page

    def _read(
        self, sessions: Sequence[LocatedSession], wanted: _Wanted
    ) -> Iterator[tuple[LocatedSession, list[Message]]]:
        reading = _Reading(self._collection, wanted)
        for batch, found in self._batches.of(sessions, reading.find):
            yield from ((session, messages) for session, messages in reading.messages(batch, found) if messages)


class _Wanted:
    """The conditions of one search: on documents, and on one message of an unwound document."""

    def __init__(self, text: TextFilter) -> None:
        self.documents = [{"messages": {"$type": "array"}}, *conditions(text, _NOT_SEARCHED, in_array("messages"))]
        self.messages = conditions(text, _NOT_SEARCHED, in_field("messages"))


class _Selected(NamedTuple):
    """A document with candidates."""

    document_id: Any
    size: int
    version: Any
    """`last_segment` of a head; `move` of a segment."""


class _Found(NamedTuple):
    """The documents of a batch that have candidates: heads by the text of their `_id`, segments by session id."""

    heads: dict[str, _Selected]
    segments: dict[str, list[tuple[int, _Selected]]]


class _Reading:
    """Reads the candidates of batches of sessions.

    First the heads are selected, then the segments, and then the messages are fetched. In between, messages may move from a
    head into a new segment. The head's `last_segment` changes with such a move, in the same update. So if it is another
    one when the messages are fetched, the segments are selected again, and those up to its new value count
    (mongo/session_documents/segment_reader.py). If a head had no candidate when it was selected, what moves afterwards has
    none either, whatever its `last_segment` is later.
    """

    def __init__(self, collection: SessionCollection, wanted: _Wanted) -> None:
        self._sessions, self._segments = collection.sessions, collection.segments
        self._reader = collection.reader
        self._name = collection.name
        self._has_segments = collection_facts(collection.connection, self._segments.name).exists
        self._wanted = wanted

    def find(self, batch: Sequence[LocatedSession]) -> _Found:
        """The documents with candidates."""
        with self._errors():
            ids = [document_id for each in batch for document_id in each.document_ids]
            heads = self._selected(self._sessions, ids, LAST_SEGMENT)
            return _Found(heads, self._segments_of([each.session.session_id for each in batch]))

    def messages(
        self, batch: Sequence[LocatedSession], found: _Found
    ) -> Iterator[tuple[LocatedSession, list[Message]]]:
        """The candidates of each session in turn, as often as it has some."""
        waiting = [found.heads[each] for session in batch for each in session.keys if each in found.heads]
        fetched: dict[str, _Fetched] = {}
        asked: set[str] = set()
        for session in batch:
            selected = [found.heads[each] for each in session.keys if each in found.heads]
            for head in selected:
                if repr(head.document_id) not in asked:  # it may have no candidate, or none any more
                    chunk, waiting = chunk_of(waiting)
                    asked = {repr(each.document_id) for each in chunk}
                    fetched = self._fetched(self._sessions, chunk, LAST_SEGMENT)
                yield session, self._messages(session, fetched.get(repr(head.document_id)))
            segments = self._counting(session, selected, fetched, found)
            while segments:
                chunk, segments = chunk_of(segments)
                for each in self._fetched(self._segments, chunk, MOVE).values():
                    yield session, self._messages(session, each)

    def _counting(
        self, session: LocatedSession, heads: list[_Selected], fetched: dict[str, _Fetched], found: _Found
    ) -> list[_Selected]:
        """The segments with candidates that count, the newest first."""
        session_id = session.session.session_id
        segments = found.segments.get(session_id, [])
        now = fetched.get(repr(heads[0].document_id)) if heads else None
        if heads and (now is None or repr(now.version) != repr(heads[0].version)):
            with self._errors():
                segments = self._segments_of([session_id]).get(session_id, [])
        if not segments:
            return []
        last = whole_number(self._last_segment(session) if now is None else now.version)
        counting = [each for number, each in segments if (each.version is None if last is None else number <= last)]
        return counting[::-1]

    def _segments_of(self, session_ids: Sequence[str]) -> dict[str, list[tuple[int, _Selected]]]:
        owners = self._reader.segment_ids(session_ids) if self._has_segments else {}
        if not owners:
            return {}
        selected = self._selected(self._segments, list(owners), MOVE)
        by_session: dict[str, list[tuple[int, _Selected]]] = {}
        for segment_id, owner in owners.items():  # oldest first
            if repr(segment_id) in selected:
                number = int(segment_id.rpartition(":")[2])
                by_session.setdefault(owner, []).append((number, selected[repr(segment_id)]))
        return by_session

    def _selected(self, collection: Collection[Document], ids: list[Any], version: str) -> dict[str, _Selected]:
        stages: list[Document] = [
            {"$match": {"_id": {"$in": ids}}},
            {"$match": {"$and": self._wanted.documents}},
            {"$project": {"size": {"$bsonSize": "$$ROOT"}, version: 1}},
        ]
        wanted = set(map(repr, ids))  # a collation takes other ids for equal
        rows = collection.aggregate(stages, maxTimeMS=MILLISECONDS, **own_collation(collection))
        selected = (_Selected(row["_id"], row["size"], row.get(version)) for row in rows)
        return {repr(each.document_id): each for each in selected if repr(each.document_id) in wanted}

    def _fetched(
        self, collection: Collection[Document], documents: Sequence[_Selected], version: str
    ) -> dict[str, _Fetched]:
        """The candidates of documents in their order. A document without any is missing."""
        stages: list[Document] = [
            {"$match": {"_id": {"$in": [each.document_id for each in documents]}}},
            {"$unwind": {"path": "$messages", "includeArrayIndex": "position"}},
            *({"$match": each} for each in self._wanted.messages),
            {"$project": {"messages": 1, "position": 1, version: 1}},
        ]
        fetched: dict[str, _Fetched] = {repr(each.document_id): _Fetched(None, []) for each in documents}
        with self._errors():
            for row in collection.aggregate(stages, maxTimeMS=MILLISECONDS, **own_collation(collection)):
                key = repr(row["_id"])
                if key in fetched and row["position"] is not None:  # it has none if messages is no array any more
                    fetched[key].elements.append((row["position"], row["messages"]))
                    fetched[key] = fetched[key]._replace(version=row.get(version))
        return {
            key: each._replace(elements=sorted(each.elements, key=itemgetter(0)))
            for key, each in fetched.items()
            if each.elements
        }

    def _last_segment(self, session: LocatedSession) -> Any:
        """The present `last_segment` of a head."""
        with self._errors():
            match: Document = {"_id": {"$in": list(session.document_ids)}}
            for row in self._sessions.find(match, {LAST_SEGMENT: 1}, **own_collation(self._sessions)):
                if repr(row["_id"]) == session.keys[0]:
                    return row.get(LAST_SEGMENT)
        return None

    def _errors(self) -> AbstractContextManager[None]:
        return driver_errors(f"searching the sessions of {self._name}")

    @staticmethod
    def _messages(session: LocatedSession, fetched: _Fetched | None) -> list[Message]:
        elements = [] if fetched is None else fetched.elements
        return [to_message(session.session.session_id, element) for _, element in elements]


class _Fetched(NamedTuple):
    """The candidates of one document with their places, and the version at which they were read."""

    version: Any
    elements: list[tuple[int, Any]]
