"""Changes of sessions of flat messages, and of the messages of one: each insert is a message.

Deleting a session leaves a tombstone. A deleted message need not be the last one, so only the tombstone shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.watch import Change, MessageEvent, MessageEventKind, SessionEvent
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.message_counts import MessageCounts
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.rows import LAYOUT, to_message
from chatstore_cli.mongo.messages.session_times import SessionTimes
from chatstore_cli.mongo.tombstones import PART, TOMBSTONES
from chatstore_cli.mongo.watch.change_stream import position_of
from chatstore_cli.mongo.watch.messages import COMMON_FIELDS
from chatstore_cli.mongo.watch.sessions import REMEMBERED_SESSIONS, session_event

_STORED = {"operationType": {"$in": ["insert", "update", "replace"]}, "ns.coll": TOMBSTONES}


class FlatChanges:
    """The changes of sessions of flat messages."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._name = settings.messages_collection
        self._messages = connection.collection(self._name)
        self._in_memory = connection.in_memory
        self._milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._known: LruMap[str, Session] = LruMap(REMEMBERED_SESSIONS)
        self._read: dict[str, Session] = {}

    def conditions(self) -> list[Document]:
        """Each inserted message, and each tombstone. A part of a long tombstone is not one."""
        inserted = {"operationType": "insert", "ns.coll": self._name, **OWN_MESSAGES.filter("fullDocument.")}
        return [inserted, {**_STORED, "documentKey._id.layout": LAYOUT, f"documentKey._id.{PART}": None}]

    def fields(self) -> Document:
        """The session and the time of a message."""
        return {"fullDocument.session_id": 1, "fullDocument.created_at": 1}

    def concerns(self, change: Document) -> bool:
        """Whether it is a message or a tombstone."""
        return change["ns"]["coll"] in (self._name, TOMBSTONES)

    def read_facts(self, changes: Sequence[Document]) -> None:
        """Count the messages of the changed sessions, and read when the first and the last were written."""
        stored = [change["fullDocument"] for change in changes if change["ns"]["coll"] == self._name]
        self._read = self._sessions_of(filter(None, (addressable_id(each.get("session_id")) for each in stored)))

    def event(self, change: Document) -> SessionEvent | None:
        """The row of a message or of a deletion."""
        if change["ns"]["coll"] != self._name:
            deleted_id = change["documentKey"]["_id"].get("session_id")
            if not isinstance(deleted_id, str):
                return None
            deleted = self._known.pop(deleted_id) or Session(deleted_id, LAYOUT)
            return session_event(Change.DELETED, deleted, change, None)
        session_id = addressable_id(change["fullDocument"].get("session_id"))
        if session_id is None:
            return None
        known = self._known.get(session_id)
        session = self._read.get(session_id) or known or Session(session_id, LAYOUT)
        written_at = stored_instant(change["fullDocument"].get("created_at"))
        is_new = known is None and _is_first(session.created_at, written_at)
        self._known.put(session_id, session)
        return session_event(Change.NEW if is_new else Change.CHANGED, session, change, written_at)

    def _sessions_of(self, session_ids: Iterable[str]) -> dict[str, Session]:
        unique = list(dict.fromkeys(session_ids))
        if not unique:
            return {}
        # A new object for each batch: it remembers indexes, which may be built during the watch.
        in_memory, milliseconds = self._in_memory, self._milliseconds
        times = SessionTimes(self._messages, in_memory=in_memory, milliseconds=milliseconds)
        counts = MessageCounts(self._messages, in_memory=in_memory, milliseconds=milliseconds)
        newest, oldest = times.newest_of(unique, exact=True), times.oldest_of(unique, exact=True)
        return {
            name: Session(
                name,
                LAYOUT,
                created_at=oldest.get(name),
                updated_at=newest.get(name),
                message_count=min(count, COUNT_CAP),
                message_count_capped=count > COUNT_CAP,
            )
            for name, count in counts.of(unique, COUNT_CAP, has_index=times.has_session_index)
            if count
        }


def _is_first(created_at: datetime | None, written_at: datetime | None) -> bool:
    """Whether a message of this time is the first one of its session, as far as is known."""
    return created_at is None or written_at is None or written_at <= created_at


class FlatMessageChanges:
    """The changes of one session's messages."""

    is_replaced = False

    def __init__(self, settings: Settings, session_id: str) -> None:
        self._name = settings.messages_collection
        self._session_id = session_id

    def refresh(self) -> None:
        """Nothing is remembered."""

    def pipeline(self) -> list[Document]:
        """The inserts of the session, and its deletion."""
        inserted = {"operationType": "insert", "ns.coll": self._name, **OWN_MESSAGES.filter("fullDocument.")}
        tombstone = {"layout": LAYOUT, "session_id": self._session_id}
        match = [
            {"operationType": "invalidate"},
            {**inserted, "fullDocument.session_id": {"$in": id_values(self._session_id)}},
            {**_STORED, "documentKey._id": tombstone},
        ]
        return [{"$match": {"$or": match}}, {"$project": {**COMMON_FIELDS, "fullDocument": 1}}]

    def events(self, change: Document) -> list[MessageEvent]:
        """The inserted message, or the deletion of the session."""
        position = position_of(change["clusterTime"])
        if change["ns"]["coll"] != self._name:
            return [MessageEvent(MessageEventKind.DELETED, position)]
        return [MessageEvent(MessageEventKind.APPENDED, position, to_message(change["fullDocument"]))]
