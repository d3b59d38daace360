"""Changes of sessions that are one document each, and of the messages of one: the elements that were pushed to its document.

The elements come from the description of the update, never from the document. If they follow the existing elements, they
are new messages. Any other change of the array (it was written whole or cut, or its oldest messages moved into a segment)
is reported as something to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import MessageEvent, MessageEventKind
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import MESSAGE_COUNT, array_size, to_message
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT, MOVED_MESSAGES
from chatstore_cli.mongo.session_documents.shape import DocumentShape
from chatstore_cli.mongo.watch.change_stream import position_of
from chatstore_cli.mongo.watch.messages import COMMON_FIELDS
from chatstore_cli.mongo.watch.session_documents import SessionDocuments

_UPDATED: Document = {"$objectToArray": {"$ifNull": ["$updateDescription.updatedFields", {}]}}


class DocumentChanges(SessionDocuments):
    """The changes of the sessions of one layout."""

    def __init__(self, shape: DocumentShape, connection: Connection, settings: Settings) -> None:
        self._collection = collection = SessionCollection(shape, connection, settings)
        super().__init__(shape.layout, connection, collection.name, shape.own_sessions)
        self._shape = shape
        self.has_session_id_as_document_id = shape.id_fields[0] == "_id"
        self._fields = (*shape.fact_fields, LAST_SEGMENT, MOVED_MESSAGES)
        self._shown_fields = {field.partition(".")[0] for field in shape.fact_fields} | {"messages"}

    def document_fields(self) -> Document:
        return {
            **{f"fullDocument.{field}": 1 for field in self._fields},
            "message_count": array_size("fullDocument.messages"),
            "written": {field: f"$updateDescription.updatedFields.{field}" for field in self._shape.updated_fields},
        }

    def shows(self, fields: set[str]) -> bool:
        # Moving messages into a segment changes no row.
        return LAST_SEGMENT not in fields and not fields.isdisjoint(self._shown_fields)

    def sessions_of(self, identities: Iterable[Any]) -> dict[str, Session]:
        documents = self._collection.sessions
        facts: Document = {**dict.fromkeys(self._fields, 1), "message_count": MESSAGE_COUNT}
        match = {"_id": {"$in": list(identities)}, **self._shape.own_sessions.filter()}
        found = [{"$match": match}, {"$project": facts}]
        rows = list(documents.aggregate(found, **own_collation(documents)))  # compared by the caller
        sessions = [self._collection.to_session(row) for row in rows]
        heads = {session.session_id: row for session, row in zip(sessions, rows, strict=True)}
        counted = self._collection.reader.with_moved_messages(sessions, heads)
        return {repr(row["_id"]): session for row, session in zip(rows, counted, strict=True)}

    def written_session(self, change: Document) -> Session:
        return self._collection.to_session({**change["fullDocument"], "message_count": change["message_count"]})

    def written_at(self, change: Document) -> datetime | None:
        is_update = change["operationType"] == "update"
        fields = (change.get("written") if is_update else change.get("fullDocument")) or {}
        return next(filter(None, (stored_instant(fields.get(name)) for name in self._shape.updated_fields)), None)


def _matching_fields(pattern: str) -> Document:
    return {"$filter": {"input": _UPDATED, "cond": {"$regexMatch": {"input": "$$this.k", "regex": pattern}}}}


class DocumentMessageChanges:
    """The changes of one session's messages. A pushed element has an index behind all that the array held before."""

    def __init__(self, shape: DocumentShape, connection: Connection, settings: Settings, session_id: str) -> None:
        self._sessions = connection.collection(shape.sessions_of(settings))
        self._in_memory = connection.in_memory
        self._session_id = session_id
        self._values = id_values(session_id)
        self._identity: Any = None
        self._size = 0
        self.is_replaced = False
        self.refresh()

    def refresh(self) -> None:
        """Find the document and the number of its messages."""
        if self._in_memory:
            return
        facts: list[Document] = [{"$limit": 1}, {"$project": {"size": MESSAGE_COUNT}}]
        with driver_errors(f"looking up session {self._session_id!r} in {self._sessions.name}"):
            for field in ("_id", "chat_id"):  # as in every reader, the document with the chat_id wins
                for row in self._sessions.aggregate([{"$match": {field: {"$in": self._values}}}, *facts]):
                    self.is_replaced = self._identity not in (None, row["_id"])
                    self._identity, self._size = row["_id"], row["size"]

    def pipeline(self) -> list[Document]:
        """The changes of the document, and the insertion of another document with the same session id."""
        collection = {"ns.coll": self._sessions.name}
        changed = {"operationType": {"$in": ["update", "replace", "delete"]}, "documentKey._id": self._identity}
        inserted: list[Document] = [
            {"operationType": "insert", field: {"$in": self._values}}
            for field in ("fullDocument.chat_id", "documentKey._id")
        ]
        match = {"$or": [{"operationType": "invalidate"}, *({**collection, **each} for each in (changed, *inserted))]}
        project = {
            **COMMON_FIELDS,
            "pushed": _matching_fields(r"^messages\.\d+$"),
            "changed": {"$map": {"input": _matching_fields(r"^messages($|\.\d+\.|\.\D)"), "in": "$$this.k"}},
            "removed": {"$ifNull": ["$updateDescription.removedFields", []]},
            "cut": {"$ifNull": ["$updateDescription.truncatedArrays", []]},
            "written": array_size("updateDescription.updatedFields.messages"),
            "size": array_size("fullDocument.messages"),
        }
        return [{"$match": match}, {"$project": project}]

    def events(self, change: Document) -> list[MessageEvent]:
        """The pushed messages, or one event for any other change."""
        kind, position = change["operationType"], position_of(change["clusterTime"])
        if kind == "delete":
            return [MessageEvent(MessageEventKind.DELETED, position)]
        if kind != "update":
            identity, self._size = change["documentKey"]["_id"], change["size"]
            self.is_replaced = self.is_replaced or identity != self._identity
            self._identity = identity
            return [MessageEvent(MessageEventKind.REWRITTEN, position)]
        pushed = {int(each["k"].partition(".")[2]): each["v"] for each in change["pushed"]}
        cut = [each["newSize"] for each in change["cut"] if each["field"] == "messages"]
        removed = any(name.partition(".")[0] == "messages" for name in change["removed"])
        if not (pushed or cut or removed or change["changed"]):
            return []
        first, end = min(pushed, default=self._size), max(pushed, default=-1) + 1
        if cut or removed or change["changed"] or first < self._size or len(pushed) != end - first:
            if cut or "messages" in change["changed"] or "messages" in change["removed"]:
                self._size = max([*cut, change["written"]])
            self._size = max(self._size, end)
            return [MessageEvent(MessageEventKind.REWRITTEN, position)]
        self._size = end
        return [
            MessageEvent(MessageEventKind.APPENDED, position, to_message(self._session_id, pushed[index]))
            for index in sorted(pushed)
        ]
