"""Changes of the sessions of both layouts, in one order, from one change stream, without message bodies.

The stream does not look up updated documents: that would load all their messages, and an event over 16 MiB breaks the
stream. Instead one query fetches the facts of all updated sessions of a batch. So a row has the facts of the moment when
it was read, which may be newer than the change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.watch import Batch, Change, SessionChange, SessionEvent
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.foreign_documents import ForeignLookup
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.message_counts import MessageCounts
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.session_times import SessionTimes
from chatstore_cli.mongo.tombstones import PART, TOMBSTONES
from chatstore_cli.mongo.watch.change_stream import ChangeStream, StreamFeed, position_of
from chatstore_cli.mongo.workflow.documents import (
    FACT_FIELDS,
    LAYOUT,
    MESSAGE_COUNT,
    UPDATED_FIELDS,
    array_size,
    to_session,
)
from chatstore_cli.mongo.workflow.own_sessions import OWN_SESSIONS
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, MOVED_MESSAGES, SegmentReader

FLAT = "messages"
REMEMBERED_SESSIONS = 20_000
"""Sessions whose facts are remembered: those of a deleted session cannot be read any more."""

_ACTIVITY = "following the changes of sessions"
_FIELDS = (*FACT_FIELDS, LAST_SEGMENT, MOVED_MESSAGES)
_SHOWN_FIELDS = {field.partition(".")[0] for field in FACT_FIELDS} | {"messages"}
_UPDATED_FIELDS: Document = {"$ifNull": ["$updateDescription.updatedFields", {}]}
_CHANGED_KEYS: Document = {
    "$concatArrays": [
        {"$map": {"input": {"$objectToArray": _UPDATED_FIELDS}, "in": "$$this.k"}},
        {"$ifNull": ["$updateDescription.removedFields", []]},
        {"$map": {"input": {"$ifNull": ["$updateDescription.truncatedArrays", []]}, "in": "$$this.field"}},
    ]
}


class MongoSessionFeed(StreamFeed):
    """Reports the changes of sessions of some layouts from `open` on."""

    def __init__(self, connection: Connection, settings: Settings, layouts: Collection[str]) -> None:
        self._connection = connection
        self._layouts = layouts
        self._sessions = connection.collection(settings.sessions_collection)
        segments = connection.collection(settings.layouts.workflow.segments)
        self._segments = SegmentReader(self._sessions, segments, in_memory=connection.in_memory)
        self._lookup = ForeignLookup(connection, settings.sessions_collection, OWN_SESSIONS)
        self._messages = connection.collection(settings.messages_collection)
        self._milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._stream = ChangeStream(connection, self._pipeline(), _ACTIVITY)
        self._documents: LruMap[str, Session] = LruMap(REMEMBERED_SESSIONS)
        self._flat: LruMap[str, Session] = LruMap(REMEMBERED_SESSIONS)
        self._unreported: tuple[list[Document], datetime | None] | None = None

    def read(self) -> Batch[SessionEvent]:
        """The next events. After Unreachable the next call returns the same events."""
        if self._unreported is None:
            self._unreported = self._stream.read()
        changes, missed_since = self._unreported
        events = self._events(changes)
        self._unreported = None
        return Batch(events, missed_since)

    def _pipeline(self) -> list[Document]:
        conditions: list[Document] = [{"operationType": "invalidate"}]
        if LAYOUT in self._layouts:
            of_sessions = {"ns.coll": self._sessions.name}
            conditions.append({**of_sessions, "operationType": {"$in": ["update", "delete"]}})
            written = {"operationType": {"$in": ["insert", "replace"]}, **OWN_SESSIONS.filter("fullDocument.")}
            conditions.append({**of_sessions, **written})
        if FLAT in self._layouts:
            inserted = {"operationType": "insert", **OWN_MESSAGES.filter("fullDocument.")}
            conditions.append({"ns.coll": self._messages.name, **inserted})
            # A deleted message need not be the last one, so only the tombstone shows that a session was deleted.
            kinds = ["insert", "update", "replace"]
            is_part = f"documentKey._id.{PART}"
            deleted = {"documentKey._id.layout": FLAT, is_part: None, "operationType": {"$in": kinds}}
            conditions.append({"ns.coll": TOMBSTONES, **deleted})
        project: Document = {
            "operationType": 1,
            "ns.coll": 1,
            "documentKey": 1,
            "clusterTime": 1,
            "wallTime": 1,
            **{f"fullDocument.{field}": 1 for field in _FIELDS},
            "fullDocument.session_id": 1,
            "message_count": array_size("fullDocument.messages"),
            "keys": _CHANGED_KEYS,
            "written": {field: f"$updateDescription.updatedFields.{field}" for field in UPDATED_FIELDS},
        }
        return [{"$match": {"$or": conditions}}, {"$project": project}]

    def _events(self, changes: Sequence[Document]) -> list[SessionEvent]:
        changes = [change for change in changes if _is_visible(change)]
        updated = [
            change["documentKey"]["_id"]
            for change in changes
            if change["operationType"] == "update" and change["ns"]["coll"] == self._sessions.name
        ]
        flat = [
            session_id
            for change in changes
            if change["ns"]["coll"] == self._messages.name
            and (session_id := addressable_id(change["fullDocument"].get("session_id"))) is not None
        ]
        with driver_errors(_ACTIVITY):
            documents = self._facts_of_documents(updated)
            sessions = self._facts_of_flat(flat)
        events: list[SessionEvent] = []
        for change in changes:
            collection = change["ns"]["coll"]
            if collection == self._sessions.name:
                row = self._document_change(change, documents)
            elif collection == self._messages.name:
                row = self._flat_change(change, sessions)
            else:
                row = self._flat_deletion(change)
            if row is not None:
                events.append(SessionEvent(row, position_of(change["clusterTime"]), self._written_at(change)))
        return events

    def _document_change(self, change: Document, facts: dict[str, Session]) -> SessionChange | None:
        identity, kind = repr(change["documentKey"]["_id"]), change["operationType"]
        if kind == "delete":
            known = self._documents.pop(identity)
            if known is None and self._lookup.take().foreign:
                return None  # its layout is unknown, and the id of another product's document may be a secret
            session_id = addressable_id(change["documentKey"]["_id"])
            if known is None and session_id is None:
                return None
            session = known or Session(session_id or "", LAYOUT)
            return SessionChange(Change.DELETED, session, _changed_at(change))
        if kind == "update":
            updated = facts.get(identity) or self._documents.get(identity)
            if updated is None:  # deleted since: that change comes next
                return None
            session = updated
        else:
            session = to_session({**change["fullDocument"], "message_count": change["message_count"]})
        if not session.session_id:
            return None
        self._documents.put(identity, session)
        return SessionChange(Change.NEW if kind == "insert" else Change.CHANGED, session, _changed_at(change))

    def _flat_change(self, change: Document, facts: dict[str, Session]) -> SessionChange | None:
        session_id = addressable_id(change["fullDocument"].get("session_id"))
        if session_id is None:
            return None
        known = self._flat.get(session_id)
        session = facts.get(session_id) or known or Session(session_id, FLAT)
        written_at = self._written_at(change)
        is_new = known is None and (
            session.created_at is None or written_at is None or written_at <= session.created_at
        )
        self._flat.put(session_id, session)
        return SessionChange(Change.NEW if is_new else Change.CHANGED, session, _changed_at(change))

    def _flat_deletion(self, change: Document) -> SessionChange | None:
        session_id = change["documentKey"]["_id"].get("session_id")
        if not isinstance(session_id, str):
            return None
        session = self._flat.pop(session_id) or Session(session_id, FLAT)
        return SessionChange(Change.DELETED, session, _changed_at(change))

    def _written_at(self, change: Document) -> datetime | None:
        """The time that the writer stored: the session's, or the flat message's own."""
        document = change.get("fullDocument") or {}
        if change["ns"]["coll"] == self._messages.name:
            return stored_instant(document.get("created_at"))
        fields = (change.get("written") or {}) if change["operationType"] == "update" else document
        return next(filter(None, (stored_instant(fields.get(name)) for name in UPDATED_FIELDS)), None)

    def _facts_of_documents(self, identities: Iterable[Any]) -> dict[str, Session]:
        unique = list({repr(identity): identity for identity in identities}.values())
        if not unique:
            return {}
        facts: Document = {**dict.fromkeys(_FIELDS, 1), "message_count": MESSAGE_COUNT}
        match = {"_id": {"$in": unique}, **OWN_SESSIONS.filter()}
        found = [{"$match": match}, {"$project": facts}]
        rows = list(self._sessions.aggregate(found, **own_collation(self._sessions)))  # compared by the caller
        sessions = [to_session(row) for row in rows]
        heads = {session.session_id: row for session, row in zip(sessions, rows, strict=True)}
        counted = self._segments.with_moved_messages(sessions, heads)
        return {repr(row["_id"]): session for row, session in zip(rows, counted, strict=True)}

    def _facts_of_flat(self, session_ids: Iterable[str]) -> dict[str, Session]:
        unique = list(dict.fromkeys(session_ids))
        if not unique:
            return {}
        # A new object for each batch: it remembers indexes, which may be built during the watch.
        in_memory, milliseconds = self._connection.in_memory, self._milliseconds
        times = SessionTimes(self._messages, in_memory=in_memory, milliseconds=milliseconds)
        counts = MessageCounts(self._messages, in_memory=in_memory, milliseconds=milliseconds)
        newest, oldest = times.newest_of(unique, exact=True), times.oldest_of(unique, exact=True)
        sessions: dict[str, Session] = {}
        for name, count in counts.of(unique, COUNT_CAP, has_index=times.has_session_index):
            if count:
                sessions[name] = Session(
                    name,
                    FLAT,
                    created_at=oldest.get(name),
                    updated_at=newest.get(name),
                    message_count=min(count, COUNT_CAP),
                    message_count_capped=count > COUNT_CAP,
                )
        return sessions


def _is_visible(change: Document) -> bool:
    """Whether the change affects what a row shows. Moving messages into a segment does not."""
    if change["operationType"] != "update" or change["ns"]["coll"] == TOMBSTONES:
        return True
    changed = {key.partition(".")[0] for key in change["keys"]}
    return LAST_SEGMENT not in changed and not changed.isdisjoint(_SHOWN_FIELDS)


def _changed_at(change: Document) -> datetime:
    wall_time: datetime | None = change.get("wallTime")
    return wall_time if wall_time is not None else change["clusterTime"].as_datetime()
