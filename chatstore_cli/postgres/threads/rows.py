"""Rows of the tables as threads and messages, and the reverse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import JSON, Connection, Row, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DBAPIError

from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.postgres.json_text import to_json_text
from chatstore_cli.postgres.key_order import in_key_order, key_order
from chatstore_cli.postgres.schema import MESSAGES


def thread_row(thread: ChatThread, last_sequence: int) -> dict[str, Any]:
    """The row of a thread."""
    parent = thread.forked_from
    return {
        "id": thread.id,
        "user_id": thread.user_id,
        "org_id": thread.org_id,
        "name": thread.name,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "last_sequence": last_sequence,
        "forked_from_thread_id": None if parent is None else parent.thread_id,
        "forked_from_sequence": None if parent is None else parent.sequence,
    }


def message_row(message: ChatMessage) -> dict[str, Any]:
    """The row of a message."""
    return {
        "id": message.id,
        "chat_thread_id": message.chat_thread_id,
        "sender_id": message.sender_id,
        "sender_role": message.sender_role,
        "content": message.content,
        "key_order": key_order(message.content),
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "sequence": message.sequence,
        "edits": edit_values(message),
    }


def _insertion() -> Insert:
    """A statement with one parameter for any number of messages: the driver would take longer over one for each value."""
    columns = [column(each.name, Text() if isinstance(each.type, Text) else each.type) for each in MESSAGES.c]
    rows = func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
    given = select(rows.table_valued(*columns).render_derived(with_types=True))
    return insert(MESSAGES).from_select(columns, given)


_INSERTION_OF_NEW = _insertion().on_conflict_do_nothing().returning(MESSAGES.c.id)
_COLUMNS = [each.name for each in MESSAGES.c]
_JSON_COLUMNS = ("content", "key_order", "edits")
_COPY = f"COPY {MESSAGES.name} ({', '.join(_COLUMNS)}) FROM STDIN"


def insert_messages(connection: Connection, messages: Sequence[ChatMessage]) -> None:
    """Insert messages. If an id or a sequence is taken, the database raises an error, and the transaction is lost.

    COPY takes half of the time of an INSERT. SQLAlchemy does not know it, so its errors are raised as those of a statement.
    """
    driver_connection: Any = connection.connection.driver_connection
    try:
        with driver_connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for message in messages:
                row = message_row(message)
                for name in _JSON_COLUMNS:
                    row[name] = None if row[name] is None else to_json_text(row[name])
                copy.write_row([row[name] for name in _COLUMNS])
    except psycopg.Error as error:
        raise DBAPIError(_COPY, None, error) from error


def insert_new_messages(connection: Connection, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Insert messages. Returns those that were not, because their id or their sequence is taken. It takes longer."""
    inserted = set(connection.scalars(_INSERTION_OF_NEW, _parameters(messages)))
    return [message for message in messages if message.id not in inserted]


def _parameters(messages: Sequence[ChatMessage]) -> dict[str, str]:
    return {"rows": to_json_text([message_row(message) for message in messages])}


def edit_values(message: ChatMessage) -> list[dict[str, Any]] | None:
    """The former contents of a message as a JSON value; None without any."""
    return [{"content": edit.content, "edited_at": rfc3339(edit.edited_at)} for edit in message.edits] or None


def to_thread(row: Row[Any]) -> ChatThread:
    """The thread of a row, without messages."""
    parent = row.forked_from_thread_id
    return ChatThread.model_construct(
        id=row.id,
        user_id=row.user_id,
        org_id=row.org_id,
        name=row.name,
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.updated_at.astimezone(UTC),
        chat_messages=[],
        forked_from=None if parent is None else ForkedFrom(thread_id=parent, sequence=row.forked_from_sequence or 0),
    )


def to_message(row: Sequence[Any]) -> ChatMessage:
    """The message of a row. The table has its types, so nothing is validated once more."""
    identity, thread_id, sender_id, role, content, order, created_at, updated_at, sequence, edits = row
    return ChatMessage.model_construct(
        id=identity,
        chat_thread_id=thread_id,
        sender_id=sender_id,
        sender_role=role,
        content=in_key_order(content, order) if isinstance(content, dict) else {"value": content},
        created_at=created_at.astimezone(UTC),
        updated_at=updated_at.astimezone(UTC),
        sequence=sequence,
        edits=[
            Edit(content=edit["content"], edited_at=datetime.fromisoformat(edit["edited_at"]).astimezone(UTC))
            for edit in edits or ()
        ],
    )
