"""The collection of one layout's sessions, one document each, and the collection of their segments."""

from __future__ import annotations

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import document_id_condition, id_values
from chatstore_cli.mongo.session_documents.documents import session_id_of, to_light_session, to_session
from chatstore_cli.mongo.session_documents.segment_reader import SegmentReader
from chatstore_cli.mongo.session_documents.shape import DocumentShape

IDENTITY: Document = {"chat_id": 1}
_MOST_NAMED = 10
"""Documents with the same id that an error names."""


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
        memory the whole document is returned.
        """
        own = self.shape.own_sessions
        with driver_errors(f"looking up session {session_id!r} in {self.name}"):
            for field in self.shape.id_fields:
                for value in id_values(session_id):
                    match: Document = {field: {"$eq": value, "$not": {"$type": "array"}}}
                    if self.in_memory:
                        document = next(filter(own.matches, self.sessions.find(match)), None)
                    else:
                        document = self.first({**match, **own.filter()}, fields)
                    if document is not None:
                        return document
        return None

    def first(self, match: Document, fields: Document) -> Document | None:
        """The first document that matches, as `locate` returns it."""
        if self.in_memory:
            return self.sessions.find_one(match)
        facts: list[Document] = [{"$match": match}, {"$limit": 1}, {"$project": fields}]
        return next(iter(self.sessions.aggregate(facts)), None)

    def require_only_one(self, session_id: str) -> None:
        """Raise Conflict if several documents have the id of the session. Only the unique index prevents that."""
        condition = document_id_condition(session_id)
        match: Document = {"$or": [{field: condition} for field in self.shape.id_fields]}
        own = self.shape.own_sessions
        with driver_errors(f"looking up session {session_id!r} in {self.name}"):
            if self.in_memory:
                rows = [row for row in self.sessions.find(match) if own.matches(row)]
            else:
                rows = list(self.sessions.find({"$and": [match, own.filter()]}, IDENTITY).limit(_MOST_NAMED))
        ids = [row["_id"] for row in rows if session_id_of(row) == session_id]
        if len(ids) > 1:
            raise Conflict(
                what=f"{self.name} has several documents with the chat_id {session_id!r}, so it is not clear which one is meant. "
                f"Their _id: {', '.join(map(str, ids))}{', ...' if len(ids) == _MOST_NAMED else ''}.",
                hint="Give each document a chat_id of its own. The unique index that chatstore indexes apply creates prevents this.",
            )


class LightCollection(SessionCollection):
    """The same collection for a search, which needs few facts of each of very many sessions."""

    def to_session(self, row: Document) -> Session:
        """The ids and the last update of a session."""
        return to_light_session(self.shape, row)
