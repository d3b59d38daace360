"""Calls in one collection, one document each. A unique index, and not a look-up, keeps a second call out of a room."""

from __future__ import annotations

from datetime import datetime

import pymongo.errors as driver
from pymongo import ReturnDocument

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.calls import CALLS, CallSession
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.queries import SessionKey
from chatstore_cli.domain.times import Clock, to_milliseconds
from chatstore_cli.mongo.call_sessions.documents import (
    OWN_CALL_SESSIONS,
    call_session_index_specs,
    to_call,
    to_document,
)
from chatstore_cli.mongo.collections import acknowledged_collection, require_exact_ids
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.server_clock import ServerClock


class MongoCallSessionStore:
    """A CallSessionStore. Every change is one command."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        patient: Connection | None = None,
        server_now: Clock | None = None,
    ) -> None:
        """`patient` is a connection without a time limit, for building indexes."""
        self._connection = connection.reading_from_primary()
        self.collection = settings.chatstore.agents.call_sessions
        self._calls = acknowledged_collection(self._connection, self.collection)
        self._indexes = MongoIndexStore(self._connection, patient or connection)
        self._server_now = server_now or ServerClock(connection, warn=lambda _: None).now
        self._is_prepared = False

    def start(self, call: CallSession) -> CallSession:
        self._prepare()
        doing = f"starting call session {call.session_id!r} in {self.collection}"
        document = to_document(call, self._now())

        def attempt() -> CallSession | None:
            try:
                self._calls.insert_one(document)
            except driver.DuplicateKeyError:
                same_id = self.find(call.session_id, None)
                if same_id is not None:
                    return _repeated(same_id, call)
                in_room = self.open_in(call.room, None)
                if in_room is not None:
                    raise _occupied(in_room, call) from None
                return None  # it has ended meanwhile
            return to_call(document)

        def failure() -> Conflict:
            return Conflict(what=f"{doing}: other calls in the room began each time.", hint="Start the call again.")

        with driver_errors(doing):
            return attempt_until_done(attempt, failure)

    def end(
        self, session_id: str | None, room: str | None, tenant_id: str | None, close_reason: str | None
    ) -> CallSession | None:
        self._prepare()
        chosen: Document = {"room": room} if session_id is None else {"_id": session_id}
        condition = {**chosen, **_of_tenant(tenant_id), **OWN_CALL_SESSIONS.filter()}
        change = {"$set": {"open": False, "ended_at": self._now(), "close_reason": close_reason}}
        with driver_errors(f"ending a call session in {self.collection}"):
            ended = self._calls.find_one_and_update(
                {**condition, "open": True}, change, return_document=ReturnDocument.AFTER
            )
            found = ended or self._calls.find_one(condition, sort=[("started_at", -1), ("_id", -1)])
        return None if found is None else to_call(found)

    def find(self, session_id: str, tenant_id: str | None) -> CallSession | None:
        return self._find({"_id": session_id}, tenant_id)

    def open_in(self, room: str, tenant_id: str | None) -> CallSession | None:
        return self._find({"room": room, "open": True}, tenant_id)

    def open_calls(self, tenant_id: str | None, after: SessionKey | None, limit: int) -> list[CallSession]:
        condition: Document = {"open": True, **_of_tenant(tenant_id), **OWN_CALL_SESSIONS.filter()}
        newest_first = [("started_at", -1), ("_id", -1)]
        found: list[CallSession] = []
        with driver_errors(f"listing the open calls of {self.collection}"):
            for part in _parts_below(after):
                if len(found) < limit:
                    rows = self._calls.find({**condition, **part}).sort(newest_first).limit(limit - len(found))
                    found += map(to_call, rows)
        return found

    def _find(self, condition: Document, tenant_id: str | None) -> CallSession | None:
        with driver_errors(f"looking up a call session in {self.collection}"):
            found = self._calls.find_one({**condition, **_of_tenant(tenant_id), **OWN_CALL_SESSIONS.filter()})
        return None if found is None else to_call(found)

    def _prepare(self) -> None:
        """Examine the collection, and create its indexes. The unique one is required."""
        if self._is_prepared:
            return
        require_exact_ids(self._connection, self.collection)
        require_own(self._connection, self.collection, OWN_CALL_SESSIONS)
        required, *others = call_session_index_specs(self.collection)
        self._indexes.create(required, required.name)
        self._indexes.create_if_allowed(others)
        self._is_prepared = True

    def _now(self) -> datetime:
        return to_milliseconds(self._server_now())


def _repeated(stored: CallSession, call: CallSession) -> CallSession:
    """The stored call, if it is the same one and still open."""
    if not stored.is_open:
        raise Conflict(what=f"Call session {call.session_id!r} has ended.", hint="A new call needs an id of its own.")
    if (stored.room, stored.tenant_id) != (call.room, call.tenant_id):
        raise Conflict(
            what=f"Call session {call.session_id!r} exists already, in another room or of another tenant.",
            hint="A new call needs an id of its own.",
        )
    return stored


def _occupied(stored: CallSession, call: CallSession) -> Conflict:
    owner = f": call session {stored.session_id!r}" if stored.tenant_id == call.tenant_id else ""
    return Conflict(
        what=f"Room {call.room!r} has an open call{owner}. Nothing was changed.",
        hint="End that call first, or start this one in another room.",
    )


def _parts_below(after: SessionKey | None) -> list[Document]:
    """Conditions that select the calls below a position, in their order."""
    if after is None:
        return [{}]
    older: list[Document] = [{"started_at": {"$lt": after.instant}}]
    if after.layout != CALLS:
        return older
    return [{"started_at": after.instant, "_id": {"$lt": after.session_id}}, *older]


def _of_tenant(tenant_id: str | None) -> Document:
    return {} if tenant_id is None else {"tenant_id": tenant_id}
