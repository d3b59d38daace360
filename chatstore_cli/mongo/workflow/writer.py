"""Writing documents of the workflow layout, one guarded atomic update each (DESIGN section 3, FACTS A and B).

Never a pipeline update: in one, what a message holds would be evaluated. A document of another variant keeps what it
holds: beside a message it gets `last_sequence`, `updated_at`, and a status in its own words where that changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pymongo.errors as driver
from bson import ObjectId
from pymongo import ReadPreference
from pymongo.collection import Collection

from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed, Unreachable
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import Appended, ChatState, ExpectedEcho, NewChat, NoRoom, StatusChange
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import RETRYABLE_CODES, Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.tombstones import TOMBSTONES
from chatstore_cli.mongo.workflow.documents import LAYOUT, TENANT_FIELDS
from chatstore_cli.mongo.workflow.lookup import locate
from chatstore_cli.mongo.workflow.new_documents import (
    MISSING,
    WRITING_FACTS,
    Guard,
    encoded_message,
    facts_of,
    made_running,
    message_document,
    new_document,
    plain_update,
    state_of,
)

_TOO_LARGE = {10334, 17280, 17419, 17420}
_WRONG_TYPES = {2, 14, 28}
_LAST_NUMBER = 2**53
_KEPT_ENDS = -200
_KEPT_ECHOES = -1000


class MongoChatWriter:
    """The chats of one collection, and the segments that their oldest messages may have moved to."""

    def __init__(self, connection: Connection, sessions: str, segments: str) -> None:
        self._connection = connection = reading_from_primary(connection)
        self._name = sessions
        self._sessions: Collection[Document] = connection.collection(sessions)
        self._segments: Collection[Document] = connection.collection(segments)
        self._write_concern = self._sessions.write_concern.document

    # --- looking -----------------------------------------------------------------------------------------------------

    def load(self, chat_id: str) -> ChatState | None:
        """What is stored of a chat, whichever variant it is; None where there is none."""
        found = locate(self._sessions, chat_id, WRITING_FACTS, in_memory=self._connection.in_memory)
        if found is None:
            return None
        return self._state(chat_id, facts_of(found) if self._connection.in_memory else found)

    def _facts(self, match: Document) -> Document | None:
        if self._connection.in_memory:
            found = self._sessions.find_one(match)
            return None if found is None else facts_of(found)
        facts: list[Document] = [{"$match": match}, {"$limit": 1}, {"$project": WRITING_FACTS}]
        return next(iter(self._sessions.aggregate(facts)), None)

    def _state(self, chat_id: str, found: Document) -> ChatState:
        numbered = whole_number(found.get("last_sequence")) is not None
        return state_of(chat_id, found, 0 if numbered else self._highest_in_segments(chat_id))

    def _highest_in_segments(self, chat_id: str) -> int:
        """The highest sequence in segments that came from elsewhere: nobody has noted it in the document."""
        highest = 0
        within = {"_id": {"$gte": f"{chat_id}:", "$lt": f"{chat_id};"}}
        with driver_errors(f"looking up session {chat_id!r} in {self._segments.name}"):
            for row in self._segments.find(within, {"messages.sequence": 1}):
                if str(row["_id"]).rpartition(":")[0] != chat_id:
                    continue  # of the session named `<id>:...`
                stored = row.get("messages")
                elements = [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []
                highest = max([highest, *(whole_number(each.get("sequence")) or 0 for each in elements)])
        return highest

    def is_deleted(self, chat_id: str) -> bool:
        """Whether the chat was deleted on purpose."""
        tombstone = {"_id": {"layout": LAYOUT, "session_id": chat_id}}
        with driver_errors(f"looking up session {chat_id!r} in {TOMBSTONES}"):
            return self._connection.collection(TOMBSTONES).find_one(tombstone, {"_id": 1}) is not None

    def holds_event(self, state: ChatState, event_id: str) -> bool:
        """Whether a message with that event id, or an echo, is stored."""
        of_event = {"$in": id_values(event_id)}
        either = {
            "_id": state.guard.match["_id"],
            "$or": [{"messages.event_id": of_event}, {"echoes.event_id": of_event}],
        }
        with driver_errors(f"looking up an event of session {state.chat_id!r} in {self._name}"):
            if self._sessions.find_one(either, {"_id": 1}) is not None:
                return True
        return self._is_in_segments(state, event_id)

    def _is_in_segments(self, state: ChatState, event_id: str) -> bool:
        if not state.last_segment:
            return False
        with driver_errors(f"looking up an event of session {state.chat_id!r} in {self._segments.name}"):
            in_session = {"chat_id": state.chat_id, "messages.event_id": {"$in": id_values(event_id)}}
            match = {**in_session, "segment": {"$not": {"$gt": state.last_segment}}}
            if self._connection.in_memory:
                return self._segments.find_one(match, {"_id": 1}) is not None
            # Every append to a long session asks this; the bare command costs less than find_one.
            command = {"count": self._segments.name, "query": match, "limit": 1}
            answer = self._connection.database.command(command, codec_options=self._segments.codec_options)
            return int(answer["n"]) > 0

    def has_ended(self, state: ChatState, event_id: str) -> bool:
        """Whether that event has ended a run of the chat before."""
        ended = {"_id": state.guard.match["_id"], "run_ends.event_id": event_id}
        with driver_errors(f"looking up the runs of session {state.chat_id!r} in {self._name}"):
            return self._sessions.find_one(ended, {"_id": 1}) is not None

    # --- writing -----------------------------------------------------------------------------------------------------

    def create(self, chat: NewChat, at: datetime) -> ChatState | None:
        """Create a chat; None where another has created it, or it has been deleted on purpose meanwhile."""
        document = new_document(chat, at)
        # Made from the chat's id: two that create it at once collide, with or without an index on chat_id.
        document["_id"] = ObjectId(hashlib.sha256(chat.chat_id.encode()).digest()[:12])
        with driver_errors(f"creating session {chat.chat_id!r} in {self._name}"):
            try:
                self._sessions.insert_one(document)
            except driver.DuplicateKeyError:
                return None
        if self.is_deleted(chat.chat_id):
            # It was deleted between the look and the insertion; what nobody has written to yet goes again.
            with driver_errors(f"deleting session {chat.chat_id!r} in {self._name}"):
                self._sessions.delete_one({"_id": document["_id"], "last_sequence": 0})
            return None
        return self._state(chat.chat_id, facts_of(document))

    def claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        """Note the tenant, user and workflow of a chat whose document names none of these, as far as they are given."""
        unclaimed: Document = {"_id": state.guard.match["_id"]}
        named: Document = {}
        if state.tenant_id is None:
            unclaimed |= dict.fromkeys(TENANT_FIELDS)
            named[TENANT_FIELDS[0]] = chat.tenant_id
        for field, stored, given in (
            ("user_id", state.user_id, chat.user_id),
            ("workflow_name", state.workflow, chat.workflow),
        ):
            if stored is None and given is not None:
                unclaimed[field] = None
                named[field] = given
        return self._changed(state, unclaimed, {"$set": named}, "naming the owner")

    def append(
        self, state: ChatState, turn: AgentTurn, event_id: str, at: datetime, *, still_awaited: bool = False
    ) -> Appended | NoRoom | None:
        """Store a turn as the message after the last one, and the chat as running."""
        guard: Guard = state.guard
        kind = guard.variant.messages_type
        if kind not in {"array", "missing", "null"}:
            raise Conflict(
                what=f"Session {state.chat_id!r}: its `messages` are of type {kind}, and no list.",
                hint="Nothing was written; mend that document first.",
            )
        sequence = state.last_sequence + 1
        if sequence > _LAST_NUMBER:
            raise Conflict(
                what=f"Session {state.chat_id!r}: its messages are numbered up to {state.last_sequence:,}, and the next has none.",
                hint="Nothing was written; mend `sequence` and `last_sequence` in that document first.",
            )
        message = encoded_message(message_document(turn, event_id, sequence, at), state.chat_id)
        ids = id_values(event_id)
        if self._is_in_segments(state, event_id):
            return None
        unequal = {"$nin": ids} if len(ids) > 1 else {"$ne": ids[0]}
        match = {**guard.match, "echoes.event_id": unequal}
        update: Document = {"$set": {"last_sequence": sequence, "updated_at": at}}
        if kind == "null":
            update["$set"]["messages"] = [message]
        else:
            match["messages.event_id"] = unequal
            update["$push"] = {"messages": message}
        running = made_running(state, update)
        addressed_to = state.addressed_to
        if state.is_at_start and turn.recipient is not None:
            addressed_to = update["$set"]["addressed_to"] = turn.recipient
        is_awaited = guard.match["expected_echo"] is not MISSING
        if is_awaited and not still_awaited:
            update["$unset"] = {"expected_echo": 1}
        if "messages" in match and "$size" in match["messages"]:
            match = {"$and": [{"messages": match.pop("messages")}, match]}
        try:
            if not self._update(match, update, f"storing a message of session {state.chat_id!r}"):
                return None
        except _DocumentTooLarge:
            return NoRoom(len(message.raw))
        after: Document = {**guard.match, "last_sequence": {"$eq": sequence}, **running}
        if not still_awaited:
            after["expected_echo"] = MISSING
        after.pop("messages", None)
        guard.variant.messages_type = "array"
        known = Guard(after, guard.run, guard.paused, guard.variant)
        status = SessionStatus.RUNNING
        echo = state.expected_echo if still_awaited else None
        state = replace(state, status=status, last_sequence=sequence, expected_echo=echo, guard=known)
        state = replace(state, addressed_to=addressed_to)
        return Appended(state, len(message.raw))

    def note_echo(self, state: ChatState, turn: AgentTurn, run: int, event_id: str, at: datetime) -> ChatState | None:
        """Remember the event as the awaited echo of a run, which has one at the most; the chat runs."""
        ids = id_values(event_id)
        if self._is_in_segments(state, event_id):
            return None
        match = {**state.guard.match, "echoes.event_id": {"$nin": ids}, "echoes.run": {"$ne": run}}
        match = {"$and": [match, {"messages.event_id": {"$nin": ids}}]}
        echo = {"run": run, "event_id": event_id}
        update: Document = {
            "$set": {"updated_at": at},
            "$push": {"echoes": {"$each": [echo], "$slice": _KEPT_ECHOES}},
        }
        if state.expected_echo is not None and state.expected_echo.run == run:
            update["$unset"] = {"expected_echo": 1}
        if state.is_at_start and turn.recipient is not None:
            update["$set"]["addressed_to"] = turn.recipient
        made_running(state, update)
        return self._changed(state, match, update, "noting the resumed message")

    def open_run(self, state: ChatState, echo: ExpectedEcho | None, running: bool, at: datetime) -> ChatState | None:
        """Begin the next run, which may begin with an echo."""
        guard: Guard = state.guard
        match = {**guard.match, **guard.run}
        started = {"run": state.run + 1, "last_sequence": state.last_sequence, "at": at}
        update: Document = {"$set": {"current_run": state.run + 1, "run_start": started}}
        update["$unset"] = {"addressed_to": 1}  # its first turn tells
        if echo is None:
            update["$unset"] |= {"expected_echo": 1}
        else:
            update["$set"]["expected_echo"] = {
                "run": echo.run,
                "sender": echo.sender,
                "fingerprint": echo.fingerprint,
                "manager": echo.manager,
            }
        if running:
            update["$set"]["updated_at"] = at
            made_running(state, update)
        return self._changed(state, match, update, "starting a run")

    def change(self, state: ChatState, change: StatusChange, at: datetime) -> ChatState | None:
        """Change a chat's status; None also where the run was ended by that event before."""
        guard: Guard = state.guard
        match = {"_id": guard.match["_id"], "status": guard.match["status"], **guard.run, **guard.paused}
        fields: Document = {"updated_at": at}
        update: Document = {"$set": fields}
        if change.status is not None:
            fields |= guard.variant.fields_of(change.status)
            if change.status is SessionStatus.COMPLETED:
                fields["completed_at"] = at
            if change.status is SessionStatus.FAILED:
                fields |= {"failed_at": at, "failure_reason": change.reason}
        if change.paused:
            fields |= {"paused": True, "pause_reason": change.reason, "paused_at": at}
        elif change.paused is False:
            fields["paused"] = False
        if change.ends_run is not None:
            match["run_ends.event_id"] = {"$ne": change.ends_run}
            end = {"run": state.run, "event_id": change.ends_run}
            update["$push"] = {"run_ends": {"$each": [end], "$slice": _KEPT_ENDS}}
        return self._changed(state, match, update, "changing the status")

    def _changed(self, state: ChatState, match: Document, update: Document, doing: str) -> ChatState | None:
        if not self._update(match, update, f"{doing} of session {state.chat_id!r}"):
            return None
        with driver_errors(f"looking up session {state.chat_id!r} in {self._name}"):
            found = self._facts({"_id": {"$eq": state.guard.match["_id"]}})
        return None if found is None else self._state(state.chat_id, found)

    def _update(self, match: Document, update: Document, doing: str) -> bool:
        """Whether a document matched and was changed."""
        doing = f"{doing} in {self._name}"
        with driver_errors(doing):
            if self._connection.in_memory:
                return self._sessions.update_one(match, plain_update(update)).matched_count == 1
            # The bare command costs half of what update_one does. Where its answer is lost it is sent again: had it
            # been carried out, its guard does not match any more, and the caller looks.
            command = {
                "update": self._name,
                "updates": [{"q": match, "u": update}],
                "writeConcern": self._write_concern,
            }
            options = self._sessions.codec_options
            try:
                answer = self._connection.database.command(command, codec_options=options)
            except driver.ConnectionFailure:
                answer = self._connection.database.command(command, codec_options=options)
        _check(answer, doing)
        return int(answer.get("n", 0)) == 1


