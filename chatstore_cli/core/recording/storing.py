"""Stores recorded messages with the Storer of flush-cache: both give a message the same `_id`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from chatstore_cli.core.flush.occurrences import WindowedCount
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.flush.storing import Storer, StoringRules
from chatstore_cli.core.recording.validation import (
    canonical_time,
    check_role_and_text,
    has_lone_surrogate,
    storable_metadata,
)
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.recording import DEFAULT_SESSION, RetryCallbacks, Stored
from chatstore_cli.domain.tombstones import Tombstone

LOG = logging.getLogger("chatstore.storage")


class _OneState(dict[str, SourceState]):
    """One state for all journals: a process that records does not read any of them again."""

    def __init__(self, state: SourceState) -> None:
        super().__init__()
        self._state = state

    def __missing__(self, source: str) -> SourceState:
        return self._state


class NewMessages:
    """A MessageStorage over the messages layout, for one thread at a time. An outage is retried for `seconds` seconds."""

    def __init__(
        self,
        store: MessageStore,
        rules: StoringRules,
        retries: RetryCallbacks,
        *,
        seconds: float = math.inf,
        on_deleted: Callable[[str, Tombstone], object] | None = None,
    ) -> None:
        """`on_deleted` is called with each session of the messages that was deleted on purpose, and its tombstone."""
        self._store = store
        self._retry_policy = RetryPolicy(seconds, say=retries.say, pause=retries.pause, reach=store.reach)
        self._say = retries.say
        self._state = SourceState(refuse=lambda entry, reason: self._refused.append((entry, reason)))
        self._states = _OneState(self._state)
        self._refused: list[tuple[Entry, str]] = []
        self._storer = Storer(store, rules, self._retry_policy, on_deleted=on_deleted)
        self._prepared = False

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Store the messages, each exactly once. Raises Unreachable if an outage lasts longer than `seconds`."""
        if not self._prepared:
            self._retry_policy.call(self._store.prepare)
            for warning in self._retry_policy.call(self._store.warnings):
                LOG.warning("[CHAT STORAGE] %s", warning)
            self._prepared = True
        self._refused = []
        skipped_before = self._state.skipped
        stored = self._storer.store_new(entries, self._states)
        skipped = self._state.skipped - skipped_before
        already = len(entries) - stored - skipped - len(self._refused)
        return Stored(len(entries), stored, already, skipped, tuple(self._refused))


def entries_of(messages: Sequence[Message]) -> list[Entry]:
    """Messages as entries of a journal. The `_id` is computed from the `message_id` if there is one, else from the content.

    Raises BadValue for the first message that cannot be stored as a flat message.
    """
    counting = WindowedCount(window=max(1, len(messages)))
    return [_entry(message, number, counting) for number, message in enumerate(messages, 1)]


def _entry(message: Message, number: int, counting: WindowedCount) -> Entry:
    session_id = message.session_id or DEFAULT_SESSION
    check_role_and_text(message.role, message.content)
    for name, text in (("session_id", session_id), ("message_id", message.message_id or ""), ("text", message.content)):
        if text.__class__ is not str or has_lone_surrogate(text):
            raise BadValue(name=name, value=str(text)[:60], expected="text that can be stored")
    if message.created_at is None:
        raise BadValue(name="created_at", value=None, expected="a time: messages are ordered by it")
    fields: dict[str, Any] = {
        "session_id": session_id,
        "role": message.role,
        "text": message.content,
        "metadata": storable_metadata(message.metadata),
        "vector_ids": [],
        "created_at": canonical_time(message.created_at),
    }
    for name in ("message_id", "name", "event_type", "source", "tool_calls", "tool_call_id"):
        if (value := getattr(message, name)) is not None:
            fields[name] = value
    if message.reply_to is not None:
        fields |= message.reply_to.to_fields()
    prefix = session_prefix(session_id)
    if message.message_id:
        key = b""
        identity = identity_by_message_id(prefix, session_id, message.message_id)
    else:
        key = content_key(session_id, message.role, fields["created_at"], message.content)
        identity = identity_by_content(prefix, key, counting.number(key, fields["created_at"]))
    place = number if message.sequence is None else message.sequence
    return Entry("given", identity, key, fields["created_at"], fields, place, 0, b"")
