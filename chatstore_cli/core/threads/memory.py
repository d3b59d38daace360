"""Threads and messages in memory, for tests, demonstrations and a StateManager without a repository."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from threading import RLock
from typing import TYPE_CHECKING, Any

from chatstore_cli.core.threads.edits import edited
from chatstore_cli.core.threads.repetition import is_repetition, message_exists, thread_exists
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.core.threads.summaries import is_summary
from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.domain.times import Clock, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from chatstore_cli.domain.threads.models import ChatMessage, ChatThread

_sequence = attrgetter("sequence")


class MemoryThreadStore:
    """A ThreadStore in plain memory, safe for several operating system threads. Its contents end with the process.

    Stored objects are never changed, only replaced. Callers receive copies of them. So a reader needs the lock only until it
    has the list of the messages that it will copy.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._threads: dict[str, ChatThread] = {}
        self._messages: dict[str, list[ChatMessage]] = {}
        """Per thread, in ascending order of `sequence`."""
        self._by_id: dict[str, ChatMessage] = {}
        self._last_sequences: dict[str, int] = {}
        """Per thread. The sequence of a deleted message is not used again."""

    def counts(self) -> tuple[int, int]:
        """How many threads and how many messages are stored."""
        with self._lock:
            return len(self._threads), len(self._by_id)

    def insert_thread(self, thread: ChatThread) -> None:
        with self._lock:
            if thread.id in self._threads:
                raise thread_exists(thread.id)
            self._insert(thread, [])

    def find_thread(self, thread_id: str, owner: Owner) -> ChatThread | None:
        with self._lock:
            thread = self._owned(thread_id, owner)
        return None if thread is None else _copy_of_thread(thread)

    def change_thread(
        self, thread_id: str, changes: Mapping[str, str], updated_at: datetime, owner: Owner
    ) -> ChatThread | None:
        with self._lock:
            thread = self._owned(thread_id, owner)
            if thread is None:
                return None
            updates = {**changes, "updated_at": max(updated_at, thread.updated_at)}
            changed = self._threads[thread_id] = thread.model_copy(update=updates)
        return _copy_of_thread(changed)

    def remove_thread(self, thread_id: str, owner: Owner) -> bool:
        with self._lock:
            if self._owned(thread_id, owner) is None:
                return False
            self.clear_messages(thread_id, owner)
            for each in (self._threads, self._messages, self._last_sequences):
                del each[thread_id]
            return True

    def newest_threads(self, owner: Owner, limit: int) -> list[ChatThread]:
        with self._lock:
            found = [thread for thread in self._threads.values() if owner.owns(thread)]
        found.sort(key=attrgetter("updated_at", "id"), reverse=True)
        return [_copy_of_thread(thread) for thread in found[:limit]]

    def add_messages(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> list[ChatMessage] | None:
        with self._lock:
            thread = self._owned(thread_id, owner)
            if thread is None:
                return None
            known = [self._known(message) for message in messages]
            last = self._last_sequences[thread_id]
            added: list[ChatMessage] = []
            for message, stored in zip(messages, known, strict=True):
                if stored is None:
                    added.append(_copy_of_message(message, sequence=last + len(added) + 1))
            self._store(thread_id, added)
            stored_messages = [self._by_id[message.id] for message in messages]
            self._touch(thread, max(message.created_at for message in added or stored_messages))
        return [_copy_of_message(message) for message in stored_messages]

    def messages(self, thread_id: str, window: Window, owner: Owner) -> Iterator[ChatMessage]:
        with self._lock:
            found = _part(self._messages[thread_id], window) if self._owned(thread_id, owner) else []
        return (_copy_of_message(message) for message in found)

    def find_message(self, message_id: str, owner: Owner) -> ChatMessage | None:
        with self._lock:
            found = self._owned_message(message_id, owner)
        return None if found is None else _copy_of_message(found[0])

    def replace_content(
        self, message_id: str, content: Mapping[str, Any], edited_at: datetime, owner: Owner
    ) -> ChatMessage | None:
        with self._lock:
            found = self._owned_message(message_id, owner)
            if found is None:
                return None
            message, thread = found
            changed = edited(message, _copy_of_json(content), edited_at)
            if changed is not message:
                messages = self._messages[thread.id]
                messages[_place(messages, message)] = self._by_id[message_id] = changed
                self._touch(thread, edited_at)
        return _copy_of_message(changed)

    def remove_message(self, message_id: str, removed_at: datetime, owner: Owner) -> bool:
        with self._lock:
            found = self._owned_message(message_id, owner)
            if found is None:
                return False
            message, thread = found
            messages = self._messages[thread.id]
            del messages[_place(messages, message)], self._by_id[message_id]
            self._touch(thread, removed_at)
            return True

    def clear_messages(self, thread_id: str, owner: Owner) -> int:
        with self._lock:
            if self._owned(thread_id, owner) is None:
                return 0
            removed, self._messages[thread_id] = self._messages[thread_id], []
            for message in removed:
                del self._by_id[message.id]
            return len(removed)

    def newest_summary(self, thread_id: str, owner: Owner) -> ChatMessage | None:
        with self._lock:
            messages = self._messages[thread_id] if self._owned(thread_id, owner) else []
            found = next((message for message in reversed(messages) if is_summary(message)), None)
        return None if found is None else _copy_of_message(found)

    def insert_whole_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> None:
        copies = [_copy_of_message(message) for message in messages]
        with self._lock:
            if thread.id in self._threads:
                raise thread_exists(thread.id)
            ids: set[str] = set()
            for message in copies:
                if message.id in self._by_id or message.id in ids:
                    raise message_exists(message.id)
                ids.add(message.id)
            self._insert(thread, copies)

    def _insert(self, thread: ChatThread, messages: list[ChatMessage]) -> None:
        self._threads[thread.id] = _copy_of_thread(thread)
        self._messages[thread.id], self._last_sequences[thread.id] = [], 0
        self._store(thread.id, messages)

    def _store(self, thread_id: str, messages: list[ChatMessage]) -> None:
        self._messages[thread_id] += messages
        self._by_id.update((message.id, message) for message in messages)
        if messages:
            self._last_sequences[thread_id] = messages[-1].sequence

    def _owned(self, thread_id: str, owner: Owner) -> ChatThread | None:
        thread = self._threads.get(thread_id)
        return thread if thread is not None and owner.owns(thread) else None

    def _owned_message(self, message_id: str, owner: Owner) -> tuple[ChatMessage, ChatThread] | None:
        message = self._by_id.get(message_id)
        thread = None if message is None else self._owned(message.chat_thread_id, owner)
        return None if message is None or thread is None else (message, thread)

    def _known(self, message: ChatMessage) -> ChatMessage | None:
        stored = self._by_id.get(message.id)
        if stored is not None and not is_repetition(stored, message):
            raise message_exists(message.id)
        return stored

    def _touch(self, thread: ChatThread, instant: datetime) -> None:
        self._threads[thread.id] = thread.model_copy(update={"updated_at": max(instant, thread.updated_at)})


class MockConversationRepository(StoredConversations):
    """A ConversationRepository in plain memory, which needs no database."""

    def __init__(self, *, strict_roles: bool = True, clock: Clock = utc_now) -> None:
        """With `strict_roles` False a message may have any role, else only user, assistant, system and tool."""
        self._memory = MemoryThreadStore()
        super().__init__(self._memory, strict_roles=strict_roles, clock=clock)

    def get_stats(self) -> dict[str, int]:
        """How many threads and messages are stored. `total_thread_messages` equals `messages`."""
        threads, messages = self._memory.counts()
        return {"threads": threads, "messages": messages, "total_thread_messages": messages}


def _part(messages: list[ChatMessage], window: Window) -> list[ChatMessage]:
    first, end = 0, len(messages)
    if window.after_sequence is not None:
        first = bisect_right(messages, window.after_sequence, key=_sequence)
    if window.up_to_sequence is not None:
        end = bisect_right(messages, window.up_to_sequence, key=_sequence)
    limit = end - first if window.limit is None else window.limit
    if window.newest:
        end -= window.offset
        return messages[max(first, end - limit) : max(first, end)]
    first += window.offset
    return messages[first : min(end, first + limit)]


def _place(messages: list[ChatMessage], message: ChatMessage) -> int:
    return bisect_left(messages, message.sequence, key=_sequence)


def _copy_of_thread(thread: ChatThread) -> ChatThread:
    parent = thread.forked_from
    return thread.model_copy(
        update={"chat_messages": [], "forked_from": None if parent is None else parent.model_copy()}
    )


def _copy_of_message(message: ChatMessage, **changes: Any) -> ChatMessage:
    copy = message.model_copy(update={"content": _copy_of_json(message.content), **changes})
    copy.edits = [edit.model_copy(update={"content": _copy_of_json(edit.content)}) for edit in message.edits]
    return copy


def _copy_of_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy_of_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy_of_json(item) for item in value]
    return value