def reading_from_primary(connection: Connection) -> Connection:
    """The same connection for what is going to be written upon: what a secondary knows may be too old for that."""
    if connection.in_memory:
        return connection
    primary = connection.database.with_options(read_preference=ReadPreference.PRIMARY)
    return replace(connection, database=primary)


class _DocumentTooLarge(Exception):
    """The server will not let the document grow so far."""


def _check(answer: Mapping[str, Any], doing: str) -> None:
    for failure in answer.get("writeErrors", ()):
        code = failure.get("code")
        if code in _TOO_LARGE:
            raise _DocumentTooLarge
        if code in RETRYABLE_CODES:
            raise Unreachable(what=f"{doing}: {failure.get('errmsg', '')}", hint="Try again.")
        if code == 13:
            raise NotAllowed(what=f"{doing}: {failure.get('errmsg', '')}", hint="Check user, password and roles.")
        if code in _WRONG_TYPES:
            # `echoes` or `run_ends`, which only chatstore writes, is no list.
            why = str(failure.get("errmsg", ""))[:200]
            raise Conflict(what=f"{doing}: {why}", hint="Nothing was written; mend that document first.")
        raise ChatstoreError(what=f"{doing}: {str(failure.get('errmsg', ''))[:300]} (code {code})")
    if unsure := answer.get("writeConcernError"):
        raise Unreachable(what=f"{doing}: {unsure.get('errmsg', 'not acknowledged')}.", hint="Try again.")
