"""Documents of the workflow layout as chatstore writes them: a document's state, the guard of a change, a message's shape.

Pure: nothing here reads the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import bson
from bson.raw_bson import RawBSONDocument

from chatstore_cli.domain.errors import DocumentRefused
from chatstore_cli.domain.segments import HARD_LIMIT_BYTES
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import ChatState, ExpectedEcho, NewChat
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.session_documents.documents import to_session
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.workflow.shape import WORKFLOW

_STATE_FIELDS = (
    "last_sequence", "last_segment", "moved_messages", "last_move", "current_run", "run_start", "expected_echo",
    "addressed_to",
)  # fmt: skip
_SIZE = {"$cond": [{"$isArray": "$messages"}, {"$size": "$messages"}, None]}
_SEQUENCES = {"$cond": [{"$isArray": "$messages"}, "$messages.sequence", []]}
_HIGHEST = {"$max": {"$filter": {"input": _SEQUENCES, "cond": {"$isNumber": "$$this"}}}}
_IS_NUMBERED = {"$in": [{"$type": "$last_sequence"}, ["int", "long"]]}
WRITING_FACTS: Document = {
    **dict.fromkeys((*WORKFLOW.fact_fields, *_STATE_FIELDS), 1),
    "messages_type": {"$type": "$messages"},
    # Only a document without `last_sequence` is searched for its highest sequence.
    "message_count": {"$cond": [_IS_NUMBERED, None, _SIZE]},
    "highest": {"$cond": [_IS_NUMBERED, None, _HIGHEST]},
}
"""The projection that is read from a document before it is changed."""

_MESSAGE_LIMIT = HARD_LIMIT_BYTES - 16 * 1024
"""The rest is for the other fields of the document."""

_STATUS_WORDS = {
    SessionStatus.COMPLETED: "completed",
    SessionStatus.FAILED: "failed",
    SessionStatus.RUNNING: "in_progress",
}
_STATUS_NUMBERS = {SessionStatus.COMPLETED: 1, SessionStatus.FAILED: -1, SessionStatus.RUNNING: 0}
MISSING = {"$exists": False}


def state_of(chat_id: str, facts: Document, highest_elsewhere: int) -> ChatState:
    """The state of a session, from the facts of its document and the highest sequence in segments of other writers."""
    session = to_session(WORKFLOW, facts)
    last_sequence = whole_number(facts.get("last_sequence"))
    fields = ("last_sequence", "last_segment", "moved_messages", "last_move", "status", "expected_echo")
    guard: Document = {"_id": facts["_id"], **unchanged(facts, fields)}
    if facts["messages_type"] == "null":
        guard["messages"] = {"$type": "null"}
    if last_sequence is None:
        size = facts.get("message_count")
        if size is not None:
            guard["messages"] = {"$size": size}
        last_sequence = max(size or 0, whole_number(facts.get("highest")) or 0, highest_elsewhere)
    run_start = facts.get("run_start")
    run = max(1, whole_number(facts.get("current_run")) or 1)
    started = run_start if isinstance(run_start, dict) and run_start.get("run") == run else {}
    return ChatState(
        chat_id=session.session_id,
        tenant_id=session.tenant_id,
        has_unreadable_tenant=session.tenant_id is None
        and any(facts.get(field) not in (None, "") for field in TENANT_FIELDS),
        user_id=session.user_id,
        workflow=session.workflow,
        status=session.status,
        paused=session.paused,
        run=run,
        run_start=whole_number(started.get("last_sequence")),
        last_sequence=max(0, last_sequence),
        last_segment=whole_number(facts.get("last_segment")) or 0,
        expected_echo=_echo(facts.get("expected_echo")),
        addressed_to=addressed if isinstance(addressed := facts.get("addressed_to"), str) else None,
        guard=Guard(guard, unchanged(facts, ("current_run",)), unchanged(facts, ("paused",)), Variant(facts)),
    )


class Variant:
    """How a document stores its status (numbers, words, further fields), and the BSON type of its `messages`."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.messages_type: str = facts["messages_type"]
        stored = facts.get("status")
        self._running = stored if stored == "running" else _STATUS_WORDS[SessionStatus.RUNNING]
        self._uses_words = isinstance(stored, str)
        self._failed = (
            2 if "app_id" in facts and "enterprise_id" not in facts else _STATUS_NUMBERS[SessionStatus.FAILED]
        )
        tracked = facts.get("real_time_tracking")
        self._has_flag = isinstance(facts.get("is_complete"), bool)
        self._has_current = isinstance(tracked, dict) and isinstance(tracked.get("current_status"), str)

    def value_of(self, status: SessionStatus) -> int | str:
        """The stored value of a status."""
        if status is SessionStatus.FAILED and not self._uses_words:
            return self._failed
        if status is SessionStatus.RUNNING and self._uses_words:
            return self._running
        return (_STATUS_WORDS if self._uses_words else _STATUS_NUMBERS)[status]

    def fields_of(self, status: SessionStatus) -> Document:
        """All fields that hold a status, each as the application reads it."""
        fields: Document = {"status": self.value_of(status)}
        if self._has_flag:
            fields["is_complete"] = status is SessionStatus.COMPLETED
        if self._has_current:
            fields["real_time_tracking.current_status"] = str(status)
        return fields


