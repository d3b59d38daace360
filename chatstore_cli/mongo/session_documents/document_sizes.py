"""The largest documents of one layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter
from typing import Any

import bson

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.segments import DocumentSize
from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import MESSAGES_OR_EMPTY, session_id_of
from chatstore_cli.mongo.session_documents.listing import listed_facts
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT
from chatstore_cli.mongo.session_documents.shape import DocumentShape


def _times(index: int) -> Document:
    """An expression for the two fields that may hold the time of the message at this index."""
    message = {"$arrayElemAt": [MESSAGES_OR_EMPTY, index]}
    return {"$let": {"vars": {"message": message}, "in": ["$$message.timestamp", "$$message.created_at"]}}


_SIZES: Document = {
    "bson_size": {"$bsonSize": "$$ROOT"},
    "first_times": _times(0),
    "last_times": _times(-1),
}


class MongoDocumentSizes:
    """DocumentSizes that are found on the server; only sizes and facts are sent."""

    def __init__(self, shape: DocumentShape, connection: Connection, settings: Settings) -> None:
        self._in_memory = connection.in_memory
        self._own = shape.own_sessions
        self._collection = SessionCollection(shape, connection, settings)
        self._sessions, self._reader = self._collection.sessions, self._collection.reader

    def largest(self, limit: int, at_least_bytes: int = 0) -> list[DocumentSize]:
        with driver_errors(f"looking for large documents in {self._sessions.name}"):
            rows = self._in_this_process() if self._in_memory else self._on_server(limit, at_least_bytes)
            large = [row for row in rows if row["bson_size"] >= at_least_bytes]
            return [self._measured(row) for row in sorted(large, key=itemgetter("bson_size"), reverse=True)[:limit]]

    def _in_this_process(self) -> Iterable[Document]:
        return map(_facts_of, filter(self._own.matches, self._sessions.find()))

    def _on_server(self, limit: int, at_least_bytes: int) -> Iterable[Document]:
        sizes: list[Document] = [
            {"$match": self._own.filter()},
            {"$project": {"size": {"$bsonSize": "$$ROOT"}}},
            {"$match": {"size": {"$gte": at_least_bytes}}},
            {"$sort": {"size": -1}},
            {"$limit": limit},
        ]
        ids = [row["_id"] for row in self._sessions.aggregate(sizes, allowDiskUse=True)]
        facts = {"$project": {**listed_facts(self._collection), **_SIZES}}
        return self._sessions.aggregate([{"$match": {"_id": {"$in": ids}}}, facts]) if ids else []

    def _measured(self, row: Document) -> DocumentSize:
        segments = self._reader.counting_segments(session_id_of(row), row.get(LAST_SEGMENT))
        (session,) = self._reader.with_moved_messages([self._collection.to_session(row)], {session_id_of(row): row})
        if not session.session_id:  # no text addresses it, but its document has a size
            session = replace(session, session_id=id_text(row["_id"]))
        first, last = (_instant(row.get(name)) for name in ("first_times", "last_times"))
        size, count, document = row["bson_size"], row["message_count"], repr(row["_id"])
        return DocumentSize(session, size, count, len(segments), first, last, document)


def _facts_of(document: Document) -> Document:
    """The facts of a document, as the server computes them: mongomock cannot."""
    stored = document.get("messages")
    messages: list[Any] = stored if isinstance(stored, list) else []
    ends = [each if isinstance(each, dict) else {} for each in (messages[:1] + messages[-1:] or [{}, {}])]
    times = [[each.get("timestamp"), each.get("created_at")] for each in ends]
    facts = {name: value for name, value in document.items() if name != "messages"}
    size = len(bson.encode(document))
    return {
        **facts,
        "message_count": len(messages),
        "bson_size": size,
        "first_times": times[0],
        "last_times": times[-1],
    }


def _instant(times: Any) -> Any:
    return next(filter(None, map(read_instant, times or ())), None)
