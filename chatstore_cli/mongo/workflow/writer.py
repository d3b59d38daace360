"""Writing documents of the workflow layout, each change one guarded atomic update.

A document of another variant keeps its fields: with a message it gets `last_sequence`, `updated_at` and, if its status
changes, the status as its application writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import Appended, ChatState, ExpectedEcho, NewChat, StatusChange
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.session_documents.encoding import encoded_message
from chatstore_cli.mongo.session_documents.heads import MISSING, Head, facts_of
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.session_documents.writing import DocumentWriter, other_than
from chatstore_cli.mongo.workflow.new_documents import (
    STATE_FIELDS,
    Guard,
    message_document,
    new_document,
    set_running,
    state_of,
)
from chatstore_cli.mongo.workflow.shape import WORKFLOW

_KEPT_ENDS = -200
_KEPT_ECHOES = -1000


class MongoChatWriter:
    """A ChatWriter of the sessions of one collection, and of the segments that may hold their oldest messages."""

    def __init__(
        self, connection: Connection, settings: Settings, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """`warn` is called once if the collection has a collation."""
        guarded = ("status", "expected_echo")
        self._documents = documents = DocumentWriter(
            WORKFLOW, connection, settings, warn, facts=STATE_FIELDS, guarded=guarded
        )
        self._name, self._sessions = documents.name, documents.collection.sessions

    def load(self, chat_id: str) -> ChatState | None:
        located = self._documents.facts_shared(chat_id)
        if located is None:
            return None
        return replace(state_of(located.row, self._documents.head(located.row)), shared_id=located.shared_id)

    def _state(self, facts: Document | None) -> ChatState | None:
        return None if facts is None else state_of(facts, self._documents.head(facts))

    def is_deleted(self, chat_id: str) -> bool:
        return self._documents.is_deleted(chat_id)

    def holds_event(self, state: ChatState, event_id: str) -> bool:
        head: Head = state.guard.head
        is_event = {"$in": id_values(event_id)}
        match = {"_id": head.document_id, "$or": [{"messages.event_id": is_event}, {"echoes.event_id": is_event}]}
        with driver_errors(f"looking up an event of session {state.chat_id!r} in {self._name}"):
            if self._sessions.find_one(match, {"_id": 1}) is not None:
                return True
        return self._documents.is_in_segments(head, event_id)

    def has_ended(self, state: ChatState, event_id: str) -> bool:
        ended = {"_id": state.guard.head.document_id, "run_ends.event_id": event_id}
        with driver_errors(f"looking up the runs of session {state.chat_id!r} in {self._name}"):
            return self._sessions.find_one(ended, {"_id": 1}) is not None

    def create(self, chat: NewChat, now: datetime) -> ChatState | None:
        document = new_document(chat, now)
        # The _id comes from the session's id, so that two who create it at once collide even without an index on chat_id.
        document["_id"] = ObjectId(hashlib.sha256(chat.chat_id.encode()).digest()[:12])
        is_created = self._documents.create(chat.chat_id, document, "chat_id")
        return self._state(facts_of(document)) if is_created else None

    def claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        unclaimed: Document = {"_id": state.guard.head.document_id}
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
        head, documents = guard.head, self._documents
        sequence = head.next_sequence()
        message = encoded_message(message_document(turn, event_id, sequence, now), state.chat_id)
        if documents.is_in_segments(head, event_id):
            return None
        update: Document = {"$set": {}}
        running = set_running(state, update)
        addressed_to = state.addressed_to
        if state.is_at_start and turn.recipient is not None:
            addressed_to = update["$set"]["addressed_to"] = turn.recipient
        is_awaited = head.match["expected_echo"] is not MISSING
        if is_awaited and not still_awaited:
            update["$unset"] = {"expected_echo": 1}
        no_echo = {"echoes.event_id": other_than(event_id)}
        appended = documents.append(head, message, event_id, now, match=no_echo, update=update)
        if isinstance(appended, DocumentFull):
            return appended
        if not appended:
            return None
        next_state = replace(
            state,
            status=SessionStatus.RUNNING,
            last_sequence=sequence,
            expected_echo=state.expected_echo if still_awaited else None,
            addressed_to=addressed_to,
            guard=guard._replace(
                head=head.after(sequence, running if still_awaited else {**running, "expected_echo": MISSING})
            ),
        )
        return Appended(next_state, len(message.raw))

    def note_echo(self, state: ChatState, turn: AgentTurn, run: int, event_id: str, now: datetime) -> ChatState | None:
        ids, head = id_values(event_id), state.guard.head
        if self._documents.is_in_segments(head, event_id):
            return None
        match = {**head.match, "echoes.event_id": {"$nin": ids}, "echoes.run": {"$ne": run}}
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
        match = {**guard.head.match, **guard.run}
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
        head = guard.head
        match = {"_id": head.document_id, "status": head.match["status"], **guard.run, **guard.paused}
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
        if not self._documents.update(match, update, f"{doing} of session {state.chat_id!r}"):
            return None
        return self._state(self._documents.facts_again(state.guard.head))
