"""Documents of the workflow layout as chatstore writes them: a session's state, the guard of a change, a message's shape.

Pure: nothing here reads the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import ChatState, ExpectedEcho, NewChat
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.session_documents.documents import to_session
from chatstore_cli.mongo.session_documents.heads import Head, unchanged
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.workflow.shape import WORKFLOW

STATE_FIELDS = ("current_run", "run_start", "expected_echo", "addressed_to")
"""The fields that are read from a document besides the facts of a session and the place of its newest message."""

_STATUS_WORDS = {
    SessionStatus.COMPLETED: "completed",
    SessionStatus.FAILED: "failed",
    SessionStatus.RUNNING: "in_progress",
}
_STATUS_NUMBERS = {SessionStatus.COMPLETED: 1, SessionStatus.FAILED: -1, SessionStatus.RUNNING: 0}


def state_of(facts: Document, head: Head) -> ChatState:
    """The state of a session, from the facts of its document and its head."""
    session = to_session(WORKFLOW, facts)
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
        last_sequence=head.last_sequence,
        last_segment=head.last_segment,
        expected_echo=_echo(facts.get("expected_echo")),
        addressed_to=addressed if isinstance(addressed := facts.get("addressed_to"), str) else None,
        guard=Guard(head, unchanged(facts, ("current_run",)), unchanged(facts, ("paused",)), Variant(facts)),
    )


class Variant:
    """How a document stores its status: numbers, words, further fields."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
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
    """The head, further filters that some changes require, and the variant in which they are written."""

    head: Head
    run: Document
    paused: Document
    variant: Variant


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
    if turn.source is not None:
        message["source"] = turn.source
    if turn.recipient is not None:
        message["metadata"] = {"recipient": turn.recipient}
    if turn.tool_calls is not None:
        message["tool_calls"] = turn.tool_calls
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.tool_responses is not None:
        message["tool_responses"] = turn.tool_responses
    return message


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
        **({} if chat.client_request_id is None else {"client_request_id": chat.client_request_id}),
    }
