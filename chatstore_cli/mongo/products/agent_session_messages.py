"""The stored messages of a Python agent's sessions, one document each, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from pymongo.collection import Collection

from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.threads.turns import turn
from chatstore_cli.mongo.agent_sessions.documents import IN_ORDER, OWN_AGENT_MESSAGES
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, document_id_condition, id_text
from chatstore_cli.mongo.indexed_types import NOT_A_DATE

_PER_ANSWER = 1_000
_FROM_LAST = [(field, -1) for field, _ in IN_ORDER]


class StoredAgentMessages:
    """Reads the messages of sessions from their collection."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool) -> None:
        self._messages = messages
        self._in_memory = in_memory

    def read(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """The selected messages, streamed."""
        condition = _of(session_id)
        if selection.after_sequence is not None:
            condition["sequence"] = {"$gt": selection.after_sequence}
        if not selection.include_general:
            condition["metadata.source"] = {"$ne": GENERAL_AGENT}
        if selection.last is None:
            messages = self._streamed(session_id, condition, IN_ORDER, selection.first or _PER_ANSWER)
        else:
            messages = self._newest(session_id, condition, selection.last)
        return islice(messages, selection.first)

    def from_second(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages from the second of this instant on; None if a time is not a date, so that no index has the order."""
        if not self._has_dates_only(session_id):
            return None
        second = instant.replace(microsecond=0)
        return self._streamed(session_id, {**_of(session_id), "created_at": {"$gte": second}}, IN_ORDER, at_once)

    def until_second(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages up to the end of this instant's second, newest first; None as for `from_second`."""
        if not self._has_dates_only(session_id):
            return None
        last = instant.replace(microsecond=999_000)
        return self._streamed(session_id, {**_of(session_id), "created_at": {"$lte": last}}, _FROM_LAST, at_once)

    def _has_dates_only(self, session_id: str) -> bool:
        others = {**_of(session_id), "$or": [{"created_at": each} for each in NOT_A_DATE]}
        with driver_errors(self._doing(session_id)):
            return not self._in_memory and self._messages.find_one(others, {"_id": 1}) is None

    def _streamed(
        self, session_id: str, condition: Document, order: Sequence[tuple[str, int]], at_once: int
    ) -> Iterator[Message]:
        with driver_errors(self._doing(session_id)):
            for document in self._messages.find(condition).sort(order).batch_size(at_once):
                yield to_message(session_id, document)

    def _newest(self, session_id: str, condition: Document, count: int) -> Iterator[Message]:
        if count <= 0:
            return
        with driver_errors(self._doing(session_id)):
            for document in reversed(list(self._messages.find(condition).sort(_FROM_LAST).limit(count))):
                yield to_message(session_id, document)

    def _doing(self, session_id: str) -> str:
        return f"reading session {session_id!r} in {self._messages.name}"


def _of(session_id: str) -> Document:
    return {"session_id": document_id_condition(session_id), **OWN_AGENT_MESSAGES.filter()}


def to_message(session_id: str, document: Document) -> Message:
    """One message. Its fields are those of a provider's API, at its top or in its content."""
    content = document.get("content")
    message = turn(
        session_id,
        content,
        role=document.get("role"),
        message_id=id_text(document.get("_id")),
        sequence=whole_number(document.get("sequence")),
        sender=addressable_id(document.get("name")),
        created_at=stored_instant(document.get("created_at")),
        plain=json_value,
    )
    calls, call_id, metadata = (document.get(name) for name in ("tool_calls", "tool_call_id", "metadata"))
    if isinstance(calls, list):
        message = message._replace(tool_calls=json_value(calls))
    if isinstance(call_id, str):
        message = message._replace(tool_call_id=str(call_id))
    if isinstance(metadata, dict):
        message = message._replace(metadata={**json_value(metadata), **message.metadata})
    return message
