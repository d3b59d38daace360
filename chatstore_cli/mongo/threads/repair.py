"""Finds and corrects inconsistent threads and messages, which interrupted processes left (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import UnsuitableCollection
from chatstore_cli.domain.threads.repair import HighestSequence, OrphanedMessages, StoredThread
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.threads.batches import remove_selected
from chatstore_cli.mongo.threads.index_specs import message_index_spec
from chatstore_cli.mongo.threads.own_threads import COPIED_AT, OWN_THREAD_MESSAGES, OWN_THREADS

_DATES = ("created_at", "updated_at", COPIED_AT)
_THREAD_FIELDS = {"last_sequence": 1, "user_id": 1, "org_id": 1, "name": 1}


class MongoThreadRepairs:
    """The ThreadRepairs of one database. A connection for repairing reads from the primary.

    Each query takes at most `seconds`, if that is given, or raises Overdue.
    """

    def __init__(self, connection: Connection, settings: Settings, seconds: float | None = None) -> None:
        self._connection = connection
        self.threads = settings.layouts.threads.threads
        self.messages = settings.layouts.threads.messages
        self._threads = self._connection.collection(self.threads)
        self._messages = self._connection.collection(self.messages)
        has_limit = seconds is not None and not connection.in_memory
        self._limit: dict[str, Any] = {"maxTimeMS": max(1, int((seconds or 0) * 1000))} if has_limit else {}

    def exist(self) -> bool:
        """Whether one of the collections exists."""
        return any(collection_facts(self._connection, name).exists for name in (self.threads, self.messages))

    def require_comparable(self) -> None:
        """Raise ForeignCollection, or UnsuitableCollection without the unique index on the messages."""
        require_own(self._connection, self.threads, OWN_THREADS)
        require_own(self._connection, self.messages, OWN_THREAD_MESSAGES)
        if not collection_facts(self._connection, self.messages).exists:
            return
        spec = message_index_spec(self.messages)
        stored = MongoIndexStore(self._connection, self._connection).stored(self.messages)
        if not any(each.keys == spec.keys and each.unique and each.collation is None for each in stored):
            raise UnsuitableCollection(
                what=f"{self.messages} has no unique index on (chat_thread_id, sequence). Two messages can have one place "
                "in a thread, and threads cannot be compared with their messages.",
                hint="Run chatstore indexes apply.",
            )

    def threads_after(self, thread_id: str | None, limit: int) -> list[StoredThread]:
        """The next threads whose `_id` is a text. Threads with other ids are not compared."""
        after = {"$gte": ""} if thread_id is None else {"$gt": thread_id}
        with driver_errors(f"reading the threads of {self.threads}"):
            rows = self._threads.find({"_id": after}, _THREAD_FIELDS).sort("_id", 1).limit(limit)
            rows = rows.allow_disk_use(True) if not self._connection.in_memory else rows
            if self._limit:
                rows = rows.max_time_ms(self._limit["maxTimeMS"])
            return [StoredThread(row["_id"], _last_sequence(row)) for row in rows]

    def highest_sequences(self, after: str | None, up_to: str | None) -> Iterator[HighestSequence]:
        """The highest sequence of each thread. With the index, the server reads one key for each."""
        bounds: Document = {"$gte": ""} if after is None else {"$gt": after}
        if up_to is not None:
            bounds["$lte"] = up_to
        highest: list[Document] = [
            {"$match": {"chat_thread_id": bounds}},
            {"$sort": {"chat_thread_id": -1, "sequence": -1}},
            {"$group": {"_id": "$chat_thread_id", "sequence": {"$first": "$sequence"}}},
            {"$sort": {"_id": 1}},
        ]
        with driver_errors(f"reading the sequences of {self.messages}"):
            for row in self._messages.aggregate(highest, allowDiskUse=True, **self._limit):
                if isinstance(row["_id"], str):  # a list that contains a text meets the condition too
                    yield HighestSequence(row["_id"], whole_number(row["sequence"]))

    def last_sequence(self, thread_id: str) -> int | None:
        """The present `last_sequence`."""
        with driver_errors(f"looking up thread {thread_id!r} in {self.threads}"):
            row = self._threads.find_one({"_id": thread_id}, _THREAD_FIELDS)
        return None if row is None else _last_sequence(row)

    def orphaned_messages(self, thread_id: str, before: datetime) -> OrphanedMessages | None:
        """Count the messages, and those with a date that is not before, or without a date."""
        if self._has_thread(thread_id):
            return None
        with driver_errors(f"reading the messages of thread {thread_id!r} in {self.messages}"):
            of_thread = _of_thread(thread_id)
            number = self._messages.count_documents(of_thread, **self._limit)
            old = self._messages.count_documents({**of_thread, **_before(before)}, **self._limit)
        return OrphanedMessages(number, max(0, number - old))

    def remove_orphaned_messages(self, thread_id: str, before: datetime) -> int:
        """Delete the messages. An import of this thread that is repeated meanwhile gives them a new date first."""
        require_own(self._connection, self.messages, OWN_THREAD_MESSAGES)
        found = self.orphaned_messages(thread_id, before)
        if found is None or found.recent:
            return 0
        old = {**_of_thread(thread_id), **_before(before)}
        with driver_errors(f"deleting the messages of thread {thread_id!r} in {self.messages}"):
            return remove_selected(self._messages, old)

    def raise_last_sequence(self, thread_id: str, sequence: int) -> bool:
        """Set `last_sequence`, also if it is not a number."""
        require_own(self._connection, self.threads, OWN_THREADS)
        is_lower = {"_id": thread_id, "last_sequence": {"$not": {"$gte": sequence}}, **OWN_THREADS.filter()}
        with driver_errors(f"correcting thread {thread_id!r} in {self.threads}"):
            return self._threads.update_one(is_lower, {"$set": {"last_sequence": sequence}}).modified_count > 0

    def _has_thread(self, thread_id: str) -> bool:
        """Whether any document has this id, also if the id is not stored as a text."""
        with driver_errors(f"looking up thread {thread_id!r} in {self.threads}"):
            return self._threads.find_one({"_id": {"$in": id_values(thread_id)}}, {"_id": 1}) is not None


def _of_thread(thread_id: str) -> Document:
    return {"chat_thread_id": thread_id, **OWN_THREAD_MESSAGES.filter()}


def _before(instant: datetime) -> Document:
    """The condition that every date is before the instant, and that the message has one."""
    first, *others = _DATES
    return {first: {"$lt": instant}, **{field: {"$not": {"$gte": instant}} for field in others}}


def _last_sequence(row: Document) -> int | None:
    return (whole_number(row.get("last_sequence")) or 0) if OWN_THREADS.matches(row) else None
