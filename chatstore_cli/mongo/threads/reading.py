"""Reading messages under the condition that their thread exists and belongs to the owner, in one command.

The command begins with the thread and joins its messages. mongomock does not support this, and under a collation the
command could not use an index. There, a first command looks up the thread, in the same snapshot if the server supports it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import bytewise
from chatstore_cli.mongo.threads.database import Session, ThreadDatabase
from chatstore_cli.mongo.threads.own_threads import MESSAGES_PER_ANSWER

ASCENDING: Document = {"sequence": 1}
_NEWEST_FIRST: Document = {"sequence": -1}


def read_messages(
    database: ThreadDatabase, thread_id: str, stages: list[Document], owner: Owner, session: Session = None
) -> Generator[Document, None, None]:
    """The results of the stages over a thread's messages. Empty if the thread is not the owner's.

    Times are naive. The driver's errors are raised.
    """
    in_thread: list[Document] = [{"$match": {"chat_thread_id": thread_id}}, *stages]
    if not _needs_two_commands(database):
        join = {"from": database.messages.name, "pipeline": in_thread, "as": "message"}
        pipeline: list[Document] = [
            {"$match": database.of_thread(thread_id, owner)},
            {"$lookup": join},
            {"$unwind": "$message"},
            {"$replaceRoot": {"newRoot": "$message"}},
        ]
        threads = database.threads.with_options(codec_options=database.naive_options)
        with closing(threads.aggregate(pipeline, session=session, batchSize=MESSAGES_PER_ANSWER)) as cursor:
            yield from cursor
        return
    messages = database.messages.with_options(codec_options=database.naive_options)
    with _snapshot(database, session) as same:
        if database.threads.find_one(database.of_thread(thread_id, owner), {"_id": 1}, session=same) is not None:
            yield from messages.aggregate(in_thread, session=same, batchSize=MESSAGES_PER_ANSWER)


def read_message(database: ThreadDatabase, message_id: str, owner: Owner, session: Session = None) -> Document | None:
    """One message; None if it does not exist, or if its thread is not the owner's. The driver's errors are raised."""
    if not _needs_two_commands(database):
        join = {
            "from": database.threads.name,
            "localField": "chat_thread_id",
            "foreignField": "_id",
            "pipeline": [{"$match": database.owned_by(owner)}, {"$project": {"_id": 1}}],
            "as": "thread",
        }
        pipeline: list[Document] = [
            {"$match": {"_id": message_id}},
            {"$lookup": join},
            {"$match": {"thread": {"$ne": []}}},
        ]
        found: Document | None = next(iter(database.messages.aggregate(pipeline, session=session)), None)
        return found
    with _snapshot(database, session) as same:
        message: Document | None = database.messages.find_one({"_id": message_id}, session=same)
        if message is None or not isinstance(thread_id := message.get("chat_thread_id"), str):
            return None
        thread = database.threads.find_one(database.of_thread(thread_id, owner), {"_id": 1}, session=same)
        return None if thread is None else message


def window_stages(window: Window) -> list[Document]:
    """The stages that select a window of a thread's messages, in ascending order."""
    stages: list[Document] = []
    if window.after_sequence is not None:
        stages.append({"$match": {"sequence": {"$gt": window.after_sequence}}})
    if window.up_to_sequence is not None:
        # Not `$lte`: that would leave out messages without a sequence, which are before all others.
        stages.append({"$match": {"sequence": {"$not": {"$gt": window.up_to_sequence}}}})
    from_end = window.newest and (window.limit is not None or window.offset > 0)
    stages.append({"$sort": _NEWEST_FIRST if from_end else ASCENDING})
    if window.offset > 0:
        stages.append({"$skip": window.offset})
    if window.limit is not None:
        stages.append({"$limit": max(1, window.limit)})
    if from_end:
        stages.append({"$sort": ASCENDING})
    return stages


def _needs_two_commands(database: ThreadDatabase) -> bool:
    return database.connection.in_memory or bool(bytewise(database.threads) or bytewise(database.messages))


@contextmanager
def _snapshot(database: ThreadDatabase, session: Session) -> Iterator[Any]:
    """A session in which all commands read the same state: the given one, or a new one if the server can do that."""
    if session is not None or not database.has_transactions:
        yield session
        return
    with database.connection.client.start_session(snapshot=True) as snapshot:
        yield snapshot
