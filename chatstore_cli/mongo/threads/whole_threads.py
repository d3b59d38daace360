"""Stores a whole thread: its messages first, in batches, and the thread last, so that no reader sees an incomplete thread.

If the process ends in between, messages without a thread remain. A repetition completes the thread. Otherwise `threads
repair` removes the messages later. It uses their `copied_at`, the server's time at which they were stored, because their own
times are those of the original.
"""

from __future__ import annotations

from collections.abc import Iterable

import pymongo.errors as driver

from chatstore_cli.core.threads.repetition import thread_exists
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.times import Clock, to_milliseconds
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.threads.adding import stored_repetitions
from chatstore_cli.mongo.threads.batches import batches, ids_at_once
from chatstore_cli.mongo.threads.database import Session, ThreadDatabase
from chatstore_cli.mongo.threads.documents import message_document, thread_document
from chatstore_cli.mongo.threads.own_threads import COPIED_AT

_MESSAGES_AT_ONCE = 1_000
"""The driver divides a batch that is too large for one command."""


def insert_whole_thread(
    database: ThreadDatabase, server_now: Clock, thread: ChatThread, messages: Iterable[ChatMessage]
) -> None:
    """Store the messages, then the thread. Messages that are stored already count. Raises Conflict."""
    doing = f"copying thread {thread.id!r} to {database.messages.name}"
    with driver_errors(doing):
        _reject_existing(database, thread.id)
    count = last_sequence = 0
    for batch in batches(messages, _MESSAGES_AT_ONCE):
        with driver_errors(doing):
            _insert(database, server_now, thread.id, batch)
        count += len(batch)
        last_sequence = max(last_sequence, batch[-1].sequence)

    def insert_thread(session: Session) -> None:
        stored = database.messages.count_documents({"chat_thread_id": thread.id}, session=session)
        if stored != count:
            raise Conflict(
                what=f"Thread {thread.id!r} was not created: {stored:,} of its messages are stored instead of {count:,}, "
                "because another process stores or deletes messages of the same thread.",
                hint="Wait until the other process has finished, then retry.",
            )
        try:
            database.threads.insert_one(thread_document(thread, last_sequence), session=session)
        except driver.DuplicateKeyError as error:
            raise thread_exists(thread.id) from error

    database.change(f"creating thread {thread.id!r} in {database.threads.name}", insert_thread)


def _insert(database: ThreadDatabase, server_now: Clock, thread_id: str, batch: list[ChatMessage]) -> None:
    copied_at = to_milliseconds(server_now())
    documents: list[Document] = [{**message_document(message), COPIED_AT: copied_at} for message in batch]
    try:
        database.messages.insert_many(documents, ordered=False)
    except driver.BulkWriteError as error:
        failures = (error.details or {}).get("writeErrors", [])
        if not failures or any(failure.get("code") != DUPLICATE_KEY for failure in failures):
            raise
        rejected = {failure["index"] for failure in failures}
        stored = stored_repetitions(database, (batch[number] for number in rejected))
        for number in rejected:
            same = stored.get(batch[number].id)
            if same is None or same.sequence != batch[number].sequence:
                raise Conflict(
                    what=f"Thread {thread_id!r} was not created: at the place of its message {batch[number].id!r} "
                    "another message of the same thread is stored.",
                    hint="An interrupted import of another export stored it. To remove such messages, run chatstore threads repair.",
                ) from error
        # With the new date, no repair deletes them. If one deleted some before, the count at the end detects it.
        for ids in batches((batch[number].id for number in rejected), ids_at_once(database.messages)):
            stored_before = {"_id": {"$in": ids}, "chat_thread_id": thread_id}
            database.messages.update_many(stored_before, {"$set": {COPIED_AT: copied_at}})


def _reject_existing(database: ThreadDatabase, thread_id: str) -> None:
    if database.threads.find_one({"_id": thread_id}, {"_id": 1}) is not None:
        raise thread_exists(thread_id)
