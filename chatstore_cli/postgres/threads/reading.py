"""Queries for threads and messages. Each has the condition on the owner in itself."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Select, exists, func, select

from chatstore_cli.core.threads.summaries import SUMMARY_ROLE, is_summary
from chatstore_cli.domain.threads.models import ChatMessage
from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.postgres.database import ROWS_AT_ONCE, PostgresDatabase
from chatstore_cli.postgres.schema import MESSAGES, THREADS, indexed_owner
from chatstore_cli.postgres.threads.rows import to_message

Conditions = list[ColumnElement[bool]]


def owned_by(owner: Owner) -> Conditions:
    """The conditions for the threads of an owner. The index serves the first one of each."""
    conditions: Conditions = []
    for column, value in ((THREADS.c.user_id, owner.user_id), (THREADS.c.org_id, owner.org_id)):
        if value is not None:
            conditions += [indexed_owner(column) == value[:200], column == value]
    return conditions


def thread_of(thread_id: str, owner: Owner) -> Conditions:
    """The conditions for one thread of an owner."""
    return [THREADS.c.id == thread_id, *owned_by(owner)]


def message_of(message_id: str, owner: Owner) -> Select[tuple[object, ...]]:
    """The query for one message of an owner."""
    of_message = MESSAGES.c.chat_thread_id == THREADS.c.id
    return select(MESSAGES).join(THREADS, of_message).where(MESSAGES.c.id == message_id, *owned_by(owner))


def messages_of(database: PostgresDatabase, thread_id: str, window: Window, owner: Owner) -> Iterator[ChatMessage]:
    """The messages of a window in ascending order. More than 1,000 are streamed, over one connection of the pool."""
    query = _in_window(thread_id, window, owner)
    doing = f"reading the messages of thread {thread_id!r}"
    if window.limit is not None and window.limit <= ROWS_AT_ONCE:
        yield from database.read(doing, lambda connection: [to_message(row) for row in connection.execute(query)])
        return
    with database.reading(doing) as connection:
        for row in connection.execute(query):
            yield to_message(row)


def newest_summary(database: PostgresDatabase, thread_id: str, owner: Owner) -> ChatMessage | None:
    """The message of the highest sequence that is a summary."""
    may_be_summary = (
        MESSAGES.c.sender_role == SUMMARY_ROLE,
        func.jsonb_typeof(MESSAGES.c.content["metadata"]["summary"]) == "object",
    )
    query = select(MESSAGES).where(*_in_thread(thread_id, owner), *may_be_summary).order_by(MESSAGES.c.sequence.desc())
    with database.reading(f"looking for a summary of thread {thread_id!r}") as connection:
        return next(filter(is_summary, map(to_message, connection.execute(query))), None)


def _in_thread(thread_id: str, owner: Owner) -> Conditions:
    """The thread is looked up once, not joined, so the messages come in the order of their index."""
    return [MESSAGES.c.chat_thread_id == thread_id, exists().where(*thread_of(thread_id, owner))]


def _in_window(thread_id: str, window: Window, owner: Owner) -> Select[tuple[object, ...]]:
    query = select(MESSAGES).where(*_in_thread(thread_id, owner))
    if window.after_sequence is not None:
        query = query.where(MESSAGES.c.sequence > window.after_sequence)
    if window.up_to_sequence is not None:
        query = query.where(MESSAGES.c.sequence <= window.up_to_sequence)
    from_end = window.newest and (window.limit is not None or window.offset > 0)
    query = query.order_by(MESSAGES.c.sequence.desc() if from_end else MESSAGES.c.sequence)
    if window.offset > 0:
        query = query.offset(window.offset)
    if window.limit is not None:
        query = query.limit(max(1, window.limit))
    if from_end:
        part = query.subquery()
        query = select(part).order_by(part.c.sequence)
    return query
