"""Threads and their messages in PostgreSQL. Each change is one transaction, which locks the row of its thread first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from chatstore_cli.core.threads.edits import edited
from chatstore_cli.core.threads.repetition import thread_exists
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.schema import MESSAGES, THREADS
from chatstore_cli.postgres.threads.adding import Addition, insert_whole_thread
from chatstore_cli.postgres.threads.reading import message_of, messages_of, newest_summary, owned_by, thread_of
from chatstore_cli.postgres.threads.rows import message_row, thread_row, to_message, to_thread


class PostgresThreadStore:
    """A ThreadStore over one PostgreSQL database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def insert_thread(self, thread: ChatThread) -> None:
        def insert_row(connection: Connection) -> bool:
            row = insert(THREADS).values(thread_row(thread, 0)).on_conflict_do_nothing().returning(THREADS.c.id)
            return connection.scalar(row) is not None

        if not self._database.change("creating a thread", insert_row):
            raise thread_exists(thread.id)

    def find_thread(self, thread_id: str, owner: Owner) -> ChatThread | None:
        query = select(THREADS).where(*thread_of(thread_id, owner))

        def find(connection: Connection) -> ChatThread | None:
            row = connection.execute(query).first()
            return None if row is None else to_thread(row)

        return self._database.read(f"looking up thread {thread_id!r}", find)

    def change_thread(
        self, thread_id: str, changes: Mapping[str, str], updated_at: datetime, owner: Owner
    ) -> ChatThread | None:
        statement = (
            update(THREADS)
            .where(*thread_of(thread_id, owner))
            .values({**changes, "updated_at": func.greatest(THREADS.c.updated_at, updated_at)})
            .returning(THREADS)
        )

        def change(connection: Connection) -> ChatThread | None:
            row = connection.execute(statement).first()
            return None if row is None else to_thread(row)

        return self._database.change(f"changing thread {thread_id!r}", change)

    def remove_thread(self, thread_id: str, owner: Owner) -> bool:
        statement = delete(THREADS).where(*thread_of(thread_id, owner))  # the foreign key deletes its messages

        def remove(connection: Connection) -> bool:
            return connection.execute(statement).rowcount > 0

        return self._database.change(f"deleting thread {thread_id!r}", remove, takes_long=True)

    def newest_threads(self, owner: Owner, limit: int) -> list[ChatThread]:
        newest_first = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
        query = select(THREADS).where(*owned_by(owner)).order_by(*newest_first).limit(limit)
        return self._database.read(
            "listing threads", lambda connection: [to_thread(row) for row in connection.execute(query)]
        )

    def add_messages(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> list[ChatMessage] | None:
        addition = Addition(thread_id, messages, owner)
        return self._database.change(f"adding messages to thread {thread_id!r}", addition.add)

    def messages(self, thread_id: str, window: Window, owner: Owner) -> Iterator[ChatMessage]:
        return messages_of(self._database, thread_id, window, owner)

    def find_message(self, message_id: str, owner: Owner) -> ChatMessage | None:
        query = message_of(message_id, owner)

        def find(connection: Connection) -> ChatMessage | None:
            row = connection.execute(query).first()
            return None if row is None else to_message(row)

        return self._database.read(f"looking up message {message_id!r}", find)

    def replace_content(
        self, message_id: str, content: Mapping[str, Any], edited_at: datetime, owner: Owner
    ) -> ChatMessage | None:
        def replace(connection: Connection) -> ChatMessage | None:
            if not _lock_thread_of(connection, message_id, owner):
                return None
            row = connection.execute(message_of(message_id, owner)).first()
            if row is None:
                return None
            message = to_message(row)
            changed = edited(message, dict(content), edited_at)
            if changed is not message:
                values = message_row(changed)
                connection.execute(update(MESSAGES).where(MESSAGES.c.id == message_id).values(values))
                _touch(connection, message.chat_thread_id, edited_at)
            return changed

        return self._database.change(f"editing message {message_id!r}", replace)

    def remove_message(self, message_id: str, removed_at: datetime, owner: Owner) -> bool:
        def remove(connection: Connection) -> bool:
            if not _lock_thread_of(connection, message_id, owner):
                return False
            statement = delete(MESSAGES).where(MESSAGES.c.id == message_id).returning(MESSAGES.c.chat_thread_id)
            thread_id = connection.scalar(statement)
            if thread_id is None:
                return False
            _touch(connection, thread_id, removed_at)
            return True

        return self._database.change(f"deleting message {message_id!r}", remove)

    def clear_messages(self, thread_id: str, owner: Owner) -> int:
        lock = select(THREADS.c.id).where(*thread_of(thread_id, owner)).with_for_update(key_share=True)
        statement = delete(MESSAGES).where(MESSAGES.c.chat_thread_id == thread_id)

        def clear(connection: Connection) -> int:
            return 0 if connection.scalar(lock) is None else connection.execute(statement).rowcount

        return self._database.change(f"clearing thread {thread_id!r}", clear, takes_long=True)

    def newest_summary(self, thread_id: str, owner: Owner) -> ChatMessage | None:
        return newest_summary(self._database, thread_id, owner)

    def insert_whole_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> None:
        insert_whole_thread(self._database, thread, messages)


def _lock_thread_of(connection: Connection, message_id: str, owner: Owner) -> bool:
    """Lock the row of a message's thread until the transaction ends. Returns whether the owner has such a message."""
    of_message = MESSAGES.c.chat_thread_id == THREADS.c.id
    query = select(THREADS.c.id).join(MESSAGES, of_message).where(MESSAGES.c.id == message_id, *owned_by(owner))
    return connection.scalar(query.with_for_update(of=THREADS, key_share=True)) is not None


def _touch(connection: Connection, thread_id: str, instant: datetime) -> None:
    newest = func.greatest(THREADS.c.updated_at, instant)
    connection.execute(update(THREADS).where(THREADS.c.id == thread_id).values(updated_at=newest))
