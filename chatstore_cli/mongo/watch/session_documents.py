"""The changes of sessions in a layout with one document per session: the code that such layouts share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Change, SessionEvent
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.foreign_documents import ForeignLookup
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.own_documents import OwnDocuments
from chatstore_cli.mongo.watch.sessions import REMEMBERED_SESSIONS, session_event

_UPDATED_FIELDS: Document = {"$ifNull": ["$updateDescription.updatedFields", {}]}
_CHANGED_KEYS: Document = {
    "$concatArrays": [
        {"$map": {"input": {"$objectToArray": _UPDATED_FIELDS}, "in": "$$this.k"}},
        {"$ifNull": ["$updateDescription.removedFields", []]},
        {"$map": {"input": {"$ifNull": ["$updateDescription.truncatedArrays", []]}, "in": "$$this.field"}},
    ]
}


class SessionDocuments(ABC):
    """The SessionChanges of a collection with one document per session."""

    layout: str
    read_kinds: ClassVar[frozenset[str]] = frozenset({"update"})
    """The operations after which the facts of a session are read. Those of all others are in the event."""

    has_session_id_as_document_id: bool = True
    """Whether the `_id` of a document is the id of its session."""

    def __init__(self, layout: str, connection: Connection, collection: str, own: OwnDocuments) -> None:
        self.layout = layout
        self._name = collection
        self._own = own
        self._lookup = ForeignLookup(connection, collection, own)
        self._known: LruMap[str, Session] = LruMap(REMEMBERED_SESSIONS)
        self._read: dict[str, Session] = {}

    def conditions(self) -> list[Document]:
        """Every change of an own document. Whose document was updated or deleted is not in the event."""
        here = {"ns.coll": self._name}
        written = {"operationType": {"$in": ["insert", "replace"]}, **self._own.filter("fullDocument.")}
        return [{**here, "operationType": {"$in": ["update", "delete"]}}, {**here, **written}]

    def fields(self) -> Document:
        """The names of the updated fields, and what `written_session` and `written_at` need."""
        return {"keys": _CHANGED_KEYS, **self.document_fields()}

    def concerns(self, change: Document) -> bool:
        """Whether the change affects what a row shows."""
        if change["ns"]["coll"] != self._name:
            return False
        if change["operationType"] != "update":
            return True
        return self.shows({key.partition(".")[0] for key in change["keys"]})

    def read_facts(self, changes: Sequence[Document]) -> None:
        """Read the facts of the changed sessions; and whether an unknown deleted document may be another product's."""
        identities = [each["documentKey"]["_id"] for each in changes if each["operationType"] in self.read_kinds]
        unique = list({repr(identity): identity for identity in identities}.values())
        self._read = self.sessions_of(unique) if unique else {}
        if any(each["operationType"] == "delete" for each in changes):
            self._lookup.take()

    def event(self, change: Document) -> SessionEvent | None:
        """The row of a change."""
        identity, kind = repr(change["documentKey"]["_id"]), change["operationType"]
        if kind == "delete":
            known = self._known.pop(identity)
            deleted = known or self._unknown(change["documentKey"]["_id"])
            if deleted is None:
                return None
            only_document_id = known is None and not self.has_session_id_as_document_id
            written_at = self.written_at(change)
            return session_event(Change.DELETED, deleted, change, written_at, only_document_id=only_document_id)
        session = self._read.get(identity) if kind in self.read_kinds else None
        if session is None:  # for an update: it was deleted since, and that change comes next
            session = self._known.get(identity) if kind == "update" else self.written_session(change)
        if session is None or not session.session_id:
            return None
        self._known.put(identity, session)
        return session_event(
            Change.NEW if kind == "insert" else Change.CHANGED, session, change, self.written_at(change)
        )

    def _unknown(self, identity: Any) -> Session | None:
        """A deleted session of which only the `_id` is known; None if that may be another product's, and a secret."""
        session_id = addressable_id(identity)
        return None if session_id is None or self._lookup.take().foreign else Session(session_id, self.layout)

    @abstractmethod
    def document_fields(self) -> Document:
        """The fields of a written document and of an update that a row needs, as a `$project` stage."""

    @abstractmethod
    def shows(self, fields: set[str]) -> bool:
        """Whether a row shows an update of these top-level fields."""

    @abstractmethod
    def sessions_of(self, identities: Iterable[Any]) -> dict[str, Session]:
        """The sessions of these `_id`s, by the `repr` of the `_id`."""

    @abstractmethod
    def written_session(self, change: Document) -> Session:
        """The session of a written document, from the event alone."""

    @abstractmethod
    def written_at(self, change: Document) -> datetime | None:
        """The time of the change that its writer stored."""
