"""Changes of sessions, of both layouts in one order, from one change stream: never with a message's body.

An update is told without the document (looking it up in the server would load all its messages, and could pass 16 MiB;
FACTS A): the facts of all sessions that were updated are asked for together. So a row has the facts as they stand when
it is given, which may be newer than the change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.times import read_instant
from chatstore_cli.domain.watch import Change, SessionChange, SessionEvent, Taken
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.messages.recent_sessions import RecentSessions
from chatstore_cli.mongo.tombstones import TOMBSTONES
from chatstore_cli.mongo.watch.change_stream import ChangeStream, place_of
from chatstore_cli.mongo.workflow.documents import FACT_FIELDS, LAYOUT, UPDATED_FIELDS, to_session
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, MOVED_MESSAGES, SegmentReader

FLAT = "messages"
REMEMBERED = 20_000
"""Sessions whose facts are remembered: what is deleted can no longer be asked."""

_DOING = "following the changes of sessions"
_FIELDS = (*FACT_FIELDS, LAST_SEGMENT, MOVED_MESSAGES)
_TELLING = {field.partition(".")[0] for field in FACT_FIELDS} | {"messages"}
_UPDATED: Document = {"$ifNull": ["$updateDescription.updatedFields", {}]}
_KEYS: Document = {
    "$concatArrays": [
        {"$map": {"input": {"$objectToArray": _UPDATED}, "in": "$$this.k"}},
        {"$ifNull": ["$updateDescription.removedFields", []]},
        {"$map": {"input": {"$ifNull": ["$updateDescription.truncatedArrays", []]}, "in": "$$this.field"}},
    ]
}


def _size(path: str) -> Document:
    return {"$cond": [{"$isArray": f"${path}"}, {"$size": f"${path}"}, 0]}


class MongoSessionFeed:
    """Tells what happens to sessions of the layouts named, from the moment of `open`."""

    def __init__(self, connection: Connection, settings: Settings, layouts: Collection[str]) -> None:
        self._connection = connection
        self._layouts = layouts
        self._sessions = connection.collection(settings.sessions_collection)
        segments = connection.collection(settings.layouts.workflow.segments)
        self._segments = SegmentReader(self._sessions, segments, in_memory=connection.in_memory)
        self._messages = connection.collection(settings.messages_collection)
        self._milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._stream = ChangeStream(connection, self._pipeline(), _DOING)
        self._documents = _Remembered()
        self._flat = _Remembered()
        self._waiting: tuple[list[Document], datetime | None] | None = None

    def open(self) -> bool:
        """Begin with what happens from now on; False on a server that is no replica set."""
        return self._stream.open()

    def place(self) -> int:
        """The present place among all changes."""
        return self._stream.place()

    def close(self) -> None:
        """Let go of the server's cursor."""
        self._stream.close()

    def take(self) -> Taken[SessionEvent]:
        """What happened next. Raises Unreachable, and asked again tells the very same."""
        if self._waiting is None:
            self._waiting = self._stream.take()
        events, missed_since = self._waiting
        told = self._told(events)
        self._waiting = None
        return Taken(told, missed_since)

    def _pipeline(self) -> list[Document]:
        wanted: list[Document] = [{"operationType": "invalidate"}]
        if LAYOUT in self._layouts:
            kinds = ["insert", "update", "replace", "delete"]
            wanted.append({"ns.coll": self._sessions.name, "operationType": {"$in": kinds}})
        if FLAT in self._layouts:
            wanted.append({"ns.coll": self._messages.name, "operationType": "insert"})
            # A message that goes need not be the last one; who deletes a session leaves a tombstone.
            kinds = ["insert", "update", "replace"]
            deleted = {"documentKey._id.layout": FLAT, "operationType": {"$in": kinds}}
            wanted.append({"ns.coll": TOMBSTONES, **deleted})
        project: Document = {
            "operationType": 1,
            "ns.coll": 1,
            "documentKey": 1,
            "clusterTime": 1,
            "wallTime": 1,
            **{f"fullDocument.{field}": 1 for field in _FIELDS},
            "fullDocument.session_id": 1,
            "message_count": _size("fullDocument.messages"),
            "keys": _KEYS,
            "written": {field: f"$updateDescription.updatedFields.{field}" for field in UPDATED_FIELDS},
        }
        return [{"$match": {"$or": wanted}}, {"$project": project}]

    # --- events ------------------------------------------------------------------------------------------------------

    def _told(self, events: Sequence[Document]) -> list[SessionEvent]:
        events = [event for event in events if _tells(event)]
        updated = [
            event["documentKey"]["_id"]
            for event in events
            if event["operationType"] == "update" and event["ns"]["coll"] == self._sessions.name
        ]
        flat = [
            id_text(event["fullDocument"]["session_id"])
            for event in events
            if event["ns"]["coll"] == self._messages.name and event["fullDocument"].get("session_id") is not None
        ]
        with driver_errors(_DOING):
            documents = self._facts_of_documents(updated)
            sessions = self._facts_of_flat(flat)
        told: list[SessionEvent] = []
        for event in events:
            where = event["ns"]["coll"]
            if where == self._sessions.name:
                change = self._of_document(event, documents)
            elif where == self._messages.name:
                change = self._of_message(event, sessions)
            else:
                change = self._of_tombstone(event)
            if change is not None:
                told.append(SessionEvent(change, place_of(event["clusterTime"]), self._moment(event)))
        return told

    def _of_document(self, event: Document, found: dict[str, Session]) -> SessionChange | None:
        identity, kind = repr(event["documentKey"]["_id"]), event["operationType"]
        if kind == "delete":
            known = self._documents.forget(identity)
            gone = known or Session(id_text(event["documentKey"]["_id"]), LAYOUT)
            return SessionChange(Change.DELETED, gone, _at(event))
        if kind == "update":
            session = found.get(identity) or self._documents.of(identity)
            if session is None:  # deleted meanwhile: that comes next
                return None
        else:
            session = to_session({**event["fullDocument"], "message_count": event["message_count"]})
        self._documents.remember(identity, session)
        return SessionChange(Change.NEW if kind == "insert" else Change.CHANGED, session, _at(event))

    def _of_message(self, event: Document, found: dict[str, Session]) -> SessionChange | None:
        owner = event["fullDocument"].get("session_id")
        if owner is None:
            return None
        session_id = id_text(owner)
        known = self._flat.of(session_id)
        session = found.get(session_id) or known or Session(session_id, FLAT)
        moment = self._moment(event)
        is_first = known is None and (session.created_at is None or moment is None or moment <= session.created_at)
        self._flat.remember(session_id, session)
        return SessionChange(Change.NEW if is_first else Change.CHANGED, session, _at(event))

    def _of_tombstone(self, event: Document) -> SessionChange | None:
        named = event["documentKey"]["_id"].get("session_id")
        if not isinstance(named, str):
            return None
        return SessionChange(Change.DELETED, self._flat.forget(named) or Session(named, FLAT), _at(event))

    def _moment(self, event: Document) -> datetime | None:
        """The time that the writer gave the change: the session's, or the flat message's own."""
        document = event.get("fullDocument") or {}
        if event["ns"]["coll"] == self._messages.name:
            return read_instant(document.get("created_at"))
        fields = (event.get("written") or {}) if event["operationType"] == "update" else document
        return next(filter(None, (read_instant(fields.get(name)) for name in UPDATED_FIELDS)), None)

    # --- facts -------------------------------------------------------------------------------------------------------

    def _facts_of_documents(self, identities: Iterable[Any]) -> dict[str, Session]:
        wanted = {repr(identity): identity for identity in identities}
        if not wanted:
            return {}
        facts: Document = {**dict.fromkeys(_FIELDS, 1), "message_count": _size("messages")}
        rows = list(
            self._sessions.aggregate([{"$match": {"_id": {"$in": list(wanted.values())}}}, {"$project": facts}])
        )
        sessions = [to_session(row) for row in rows]
        heads = {session.session_id: row for session, row in zip(sessions, rows, strict=True)}
        counted = self._segments.counted(sessions, heads)
        return {repr(row["_id"]): session for row, session in zip(rows, counted, strict=True)}

    def _facts_of_flat(self, sessions: Iterable[str]) -> dict[str, Session]:
        wanted = list(dict.fromkeys(sessions))
        if not wanted:
            return {}
        in_memory = self._connection.in_memory  # made anew: it remembers indexes, which may be built while we follow
        recent = RecentSessions(self._messages, in_memory=in_memory, milliseconds=self._milliseconds)
        newest, oldest = recent.newest_of(wanted), recent.oldest_of(wanted)
        made = {name: Session(name, FLAT, created_at=oldest.get(name), updated_at=newest.get(name)) for name in wanted}
        for name, count in recent.counts_of(wanted, COUNT_CAP):
            capped = count > COUNT_CAP
            made[name] = replace(made[name], message_count=min(count, COUNT_CAP), message_count_capped=capped)
        return {name: session for name, session in made.items() if session.message_count}


class _Remembered:
    """The facts of the sessions that were met last."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Session] = OrderedDict()

    def of(self, name: str) -> Session | None:
        return self._held.get(name)

    def remember(self, name: str, session: Session) -> None:
        self._held[name] = session
        self._held.move_to_end(name)
        if len(self._held) > REMEMBERED:
            self._held.popitem(last=False)

    def forget(self, name: str) -> Session | None:
        return self._held.pop(name, None)


def _tells(event: Document) -> bool:
    """Whether an update changed what a row shows; that messages moved into a segment did not."""
    if event["operationType"] != "update" or event["ns"]["coll"] == TOMBSTONES:
        return True
    changed = {key.partition(".")[0] for key in event["keys"]}
    return LAST_SEGMENT not in changed and not changed.isdisjoint(_TELLING)


def _at(event: Document) -> datetime:
    wall: datetime | None = event.get("wallTime")
    at: datetime = wall if wall is not None else event["clusterTime"].as_datetime()
    return at
