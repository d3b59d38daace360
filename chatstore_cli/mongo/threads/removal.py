"""Deletes messages of a thread, for applications."""

from __future__ import annotations

from datetime import datetime

from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.threads.adding import highest_sequence
from chatstore_cli.mongo.threads.batches import PLACE, behind, ids_at_once, place_of_last, remove_selected
from chatstore_cli.mongo.threads.database import Missing, Session, ThreadDatabase
from chatstore_cli.mongo.threads.own_threads import COPIED_AT
from chatstore_cli.mongo.threads.reading import ASCENDING, read_messages


def remove_all(database: ThreadDatabase, thread_id: str, started_at: datetime) -> None:
    """Delete the messages of a deleted thread. `started_at` is the server's time before the thread was deleted.

    Messages that were copied since then belong to a thread of the same id that is being imported.
    """
    old = {"chat_thread_id": thread_id, COPIED_AT: {"$not": {"$gte": started_at}}}
    with driver_errors(f"deleting the messages of thread {thread_id!r} in {database.messages.name}"):
        remove_selected(database.messages, old)


def clear(database: ThreadDatabase, thread_id: str, owner: Owner) -> int:
    """Delete the messages that a thread has now, and return how many. Raises Missing.

    Messages that are added meanwhile remain. Their sequences follow those of the deleted ones, which are not used again.
    """
    doing = f"clearing thread {thread_id!r} in {database.messages.name}"
    with driver_errors(doing):
        last = highest_sequence(database, thread_id)

    def remove_batch(session: Session) -> tuple[int, list[Document]]:
        thread = database.of_thread(thread_id, owner)
        if database.threads.update_one(thread, {"$max": {"last_sequence": last}}, session=session).matched_count == 0:
            raise Missing
        stages = [{"$match": behind(after)}, *in_batches] if after is not None else in_batches
        rows = list(read_messages(database, thread_id, stages, owner, session))
        if not rows:
            return 0, rows
        of_thread = {"_id": {"$in": [row["_id"] for row in rows]}, "chat_thread_id": thread_id}
        return int(database.messages.delete_many(of_thread, session=session).deleted_count), rows

    in_batches: list[Document] = [
        {"$match": {"sequence": {"$not": {"$gt": last}}}},
        {"$sort": ASCENDING},
        {"$limit": ids_at_once(database.messages)},
        {"$project": PLACE},
    ]
    removed = 0
    after: int | None = None
    while True:
        number, rows = database.change(doing, remove_batch)
        removed += number
        if not rows and after is None:
            return removed
        after = place_of_last(rows)


def remove_message(database: ThreadDatabase, message_id: str, removed_at: datetime, owner: Owner) -> None:
    """Delete one message, and raise the thread's `updated_at`. Raises Missing."""

    def remove(session: Session) -> None:
        message = database.messages.find_one({"_id": message_id}, {"chat_thread_id": 1, "sequence": 1}, session=session)
        if message is None or not isinstance(thread_id := message.get("chat_thread_id"), str):
            raise Missing
        # `last_sequence` may be behind, and the sequence of a deleted message is not used again.
        change: Document = {
            "$max": {"updated_at": removed_at, "last_sequence": whole_number(message.get("sequence")) or 0}
        }
        if (
            database.threads.update_one(database.of_thread(thread_id, owner), change, session=session).matched_count
            == 0
        ):
            raise Missing
        of_thread = {"_id": message_id, "chat_thread_id": thread_id}
        if database.messages.delete_one(of_thread, session=session).deleted_count == 0:
            raise Missing

    database.change(f"deleting message {message_id!r} in {database.messages.name}", remove)
