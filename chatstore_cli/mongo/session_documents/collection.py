"""The collection of one layout's sessions, one document each, and the collection of their segments."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.shared_ids import MOST_NAMED, SharedId
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import document_id_condition, id_values
from chatstore_cli.mongo.session_documents.documents import session_id_of, to_light_session, to_session
from chatstore_cli.mongo.session_documents.segment_reader import SegmentReader
from chatstore_cli.mongo.session_documents.shape import DocumentShape

IDENTITY: Document = {"chat_id": 1}


class Located(NamedTuple):
    """The document of a session, and its id if other documents have it too."""

    row: Document
    shared_id: SharedId | None


class SessionCollection:
    """Finds the documents of sessions. Some variants have a `chat_id`, others only the `_id`."""

    def __init__(self, shape: DocumentShape, connection: Connection, settings: Settings) -> None:
        self.shape = shape
        self.connection = connection
        self.in_memory = connection.in_memory
        self.sessions = connection.collection(shape.sessions_of(settings))
        self.segments = connection.collection(shape.segments_of(settings))
        self.name = self.sessions.name
        self.reader = SegmentReader(self.sessions, self.segments, in_memory=self.in_memory)

    def to_session(self, row: Document) -> Session:
        """The facts of a document."""
        return to_session(self.shape, row)

    def locate(self, session_id: str, fields: Document = IDENTITY) -> Document | None:
        """The session with that chat_id, or that `_id` (its text, or its ObjectId's hex), in the shape's order; else None.

        A document that is not a session of the layout is not found. `fields` is a projection, which may compute. In
        memory the whole document is returned. If several documents have the id, the first one that is found is returned.
        """
        return next(iter(self._found(session_id, fields, 1)), None)

    def locate_shared(self, session_id: str, fields: Document) -> Located | None:
        """What `locate` returns, and whether other documents have the id. A second query is sent only if there are others."""
        rows = self._found(session_id, fields, 2)
        if not rows:
            return None
        shared_id = None if len(rows) == 1 else self.shared_id(session_id, rows[0]["_id"])
        return Located(rows[0], shared_id)

    def _found(self, session_id: str, fields: Document, limit: int) -> list[Document]:
        """At most `limit` documents with one stored value of this id, in the shape's order of fields."""
        own = self.shape.own_sessions
        with driver_errors(f"looking up session {session_id!r} in {self.name}"):
            for field in self.shape.id_fields:
                for value in id_values(session_id):
                    match: Document = {field: {"$eq": value, "$not": {"$type": "array"}}}
                    if self.in_memory:
                        rows = list(islice(filter(own.matches, self.sessions.find(match)), limit))
                    else:
                        rows = self._matching({**match, **own.filter()}, fields, limit)
                    if rows:
                        return rows
        return []

    def first(self, match: Document, fields: Document) -> Document | None:
        """The first document that matches, as `locate` returns it."""
        if self.in_memory:
            return self.sessions.find_one(match)
        return next(iter(self._matching(match, fields, 1)), None)

    def _matching(self, match: Document, fields: Document, limit: int) -> list[Document]:
        return list(self.sessions.aggregate([{"$match": match}, {"$limit": limit}, {"$project": fields}]))

    def shared_id(self, session_id: str, shown: Any) -> SharedId | None:
        """The id if several documents have it, in any type of value. `shown` is the `_id` of the one that is read."""
        condition = document_id_condition(session_id)
        match: Document = {"$or": [{field: condition} for field in self.shape.id_fields]}
        own = self.shape.own_sessions
        with driver_errors(f"looking up session {session_id!r} in {self.name}"):
            if self.in_memory:
                rows = [row for row in self.sessions.find(match) if own.matches(row)]
            else:
                rows = list(self.sessions.find({"$and": [match, own.filter()]}, IDENTITY).limit(MOST_NAMED))
        ids = [row["_id"] for row in rows if session_id_of(row) == session_id]
        if len(ids) < 2:
            return None
        others = [each for each in ids if repr(each) != repr(shown)]
        named = [shown, *others][:MOST_NAMED]
        return SharedId(self.name, "chat_id", session_id, tuple(map(str, named)))


class LightCollection(SessionCollection):
    """The same collection for a search, which needs few facts of each of very many sessions."""

    def to_session(self, row: Document) -> Session:
        """The ids and the last update of a session."""
        return to_light_session(self.shape, row)
