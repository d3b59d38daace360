"""Adding messages: to the end of a thread, or together with a new thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from chatstore_cli.core.threads.checks import MAX_SEQUENCE, size_of
from chatstore_cli.core.threads.repetition import is_repetition, message_exists, thread_exists
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.errors import Repeat
from chatstore_cli.postgres.schema import MESSAGES, THREADS
from chatstore_cli.postgres.threads.reading import thread_of
from chatstore_cli.postgres.threads.rows import insert_messages, insert_new_messages, thread_row, to_message

_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 1_000, 12 * 1024 * 1024


class Addition:
    """One call that adds messages to a thread. `add` may run several times."""

    def __init__(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> None:
        self._messages = messages
        self._condition = thread_of(thread_id, owner)
        self._is_first_attempt = True
        """Most messages are new. The first attempt expects that, and only a further one looks at what is stored."""
        self._stored: dict[str, ChatMessage] = {}
        """Messages that are stored already."""

    def add(self, connection: Connection) -> list[ChatMessage] | None:
        """Add those that are not stored yet, in one transaction. None if the thread does not exist.

        Raises Conflict; Repeat if it found out only now which messages are stored.
        """
        new = [message for message in self._messages if message.id not in self._stored]
        if new:
            added = self._insert(connection, new)
        else:
            added = [] if connection.scalar(select(THREADS.c.id).where(*self._condition)) is not None else None
        if added is None:
            return None
        all_stored = {**self._stored, **{message.id: message for message in added}}
        return [all_stored[message.id] for message in self._messages]

    def _insert(self, connection: Connection, new: list[ChatMessage]) -> list[ChatMessage] | None:
        newest = max(message.created_at for message in new)
        # Another program may have inserted messages, so `last_sequence` alone does not decide.
        highest = select(func.max(MESSAGES.c.sequence)).where(MESSAGES.c.chat_thread_id == THREADS.c.id)
        values = {
            "last_sequence": func.greatest(THREADS.c.last_sequence, highest.scalar_subquery()) + len(new),
            "updated_at": func.greatest(THREADS.c.updated_at, newest),
        }
        statement = update(THREADS).where(*self._condition).values(values).returning(THREADS.c.last_sequence)
        last = connection.scalar(statement)
        if last is None:
            return None
        if last > MAX_SEQUENCE:
            raise Conflict(
                what=f"No sequence follows the last one of the thread, {last - len(new):,}. Nothing was written.",
                hint="Copy its messages to another thread.",
            )
        for sequence, message in enumerate(new, last - len(new) + 1):
            message.sequence = sequence
        if self._is_first_attempt:
            self._is_first_attempt = False
            insert_messages(connection, new)
            return new
        rejected = insert_new_messages(connection, new)
        if rejected:
            self._stored.update(_stored_repetitions(connection, rejected))
            raise Repeat
        return new


def insert_whole_thread(database: PostgresDatabase, thread: ChatThread, messages: Iterable[ChatMessage]) -> None:
    """Store a thread and its messages in one transaction. Raises Conflict.

    The first batch is read before the transaction begins, so most forks need one connection at a time. Further ones cannot be
    read again, so the transaction of a longer thread is not repeated.
    """
    batches = _batches(messages)
    first = next(batches, [])
    second = next(batches, None)

    def store(connection: Connection) -> bool:
        row = insert(THREADS).values(thread_row(thread, 0)).on_conflict_do_nothing().returning(THREADS.c.id)
        if connection.scalar(row) is None:
            return False
        last = 0
        for batch in [first] if second is None else chain([first, second], batches):
            rejected = insert_new_messages(connection, batch)
            if rejected:
                raise Conflict(
                    what=f"Thread {thread.id!r} was not created: a message with the id {rejected[0].id!r} is stored, or the "
                    "thread has two messages of one sequence.",
                )
            last = max([last, *(message.sequence for message in batch)])
        connection.execute(update(THREADS).where(THREADS.c.id == thread.id).values(last_sequence=last))
        return True

    doing = f"creating thread {thread.id!r}"
    if not database.change(doing, store, repeatable=second is None):
        raise thread_exists(thread.id)


def _stored_repetitions(connection: Connection, messages: Iterable[ChatMessage]) -> dict[str, ChatMessage]:
    """Those of the messages that are stored, as stored. Raises Conflict if another message has one of the ids."""
    given = {message.id: message for message in messages}
    stored = [to_message(row) for row in connection.execute(select(MESSAGES).where(MESSAGES.c.id.in_(given)))]
    for message in stored:
        if not is_repetition(message, given[message.id]):
            raise message_exists(message.id)
    return {message.id: message for message in stored}


def _batches(messages: Iterable[ChatMessage]) -> Iterator[list[ChatMessage]]:
    """Lists of messages that one statement can insert."""
    batch: list[ChatMessage] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += size_of(message.content)
        if len(batch) == _MESSAGES_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
