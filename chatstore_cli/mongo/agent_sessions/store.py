"""The sessions of a Python agent in MongoDB: one document for each session, and one for each message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pymongo.errors as driver

from chatstore_cli.core.agent_sessions.retries import without_retries
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.agent_sessions import AgentMessage, AgentSession
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.times import Clock, to_milliseconds
from chatstore_cli.mongo.agent_sessions.documents import (
    IN_ORDER,
    OWN_AGENT_MESSAGES,
    OWN_AGENT_SESSIONS,
    message_document,
    reading_indexes,
    sequence_index,
    session_id_index,
    to_agent_message,
    to_agent_session,
)
from chatstore_cli.mongo.bson_values import stored_instant, whole_number
from chatstore_cli.mongo.collections import acknowledged_collection
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import document_id_condition
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.server_clock import ServerClock

_FROM_LAST = [(field, -1) for field, _ in IN_ORDER]


class MongoAgentSessionStore:
    """An AgentSessionStore. Unique indexes, and not look-ups, keep second sessions and second messages of a place out."""

    def __init__(
        self,
        connection: Connection,
        sessions: str,
        messages: str,
        *,
        patient: Connection | None = None,
        server_now: Clock | None = None,
    ) -> None:
        """`sessions` and `messages` are collections. `patient` is a connection without a time limit, for indexes."""
        self._connection = connection.reading_from_primary()
        self._names = sessions, messages
        self._sessions = acknowledged_collection(self._connection, sessions)
        self._messages = acknowledged_collection(self._connection, messages)
        self._indexes = MongoIndexStore(self._connection, patient or connection)
        self._server_now = server_now or ServerClock(connection, warn=lambda _: None).now
        self._is_prepared = False

    def get_or_create(self, session_id: str, user_id: str, agent_id: str | None) -> AgentSession:
        doing = f"creating session {session_id!r} in {self._names[0]}"

        def attempt() -> AgentSession | None:
            found = self._find(session_id)
            if found is None:
                now = self._now()
                ids = {"session_id": session_id, "user_id": user_id, "agent_id": agent_id}
                document: Document = {**ids, "created_at": now, "updated_at": now}
                try:
                    self._sessions.insert_one(document)
                except driver.DuplicateKeyError:
                    return None  # another caller has created it
                return to_agent_session(document)
            session = to_agent_session(found)
            if session.user_id is not None and session.user_id != user_id:
                raise Conflict(what=f"Session {session_id!r} is another user's.", hint="A new session needs a new id.")
            return session

        def failure() -> Conflict:
            return Conflict(what=f"{doing}: the collection takes another id for equal, or has another document of it.")

        self._prepare()
        with driver_errors(doing):
            return attempt_until_done(attempt, failure)

    def append(self, session_id: str, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
        doing = f"saving messages of session {session_id!r} in {self._names[1]}"
        waiting, stored = list(messages), list[AgentMessage]()

        def attempt() -> bool | None:
            """Store the messages that wait. None: another writer took a place among them, and the rest still waits."""
            last, sequence = self._last(session_id)
            waiting[:] = without_retries(None if last is None else to_agent_message(last), waiting)
            if not waiting:
                return True
            # The order of the messages is that of their times first, so a clock must not go back.
            earliest = None if last is None else stored_instant(last.get("created_at"))
            now = self._now() if earliest is None else max(self._now(), earliest)
            documents = [
                message_document(session_id, message, sequence + place, now)
                for place, message in enumerate(waiting, start=1)
            ]
            done = self._insert(documents)
            stored.extend(map(to_agent_message, documents[:done]))
            del waiting[:done]
            return None if waiting else True

        def failure() -> Conflict:
            return Conflict(what=f"{doing}: other writers were first each time.", hint="Save the rest again.")

        self._prepare()
        with driver_errors(doing):
            if self._find(session_id) is None:
                raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._names[0]}")
            attempt_until_done(attempt, failure)
            if stored:
                changed = {"$max": {"updated_at": stored[-1].created_at}}
                self._sessions.update_one({**_of(session_id), **OWN_AGENT_SESSIONS.filter()}, changed)
        return stored

    def messages(self, session_id: str, last: int | None) -> list[AgentMessage]:
        condition = {**_of(session_id), **OWN_AGENT_MESSAGES.filter()}
        with driver_errors(f"reading session {session_id!r} in {self._names[1]}"):
            if self._find(session_id) is None:
                raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._names[0]}")
            if last is None:
                return [to_agent_message(each) for each in self._messages.find(condition).sort(IN_ORDER)]
            newest = list(self._messages.find(condition).sort(_FROM_LAST).limit(last))
            return [to_agent_message(each) for each in reversed(newest)]

    def _find(self, session_id: str) -> Document | None:
        return self._sessions.find_one({**_of(session_id), **OWN_AGENT_SESSIONS.filter()})

    def _last(self, session_id: str) -> tuple[Document | None, int]:
        """The last message of a session, and the highest sequence.

        The sequence is read first: if another writer stores a message between the reads, the next place is taken, and the
        caller reads again. The other way round, it would not compare with that message.
        """
        condition = _of(session_id)
        numbered = {**condition, "sequence": {"$gte": 0}}
        highest = list(self._messages.find(numbered, {"sequence": 1}).sort([("sequence", -1)]).limit(1))
        last = list(self._messages.find({**condition, **OWN_AGENT_MESSAGES.filter()}).sort(_FROM_LAST).limit(1))
        return (last[0] if last else None), (whole_number(highest[0]["sequence"]) or 0 if highest else 0)

    def _insert(self, documents: list[Document]) -> int:
        """Insert documents in their order up to the first whose place another writer has taken. Returns how many."""
        try:
            self._messages.insert_many(documents)
        except driver.BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if not failures or failures[0].get("code") != DUPLICATE_KEY:
                raise
            return int(failures[0]["index"])
        return len(documents)

    def _prepare(self) -> None:
        """Examine the collections, and create their indexes. The unique ones are required."""
        for name, own in zip(self._names, (OWN_AGENT_SESSIONS, OWN_AGENT_MESSAGES), strict=True):
            require_writable(self._connection, name, own)
        if self._is_prepared:
            return
        for spec in (session_id_index(self._names[0]), sequence_index(self._names[1])):
            self._indexes.create(spec, spec.name)
        self._indexes.create_if_allowed(reading_indexes(*self._names))
        self._is_prepared = True

    def _now(self) -> datetime:
        return to_milliseconds(self._server_now())


def _of(session_id: str) -> Document:
    return {"session_id": document_id_condition(session_id)}
