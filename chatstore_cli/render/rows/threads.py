"""Threads and their messages as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.threads.spoken import spoken
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, count, plain
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS, message_count

if TYPE_CHECKING:
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
    from chatstore_cli.domain.threads.results import AddedLines, ThreadRemoval, ThreadView


def listed_thread_row(session: Session) -> dict[str, Any]:
    """One thread of a list. With `message_count_capped` it has more messages than `message_count`."""
    return {
        "thread_id": session.session_id,
        "tenant_id": session.tenant_id,
        "user_id": session.user_id,
        "title": session.title,
        "created_at": rfc3339(session.created_at),
        "updated_at": rfc3339(session.updated_at),
        "message_count": session.message_count,
        "message_count_capped": session.message_count_capped,
    }


def thread_row(thread: ChatThread) -> dict[str, Any]:
    """One thread without its messages. `forked_from` is null unless it is a fork."""
    origin = thread.forked_from
    return {
        "thread_id": thread.id,
        "tenant_id": thread.org_id,
        "user_id": thread.user_id,
        "title": thread.name,
        "created_at": rfc3339(thread.created_at),
        "updated_at": rfc3339(thread.updated_at),
        "forked_from": None if origin is None else {"thread_id": origin.thread_id, "sequence": origin.sequence},
    }


def thread_message_row(message: ChatMessage) -> dict[str, Any]:
    """One message. `content` is its text, or its object if it is not a text. `edits` has former contents, the oldest first."""
    content, metadata = spoken(message.content)
    return {
        "message_id": message.id,
        "sequence": message.sequence,
        "role": message.sender_role,
        "name": message.sender_id,
        "content": content,
        "created_at": rfc3339(message.created_at),
        "updated_at": rfc3339(message.updated_at),
        "metadata": metadata,
        "edits": [{**spoken(edit.content)._asdict(), "edited_at": rfc3339(edit.edited_at)} for edit in message.edits],
    }


def changed_message_row(message: ChatMessage) -> dict[str, Any]:
    """One message that was added or edited, with its thread."""
    return {"thread_id": message.chat_thread_id, **thread_message_row(message)}


def thread_view_row(view: ThreadView) -> dict[str, Any]:
    """One thread with its first and last messages."""
    return {
        **thread_row(view.thread),
        "message_count": view.message_count,
        "first_messages": [thread_message_row(message) for message in view.first_messages],
        "last_messages": [thread_message_row(message) for message in view.last_messages],
    }


def added_row(thread_id: str, added: AddedLines) -> dict[str, Any]:
    """How many messages were added to a thread, and their sequence numbers."""
    return {
        "thread_id": thread_id,
        "messages": added.messages,
        "first_sequence": added.first_sequence,
        "last_sequence": added.last_sequence,
    }


def thread_removal_row(removal: ThreadRemoval, result: str) -> dict[str, Any]:
    """A thread that was deleted, or whose messages were. With the result `planned` it would be."""
    return {
        "thread_id": removal.thread.id,
        "title": removal.thread.name,
        "deleted": not removal.messages_only,
        "messages_deleted": removal.messages,
        "result": result,
    }


def _forked_from(value: Any) -> str:
    return "" if value is None else f"{value['thread_id']} at message {value['sequence']:,}"


def _edits(value: Any) -> str:
    return str(len(value)) if value else ""


THREAD_COLUMNS = (
    Column("thread_id", "THREAD", whole=True),
    Column("tenant_id", "TENANT"),
    Column("user_id", "USER", spare=4),
    Column("title", "NAME", spare=1),
    Column("message_count", "MESSAGES", align="right", show_row=message_count, spare=3),
    Column("message_count_capped", "CAPPED", in_table=False),
    Column("created_at", "CREATED", is_time=True, in_table=False),
    Column("updated_at", "UPDATED", is_time=True, whole=True, spare=2),
)
CHANGED_THREAD_FIELDS = (
    Column("thread_id", "Thread"),
    Column("tenant_id", "Tenant"),
    Column("user_id", "User"),
    Column("title", "Name"),
    Column("created_at", "Created", is_time=True),
    Column("updated_at", "Updated", is_time=True),
    Column("forked_from", "Forked from", show=_forked_from),
)
THREAD_FIELDS = (
    *CHANGED_THREAD_FIELDS,
    Column("message_count", "Messages", show=count),
    Column("first_messages", "First messages", in_table=False),
    Column("last_messages", "Last messages", in_table=False),
)
COPIED_THREAD_FIELDS = (*CHANGED_THREAD_FIELDS, Column("messages", "Messages", show=count))
THREAD_MESSAGE_COLUMNS = (
    Column("message_id", "MESSAGE", whole=True, spare=4),
    *MESSAGE_COLUMNS,
    Column("updated_at", "UPDATED", is_time=True, in_table=False),
    Column("metadata", "METADATA", in_table=False),
    Column("edits", "EDITS", in_table=False),
)
THREAD_MESSAGE_FIELDS = (
    Column("message_id", "Message"),
    Column("thread_id", "Thread"),
    Column("sequence", "Sequence"),
    Column("role", "Role"),
    Column("name", "Name"),
    Column("content", "Content"),
    Column("created_at", "Created", is_time=True),
    Column("updated_at", "Updated", is_time=True),
    Column("metadata", "Metadata", show=lambda value: plain(value) if value else ""),
    Column("edits", "Edits", show=_edits),
)
ADDED_FIELDS = (
    Column("thread_id", "Thread"),
    Column("messages", "Messages", show=count),
    Column("first_sequence", "First sequence"),
    Column("last_sequence", "Last sequence"),
)
REMOVAL_COLUMNS = (
    Column("thread_id", "THREAD"),
    Column("title", "NAME"),
    Column("deleted", "THREAD DELETED"),
    Column("messages_deleted", "MESSAGES DELETED", align="right", show=count),
    Column("result", "RESULT", whole=True),
)
EXPORT_FIELDS = (
    Column("thread_id", "Thread"),
    Column("messages", "Messages", show=count),
    Column("file", "File"),
)
