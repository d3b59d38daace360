"""Checks of an imported thread, which keeps its ids, times, sequences and former contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from chatstore_cli.core.threads.checks import (
    MAX_SEQUENCE,
    checked_content,
    checked_id,
    checked_old_text,
    size_of,
)
from chatstore_cli.core.threads.edits import MAX_MESSAGE_BYTES
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom
from chatstore_cli.domain.times import to_milliseconds


def imported_thread(thread: ChatThread) -> ChatThread:
    """The thread as it will be stored, without messages. Raises InvalidThreadData."""
    parent = thread.forked_from
    return thread.model_copy(
        update={
            "id": checked_id(thread.id, "id"),
            "user_id": checked_old_text(thread.user_id, "user_id"),
            "org_id": checked_old_text(thread.org_id, "org_id"),
            "name": checked_old_text(thread.name, "name"),
            "created_at": _as_stored(thread.created_at, "created_at"),
            "updated_at": _as_stored(thread.updated_at, "updated_at"),
            "chat_messages": [],
            "forked_from": None
            if parent is None
            else ForkedFrom(
                thread_id=checked_id(parent.thread_id, "forked_from.thread_id"),
                sequence=_checked_sequence(parent.sequence, "forked_from.sequence"),
            ),
        }
    )


def imported_messages(thread_id: str, messages: Iterable[ChatMessage]) -> Iterator[ChatMessage]:
    """The messages as they will be stored, one at a time. Raises InvalidThreadData."""
    last = 0
    for message in messages:
        # Threads that fluxibly wrote have no sequences, so their order is that of the list.
        last = message.sequence if message.sequence > last else last + 1
        content, size = checked_content(message.content)
        edits = [_imported_edit(edit, f"edits[{number}]") for number, edit in enumerate(message.edits)]
        if size + sum(size_of(edit.content) for edit in edits) > MAX_MESSAGE_BYTES:
            limit = f"{MAX_MESSAGE_BYTES >> 20} MiB"
            raise InvalidThreadData(what=f"edits: the message exceeds {limit} together with its former contents.")
        yield message.model_copy(
            update={
                "id": checked_id(message.id, "id"),
                "chat_thread_id": thread_id,
                "sender_id": None if message.sender_id is None else checked_old_text(message.sender_id, "sender_id"),
                "sender_role": checked_old_text(message.sender_role, "sender_role"),
                "content": content,
                "created_at": _as_stored(message.created_at, "created_at"),
                "updated_at": _as_stored(message.updated_at, "updated_at"),
                "sequence": _checked_sequence(last, "sequence"),
                "edits": edits,
            }
        )


def _imported_edit(edit: Edit, path: str) -> Edit:
    edited_at = _as_stored(edit.edited_at, f"{path}.edited_at")
    return Edit(content=checked_content(edit.content, f"{path}.content")[0], edited_at=edited_at)


def _checked_sequence(sequence: int, path: str) -> int:
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise InvalidThreadData(what=f"{path}: {sequence:,} is not a number from 0 to 2**53.")
    return sequence


def _as_stored(instant: datetime, path: str) -> datetime:
    """An instant in UTC in whole milliseconds. One without a zone is in UTC."""
    try:
        return to_milliseconds(instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC))
    except OverflowError as error:
        raise InvalidThreadData(what=f"{path}: {instant} is not in the years 1 to 9999 in UTC.") from error
