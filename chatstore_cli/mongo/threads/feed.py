"""Changes of threads, and of the messages of one.

If a message is added, edited or deleted, its thread's document changes too. So the changes of this document are those of
the session. A fork or an import stores messages before their thread: they are reported once the thread exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from chatstore_cli.config.settings import ThreadCollections
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import MessageEvent, MessageEventKind
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.threads.own_threads import OWN_THREAD_MESSAGES, OWN_THREADS
from chatstore_cli.mongo.threads.sessions import FACT_FIELDS, LAYOUT, to_message, to_session
from chatstore_cli.mongo.watch.change_stream import position_of
from chatstore_cli.mongo.watch.messages import COMMON_FIELDS
from chatstore_cli.mongo.watch.session_documents import SessionDocuments

_SHOWN_FIELDS = {*FACT_FIELDS, "last_sequence"}


class ThreadChanges(SessionDocuments):
    """The changes of threads. `counted` returns sessions with the number of their messages."""

    read_kinds = frozenset({"insert", "replace", "update"})

    def __init__(
        self, connection: Connection, collection: str, counted: Callable[[list[Session]], list[Session]]
    ) -> None:
        super().__init__(LAYOUT, connection, collection, OWN_THREADS)
        self._threads = connection.collection(collection)
        self._counted = counted

    def document_fields(self) -> Document:
        return {
            **{f"fullDocument.{field}": 1 for field in ("_id", *FACT_FIELDS)},
            "raised_to": "$updateDescription.updatedFields.updated_at",
        }

    def shows(self, fields: set[str]) -> bool:
        return not fields.isdisjoint(_SHOWN_FIELDS)

    def sessions_of(self, identities: Iterable[Any]) -> dict[str, Session]:
        found: list[Document] = [
            {"$match": {"_id": {"$in": list(identities)}, **OWN_THREADS.filter()}},
            {"$project": dict.fromkeys(FACT_FIELDS, 1)},
        ]
        rows = list(self._threads.aggregate(found, **own_collation(self._threads)))  # compared by the caller
        counted = self._counted([to_session(row) for row in rows])
        return {repr(row["_id"]): session for row, session in zip(rows, counted, strict=True)}

    def written_session(self, change: Document) -> Session:
        return to_session(change["fullDocument"])

    def written_at(self, change: Document) -> datetime | None:
        if change["operationType"] == "update":
            return stored_instant(change.get("raised_to"))
        return stored_instant((change.get("fullDocument") or {}).get("updated_at"))


class ThreadMessageChanges:
    """The changes of one thread's messages."""

    is_replaced = False

    def __init__(self, connection: Connection, names: ThreadCollections, thread_id: str) -> None:
        self._threads = connection.collection(names.threads)
        self._messages_name = names.messages
        self._thread_id = thread_id
        self._exists = True

    def refresh(self) -> None:
        """Look the thread up."""
        condition = {"_id": {"$in": id_values(self._thread_id)}, **OWN_THREADS.filter()}
        with driver_errors(f"looking up thread {self._thread_id!r} in {self._threads.name}"):
            self._exists = self._threads.find_one(condition, {"_id": 1}) is not None

    def pipeline(self) -> list[Document]:
        """The inserts of messages, and the creation and deletion of the thread. An edit is not reported as a message."""
        ids = {"$in": id_values(self._thread_id)}
        inserted = {"operationType": "insert", "ns.coll": self._messages_name, "fullDocument.chat_thread_id": ids}
        match: list[Document] = [
            {"operationType": "invalidate"},
            {**inserted, **OWN_THREAD_MESSAGES.filter("fullDocument.")},
            {"operationType": {"$in": ["insert", "delete"]}, "ns.coll": self._threads.name, "documentKey._id": ids},
        ]
        return [{"$match": {"$or": match}}, {"$project": {**COMMON_FIELDS, "fullDocument": 1}}]

    def events(self, change: Document) -> list[MessageEvent]:
        """A new message if the thread exists, or the creation or deletion of the thread."""
        position = position_of(change["clusterTime"])
        if change["ns"]["coll"] == self._messages_name:
            message = to_message(self._thread_id, change["fullDocument"])
            return [MessageEvent(MessageEventKind.APPENDED, position, message)] if self._exists else []
        self._exists = change["operationType"] == "insert"
        kind = MessageEventKind.REWRITTEN if self._exists else MessageEventKind.DELETED
        return [MessageEvent(kind, position)]
