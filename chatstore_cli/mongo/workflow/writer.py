"""Writing documents of the workflow layout, each change one guarded atomic update.

Never a pipeline update: it would evaluate what a message contains. A document of another variant keeps its fields: with a
message it gets `last_sequence`, `updated_at` and, if its status changes, the status as its application writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pymongo.errors as driver
from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed, Unreachable
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import Appended, ChatState, ExpectedEcho, NewChat, StatusChange
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.collections import collation_warning
from chatstore_cli.mongo.connection import RETRYABLE_CODES, Connection, Document, driver_errors
from chatstore_cli.mongo.exact import exactly, own_collation, reject_equal_id, text_range
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.tombstones import TOMBSTONES, deleted_sessions
from chatstore_cli.mongo.workflow.new_documents import (
    MISSING,
    WRITING_FACTS,
    Guard,
    encoded_message,
    facts_of,
    message_document,
    new_document,
    plain_update,
    set_running,
    state_of,
)
from chatstore_cli.mongo.workflow.own_sessions import OWN_SESSIONS
from chatstore_cli.mongo.workflow.shape import LAYOUT, WORKFLOW

_TOO_LARGE = {10334, 17280, 17419, 17420}
_TYPE_MISMATCHES = {2, 14, 28}
_MAX_SEQUENCE = 2**53
_KEPT_ENDS = -200
_KEPT_ECHOES = -1000


class MongoChatWriter:
    """A ChatWriter of the sessions of one collection, and of the segments that may hold their oldest messages."""

    def __init__(
        self, connection: Connection, settings: Settings, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """`warn` is called once if the collection has a collation."""
        self._warn = warn
        self._warned = False
        self._connection = connection = connection.reading_from_primary()
        self._collection = collection = SessionCollection(WORKFLOW, connection, settings)
        self._name, self._sessions, self._segments = collection.name, collection.sessions, collection.segments
        self._write_concern = self._sessions.write_concern.document

    def load(self, chat_id: str) -> ChatState | None:
        return self._state(chat_id, self._collection.locate(chat_id, WRITING_FACTS))

    def _state(self, chat_id: str, row: Document | None) -> ChatState | None:
        if row is None:
            return None
        facts = facts_of(row) if self._connection.in_memory else row
        is_numbered = whole_number(facts.get("last_sequence")) is not None
        return state_of(chat_id, facts, 0 if is_numbered else self._highest_in_segments(chat_id))

    def _highest_in_segments(self, chat_id: str) -> int:
        """The highest sequence in segments of another writer, whose document does not have it."""
        highest = 0
        own = own_collation(self._segments)
        of_session = {"_id": text_range(own, f"{chat_id}:", f"{chat_id};")}
        with driver_errors(f"looking up session {chat_id!r} in {self._segments.name}"):
            for row in self._segments.find(of_session, {"messages.sequence": 1}, **own):
                if str(row["_id"]).rpartition(":")[0] != chat_id:
                    continue  # a segment of a session named `<id>:...`
                stored = row.get("messages")
                elements = [each for each in stored if isinstance(each, dict)] if isinstance(stored, list) else []
                highest = max([highest, *(whole_number(each.get("sequence")) or 0 for each in elements)])
        return highest

    def is_deleted(self, chat_id: str) -> bool:
        with driver_errors(f"looking up session {chat_id!r} in {TOMBSTONES}"):
            return bool(deleted_sessions(self._connection, LAYOUT, [chat_id]))

    def holds_event(self, state: ChatState, event_id: str) -> bool:
        is_event = {"$in": id_values(event_id)}
        match = {
            "_id": state.guard.match["_id"],
            "$or": [{"messages.event_id": is_event}, {"echoes.event_id": is_event}],
        }
        with driver_errors(f"looking up an event of session {state.chat_id!r} in {self._name}"):
            if self._sessions.find_one(match, {"_id": 1}) is not None:
                return True
        return self._is_in_segments(state, event_id)

    def _is_in_segments(self, state: ChatState, event_id: str) -> bool:
        if not state.last_segment:
            return False
        with driver_errors(f"looking up an event of session {state.chat_id!r} in {self._segments.name}"):
            is_event = {"chat_id": state.chat_id, "messages.event_id": {"$in": id_values(event_id)}}
            match = {**is_event, "segment": {"$not": {"$gt": state.last_segment}}}
            if self._connection.in_memory:
                return self._segments.find_one(match, {"_id": 1}) is not None
            # Each append to a long session does this, and the bare command costs less than find_one.
            match, option = exactly(self._segments, match)
            command = {"count": self._segments.name, "query": match, "limit": 1, **option}
            return int(self._command_twice(command)["n"]) > 0

    def has_ended(self, state: ChatState, event_id: str) -> bool:
        ended = {"_id": state.guard.match["_id"], "run_ends.event_id": event_id}
        with driver_errors(f"looking up the runs of session {state.chat_id!r} in {self._name}"):
            return self._sessions.find_one(ended, {"_id": 1}) is not None

    def create(self, chat: NewChat, now: datetime) -> ChatState | None:
        self._check_collection()
        document = new_document(chat, now)
        # The _id comes from the session's id, so that two who create it at once collide even without an index on chat_id.
        document["_id"] = ObjectId(hashlib.sha256(chat.chat_id.encode()).digest()[:12])
        with driver_errors(f"creating session {chat.chat_id!r} in {self._name}"):
            try:
                self._sessions.insert_one(document)
            except driver.DuplicateKeyError:
                reject_equal_id(self._sessions, "chat_id", chat.chat_id)
                return None
        if self.is_deleted(chat.chat_id):
            # It was deleted between the look-up and the insertion. Nobody has written to this document yet.
            with driver_errors(f"deleting session {chat.chat_id!r} in {self._name}"):
                self._sessions.delete_one({"_id": document["_id"], "last_sequence": 0})
            return None
        return self._state(chat.chat_id, facts_of(document))

    def claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        unclaimed: Document = {"_id": state.guard.match["_id"]}
        owner: Document = {}
        if state.tenant_id is None:
            unclaimed |= dict.fromkeys(TENANT_FIELDS)
            owner[TENANT_FIELDS[0]] = chat.tenant_id
        for field, stored, given in (
            ("user_id", state.user_id, chat.user_id),
            ("workflow_name", state.workflow, chat.workflow),
        ):
            if stored is None and given is not None:
                unclaimed[field] = None
                owner[field] = given
        return self._change(state, unclaimed, {"$set": owner}, "storing the owner")

    def append(
        self, state: ChatState, turn: AgentTurn, event_id: str, now: datetime, *, still_awaited: bool = False
    ) -> Appended | DocumentFull | None:
        guard: Guard = state.guard
        kind = guard.variant.messages_type
        if kind not in {"array", "missing", "null"}:
            what = f"Session {state.chat_id!r}: its field `messages` is of type {kind}, not an array."
            raise Conflict(what=what, hint="Nothing was written. Repair the document, then try again.")
        sequence = state.last_sequence + 1
        if sequence > _MAX_SEQUENCE:
            raise Conflict(
                what=f"Session {state.chat_id!r}: no number follows its last sequence, {state.last_sequence:,}.",
                hint="Nothing was written. Repair `sequence` and `last_sequence` in the document, then try again.",
            )
        message = encoded_message(message_document(turn, event_id, sequence, now), state.chat_id)
        ids = id_values(event_id)
        if self._is_in_segments(state, event_id):
            return None
        is_other = {"$nin": ids} if len(ids) > 1 else {"$ne": ids[0]}
        match = {**guard.match, "echoes.event_id": is_other}
        update: Document = {"$set": {"last_sequence": sequence, "updated_at": now}}
        if kind == "null":
            update["$set"]["messages"] = [message]
        else:
            match["messages.event_id"] = is_other
            update["$push"] = {"messages": message}
        running = set_running(state, update)
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
            return DocumentFull(len(message.raw))
        next_match: Document = {**guard.match, "last_sequence": {"$eq": sequence}, **running}
        if not still_awaited:
            next_match["expected_echo"] = MISSING
        next_match.pop("messages", None)
        guard.variant.messages_type = "array"
        next_state = replace(
            state,
            status=SessionStatus.RUNNING,
            last_sequence=sequence,
            expected_echo=state.expected_echo if still_awaited else None,
            addressed_to=addressed_to,
            guard=Guard(next_match, guard.run, guard.paused, guard.variant),
        )
        return Appended(next_state, len(message.raw))

    def note_echo(self, state: ChatState, turn: AgentTurn, run: int, event_id: str, now: datetime) -> ChatState | None:
        ids = id_values(event_id)
        if self._is_in_segments(state, event_id):
            return None
        match = {**state.guard.match, "echoes.event_id": {"$nin": ids}, "echoes.run": {"$ne": run}}
        match = {"$and": [match, {"messages.event_id": {"$nin": ids}}]}
        echo = {"run": run, "event_id": event_id}
        update: Document = {"$set": {"updated_at": now}, "$push": {"echoes": {"$each": [echo], "$slice": _KEPT_ECHOES}}}
        if state.expected_echo is not None and state.expected_echo.run == run:
            update["$unset"] = {"expected_echo": 1}
        if state.is_at_start and turn.recipient is not None:
            update["$set"]["addressed_to"] = turn.recipient
        set_running(state, update)
        return self._change(state, match, update, "storing the resumed message")

    def open_run(self, state: ChatState, echo: ExpectedEcho | None, running: bool, now: datetime) -> ChatState | None:
        guard: Guard = state.guard
        match = {**guard.match, **guard.run}
        started = {"run": state.run + 1, "last_sequence": state.last_sequence, "at": now}
        update: Document = {"$set": {"current_run": state.run + 1, "run_start": started}}
        update["$unset"] = {"addressed_to": 1}  # the run's first turn sets it
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
            update["$set"]["updated_at"] = now
            set_running(state, update)
        return self._change(state, match, update, "starting a run")

    def change(self, state: ChatState, change: StatusChange, now: datetime) -> ChatState | None:
        guard: Guard = state.guard
        match = {"_id": guard.match["_id"], "status": guard.match["status"], **guard.run, **guard.paused}
        fields: Document = {"updated_at": now}
        update: Document = {"$set": fields}
        if change.status is not None:
            fields |= guard.variant.fields_of(change.status)
            if change.status is SessionStatus.COMPLETED:
                fields["completed_at"] = now
            if change.status is SessionStatus.FAILED:
                fields |= {"failed_at": now, "failure_reason": change.reason}
        if change.paused:
            fields |= {"paused": True, "pause_reason": change.reason, "paused_at": now}
        elif change.paused is False:
            fields["paused"] = False
        if change.ends_run is not None:
            match["run_ends.event_id"] = {"$ne": change.ends_run}
            end = {"run": state.run, "event_id": change.ends_run}
            update["$push"] = {"run_ends": {"$each": [end], "$slice": _KEPT_ENDS}}
        return self._change(state, match, update, "changing the status")

    def _change(self, state: ChatState, match: Document, update: Document, doing: str) -> ChatState | None:
        if not self._update(match, update, f"{doing} of session {state.chat_id!r}"):
            return None
        with driver_errors(f"looking up session {state.chat_id!r} in {self._name}"):
            same = {"_id": {"$eq": state.guard.match["_id"]}}
            row = self._collection.first(same, WRITING_FACTS)
        return self._state(state.chat_id, row)

    def _update(self, match: Document, update: Document, doing: str) -> bool:
        """Update one document; returns whether a document matched."""
        doing = f"{doing} in {self._name}"
        self._check_collection()
        with driver_errors(doing):
            if self._connection.in_memory:
                return self._sessions.update_one(match, plain_update(update)).matched_count == 1
            # The bare command costs half as much as update_one. If its answer is lost, it is sent again: if the first
            # one took effect, the guard no longer matches, and the caller reads the document again.
            match, option = exactly(self._sessions, match)
            command = {
                "update": self._name,
                "updates": [{"q": match, "u": update, **option}],
                "writeConcern": self._write_concern,
            }
            answer = self._command_twice(command)
        _raise_failure(answer, doing)
        return int(answer.get("n", 0)) == 1

    def _check_collection(self) -> None:
        warning = collation_warning(require_writable(self._connection, self._name, OWN_SESSIONS))
        if warning is not None and not self._warned:
            self._warned = True
            self._warn(warning)

    def _command_twice(self, command: Document) -> Document:
        """The answer to a command, which is sent once more if the connection fails: the driver does not do that."""
        options = self._sessions.codec_options
        try:
            return self._connection.database.command(command, codec_options=options)
        except driver.ConnectionFailure:
            return self._connection.database.command(command, codec_options=options)


class _DocumentTooLarge(Exception):
    """The server rejected an update because the document would be over 16 MiB."""


def _raise_failure(answer: Mapping[str, Any], doing: str) -> None:
    for failure in answer.get("writeErrors", ()):
        code = failure.get("code")
        if code in _TOO_LARGE:
            raise _DocumentTooLarge
        if code in RETRYABLE_CODES:
            raise Unreachable(what=f"{doing}: {failure.get('errmsg', '')}", hint="Try again.")
        if code == 13:
            raise NotAllowed(what=f"{doing}: {failure.get('errmsg', '')}", hint="Check user, password and roles.")
        if code in _TYPE_MISMATCHES:
            # `echoes` or `run_ends`, which only chatstore writes, is not an array.
            reason = str(failure.get("errmsg", ""))[:200]
            raise Conflict(what=f"{doing}: {reason}", hint="Nothing was written. Repair the document, then try again.")
        raise ChatstoreError(what=f"{doing}: {str(failure.get('errmsg', ''))[:300]} (code {code})")
    if concern_error := answer.get("writeConcernError"):
        raise Unreachable(what=f"{doing}: {concern_error.get('errmsg', 'not acknowledged')}.", hint="Try again.")