class Guard(NamedTuple):
    """Filters that the next change of a document requires, and the variant in which it is written."""

    match: Document
    run: Document
    paused: Document
    variant: Variant


def unchanged(facts: Mapping[str, Any], fields: Sequence[str]) -> Document:
    """A filter that requires these fields to be as they were read."""
    return {field: {"$eq": facts[field]} if field in facts else MISSING for field in fields}


def set_running(state: ChatState, update: Document) -> Document:
    """Add the status running to an update if the session has another one; returns the changed fields of the guard."""
    if state.status is SessionStatus.RUNNING:
        return {}
    fields = state.guard.variant.fields_of(SessionStatus.RUNNING)
    update["$set"] |= fields
    return {"status": {"$eq": fields["status"]}}


def message_document(turn: AgentTurn, event_id: str, sequence: int, timestamp: datetime) -> Document:
    """The stored message of a turn."""
    message: Document = {
        "sender": turn.name,
        "content": turn.content,
        "role": turn.role,
        "timestamp": timestamp,
        "event_type": turn.event_type,
        "event_id": event_id,
        "sequence": sequence,
    }
    if turn.recipient is not None:
        message["metadata"] = {"recipient": turn.recipient}
    if turn.tool_calls is not None:
        message["tool_calls"] = turn.tool_calls
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.tool_responses is not None:
        message["tool_responses"] = turn.tool_responses
    return message


def encoded_message(message: Document, chat_id: str) -> RawBSONDocument:
    """The encoded message. Raises DocumentRefused if it is too large for any document."""
    with driver_errors(f"Message {message['event_id']!r} of session {chat_id!r}"):
        raw = bson.encode(message)
    if len(raw) > _MESSAGE_LIMIT:
        raise DocumentRefused(
            where=f"Message {message['event_id']!r} of session {chat_id!r}",
            reason=f"{len(raw):,} bytes as a document, over the limit of 16 MiB",
        )
    return RawBSONDocument(raw)


def plain_update(update: Document) -> Document:
    """The update with messages as plain documents, for mongomock."""
    return {
        operator: {
            field: dict(bson.decode(value.raw)) if isinstance(value, RawBSONDocument) else value
            for field, value in fields.items()
        }
        for operator, fields in update.items()
    }


def facts_of(document: Document) -> Document:
    """The facts of a whole document, as the server computes them."""
    messages = document.get("messages")
    kind = "missing" if "messages" not in document else "null" if messages is None else "array"
    if messages is not None and not isinstance(messages, list):
        kind = type(messages).__name__
    facts = {**document, "messages_type": kind, "message_count": None, "highest": None}
    if isinstance(messages, list) and whole_number(document.get("last_sequence")) is None:
        numbers = [whole_number(each.get("sequence")) for each in messages if isinstance(each, dict)]
        facts["message_count"] = len(messages)
        facts["highest"] = max([number for number in numbers if number is not None], default=None)
    return facts


def _echo(stored: Any) -> ExpectedEcho | None:
    if not isinstance(stored, dict):
        return None
    run, texts = whole_number(stored.get("run")), [stored.get(name) for name in ("sender", "fingerprint", "manager")]
    sender, fingerprint, manager = (text if isinstance(text, str) else None for text in texts)
    if run is None or sender is None or fingerprint is None:
        return None
    return ExpectedEcho(run, sender, fingerprint, sender if manager is None else manager)


def new_document(chat: NewChat, created_at: datetime) -> Document:
    """The document of a session without messages; it has no `_id` yet."""
    return {
        "chat_id": chat.chat_id,
        "enterprise_id": chat.tenant_id,
        "user_id": chat.user_id,
        "workflow_name": chat.workflow,
        "created_at": created_at,
        "updated_at": created_at,
        "status": 0,
        "real_time_tracking": {
            "tokens": {"total_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0, "total_cost": 0.0}
        },
        "messages": [],
        "last_sequence": 0,
        "current_run": 1,
    }
