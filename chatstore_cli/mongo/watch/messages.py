"""Changes of one session's messages: the pushed elements of a workflow document, or the inserted flat messages.

The elements come from the description of the update, never from the document. If they follow the existing elements, they
are new messages. Any other change of the array (it was written whole or cut, or its oldest messages moved into a segment)
is reported as something to read.
"""

from __future__ import annotations

from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.watch import Batch, MessageEvent, MessageEventKind
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.messages import rows as flat
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.tombstones import TOMBSTONES
from chatstore_cli.mongo.watch.change_stream import ChangeStream, StreamFeed, position_of
from chatstore_cli.mongo.workflow.documents import LAYOUT, MESSAGE_COUNT, array_size, to_message

_BATCH_SIZE = 100
"""Events in one batch: each may contain a large message."""

_COMMON_FIELDS: Document = {"operationType": 1, "documentKey": 1, "clusterTime": 1, "ns.coll": 1}
_UPDATED_FIELDS: Document = {"$objectToArray": {"$ifNull": ["$updateDescription.updatedFields", {}]}}


def _matching_fields(pattern: str) -> Document:
    return {"$filter": {"input": _UPDATED_FIELDS, "cond": {"$regexMatch": {"input": "$$this.k", "regex": pattern}}}}


class MongoMessageFeed(StreamFeed):
    """Reports the changes of one session's messages from `open` on."""

    def __init__(self, connection: Connection, settings: Settings, layout: str, session_id: str) -> None:
        self._document = _Document(connection, settings, session_id) if layout == LAYOUT else None
        self._source = self._document or _FlatMessages(settings, session_id)
        activity = f"following session {session_id!r}"
        self._stream = ChangeStream(connection, self._source.pipeline(), activity, _BATCH_SIZE)

    def read(self) -> Batch[MessageEvent]:
        """The next events. After Unreachable the next call resumes."""
        document = self._document
        if document is not None and document.is_replaced:
            self._stream.narrow(document.pipeline())
            document.is_replaced = False
        changes, missed_since = self._stream.read()
        if document is not None and missed_since is not None:
            document.refresh()
        return Batch([event for change in changes for event in self._source.events(change)], missed_since)


class _Document:
    """A workflow session: one document. A pushed element has an index behind all that the array held before."""

    def __init__(self, connection: Connection, settings: Settings, session_id: str) -> None:
        self._sessions = connection.collection(settings.sessions_collection)
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
            **_COMMON_FIELDS,
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


class _FlatMessages:
    """A session of flat messages: each insert is a message, and deleting the session leaves a tombstone."""

    def __init__(self, settings: Settings, session_id: str) -> None:
        self._name = settings.messages_collection
        self._session_id = session_id

    def pipeline(self) -> list[Document]:
        """The inserts of the session, and its deletion."""
        inserted = {"operationType": "insert", "ns.coll": self._name, **OWN_MESSAGES.filter("fullDocument.")}
        tombstone = {"layout": flat.LAYOUT, "session_id": self._session_id}
        kinds = ["insert", "update", "replace"]
        deleted = {"operationType": {"$in": kinds}, "ns.coll": TOMBSTONES, "documentKey._id": tombstone}
        match = [
            {"operationType": "invalidate"},
            {**inserted, "fullDocument.session_id": {"$in": id_values(self._session_id)}},
            deleted,
        ]
        return [{"$match": {"$or": match}}, {"$project": {**_COMMON_FIELDS, "fullDocument": 1}}]

    def events(self, change: Document) -> list[MessageEvent]:
        """The inserted message, or the deletion of the session."""
        position = position_of(change["clusterTime"])
        if change["ns"]["coll"] != self._name:
            return [MessageEvent(MessageEventKind.DELETED, position)]
        return [MessageEvent(MessageEventKind.APPENDED, position, flat.to_message(change["fullDocument"]))]
