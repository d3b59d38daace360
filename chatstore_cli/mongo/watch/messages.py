"""What happens to one session's messages: of a workflow session the elements pushed, of a flat one the documents.

The elements come from the description of the update, never from the document. They are taken as they are where they
stand behind what was there; whatever else happens to the array (it is written whole, cut, its oldest messages move into
a segment) is told as something that has to be read.
"""

from __future__ import annotations

from typing import Any, Protocol

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.watch import MessageEvent, News, Taken
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.messages import layout as flat
from chatstore_cli.mongo.tombstones import TOMBSTONES
from chatstore_cli.mongo.watch.change_stream import ChangeStream, place_of
from chatstore_cli.mongo.workflow.documents import LAYOUT, to_message

_AT_ONCE = 100
"""Events in one answer: each may hold a large message."""

_ALWAYS: Document = {"operationType": 1, "documentKey": 1, "clusterTime": 1, "ns.coll": 1}
_UPDATED: Document = {"$objectToArray": {"$ifNull": ["$updateDescription.updatedFields", {}]}}


def _keys_that_match(pattern: str) -> Document:
    return {"$filter": {"input": _UPDATED, "cond": {"$regexMatch": {"input": "$$this.k", "regex": pattern}}}}


def _size(path: str) -> Document:
    return {"$cond": [{"$isArray": f"${path}"}, {"$size": f"${path}"}, 0]}


class _Source(Protocol):
    """How one layout's changes are asked for and read."""

    def pipeline(self) -> list[Document]: ...

    def events(self, event: Document) -> list[MessageEvent]: ...


class MongoMessageFeed:
    """Tells what happens to the messages of one session, from the moment of `open`."""

    def __init__(self, connection: Connection, settings: Settings, layout: str, session_id: str) -> None:
        self._document = _Document(connection, settings, session_id) if layout == LAYOUT else None
        self._source: _Source = self._document or _FlatMessages(settings, session_id)
        doing = f"following session {session_id!r}"
        self._stream = ChangeStream(connection, self._source.pipeline(), doing, _AT_ONCE)

    def open(self) -> bool:
        """Begin with what happens from now on; False on a server that is no replica set."""
        return self._stream.open()

    def place(self) -> int:
        """The present place among all changes."""
        return self._stream.place()

    def close(self) -> None:
        """Let go of the server's cursor."""
        self._stream.close()

    def take(self) -> Taken[MessageEvent]:
        """What happened next. Raises Unreachable; asked again, it goes on."""
        document = self._document
        if document is not None and document.is_another:
            self._stream.narrow(document.pipeline())
            document.is_another = False
        events, missed_since = self._stream.take()
        if document is not None and missed_since is not None:
            document.look()
        return Taken([each for event in events for each in self._source.events(event)], missed_since)


class _Document:
    """A workflow session: one document. A push is known by its place, behind all that the array held before."""

    def __init__(self, connection: Connection, settings: Settings, session_id: str) -> None:
        self._sessions = connection.collection(settings.sessions_collection)
        self._in_memory = connection.in_memory
        self._session_id = session_id
        self._values = id_values(session_id)
        self._identity: Any = None
        self._size = 0
        self.is_another = False
        self.look()

    def look(self) -> None:
        """Find the document, and how many messages it holds."""
        if self._in_memory:
            return
        facts: list[Document] = [{"$limit": 1}, {"$project": {"size": _size("messages")}}]
        with driver_errors(f"looking up session {self._session_id!r} in {self._sessions.name}"):
            for field in ("_id", "chat_id"):  # the last one found counts: as for every reader, that of the chat_id
                for row in self._sessions.aggregate([{"$match": {field: {"$in": self._values}}}, *facts]):
                    self.is_another = self._identity not in (None, row["_id"])
                    self._identity, self._size = row["_id"], row["size"]

    def pipeline(self) -> list[Document]:
        """The changes of the document, and the birth of another one of the same name."""
        here = {"ns.coll": self._sessions.name}
        changed = {"operationType": {"$in": ["update", "replace", "delete"]}, "documentKey._id": self._identity}
        born: list[Document] = [
            {"operationType": "insert", field: {"$in": self._values}}
            for field in ("fullDocument.chat_id", "documentKey._id")
        ]
        match = {"$or": [{"operationType": "invalidate"}, *({**here, **each} for each in (changed, *born))]}
        project = {
            **_ALWAYS,
            "pushed": _keys_that_match(r"^messages\.\d+$"),
            "changed": {"$map": {"input": _keys_that_match(r"^messages($|\.\d+\.|\.\D)"), "in": "$$this.k"}},
            "removed": {"$ifNull": ["$updateDescription.removedFields", []]},
            "cut": {"$ifNull": ["$updateDescription.truncatedArrays", []]},
            "written": _size("updateDescription.updatedFields.messages"),
            "size": _size("fullDocument.messages"),
        }
        return [{"$match": match}, {"$project": project}]

    def events(self, event: Document) -> list[MessageEvent]:
        """The messages pushed, or that something else happened."""
        kind, place = event["operationType"], place_of(event["clusterTime"])
        if kind == "delete":
            return [MessageEvent(News.DELETED, place)]
        if kind != "update":
            identity, self._size = event["documentKey"]["_id"], event["size"]
            self.is_another = self.is_another or identity != self._identity
            self._identity = identity
            return [MessageEvent(News.REWRITTEN, place)]
        pushed = {int(each["k"].partition(".")[2]): each["v"] for each in event["pushed"]}
        cut = [each["newSize"] for each in event["cut"] if each["field"] == "messages"]
        removed = any(name.partition(".")[0] == "messages" for name in event["removed"])
        if not (pushed or cut or removed or event["changed"]):
            return []
        first, end = min(pushed, default=self._size), max(pushed, default=-1) + 1
        if cut or removed or event["changed"] or first < self._size or len(pushed) != end - first:
            if cut or "messages" in event["changed"] or "messages" in event["removed"]:
                self._size = max([*cut, event["written"]])
            self._size = max(self._size, end)
            return [MessageEvent(News.REWRITTEN, place)]
        self._size = end
        return [MessageEvent(News.APPENDED, place, to_message(self._session_id, pushed[at])) for at in sorted(pushed)]


class _FlatMessages:
    """A session of flat messages: each insert is a message; who deletes the session leaves a tombstone."""

    def __init__(self, settings: Settings, session_id: str) -> None:
        self._name = settings.messages_collection
        self._session_id = session_id

    def pipeline(self) -> list[Document]:
        """The inserts of the session, and its deletion."""
        inserted = {"operationType": "insert", "ns.coll": self._name}
        tombstone = {"layout": flat.LAYOUT, "session_id": self._session_id}
        kinds = ["insert", "update", "replace"]
        deleted = {"operationType": {"$in": kinds}, "ns.coll": TOMBSTONES, "documentKey._id": tombstone}
        match = [
            {"operationType": "invalidate"},
            {**inserted, "fullDocument.session_id": {"$in": id_values(self._session_id)}},
            deleted,
        ]
        return [{"$match": {"$or": match}}, {"$project": {**_ALWAYS, "fullDocument": 1}}]

    def events(self, event: Document) -> list[MessageEvent]:
        """The message, or that the session was deleted."""
        place = place_of(event["clusterTime"])
        if event["ns"]["coll"] != self._name:
            return [MessageEvent(News.DELETED, place)]
        return [MessageEvent(News.APPENDED, place, flat.to_message(event["fullDocument"]))]
