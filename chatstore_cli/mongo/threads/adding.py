"""Adding messages to the end of a thread.

On a replica set, one transaction takes the next sequences from the thread's `last_sequence` and inserts the messages.
On a standalone server, the messages are inserted after the highest sequence, which the unique index protects, and then the
thread is changed. If the thread was deleted or given to another owner meanwhile, the messages are removed again.

An insertion is rejected for one of two reasons: a message is already stored, or another message has its sequence. So the
stored messages with these ids are read, the thread's `last_sequence` is raised, and the rest is added again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pymongo.errors as driver
from bson import Decimal128
from pymongo import ReturnDocument

from chatstore_cli.core.threads.checks import MAX_SEQUENCE
from chatstore_cli.core.threads.repetition import is_repetition, message_exists
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatMessage
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY
from chatstore_cli.mongo.exact import own_collation, reject_equal_id
from chatstore_cli.mongo.threads.batches import batches, ids_at_once
from chatstore_cli.mongo.threads.database import Missing, Repeat, Session, ThreadDatabase
from chatstore_cli.mongo.threads.documents import message_document, to_message

_NOT_A_NUMBER = {2, 14}
"""Error codes of `$inc` if `last_sequence` is not a number, or would exceed 64 bits."""


class Addition:
    """One call that adds messages to a thread."""

    def __init__(self, database: ThreadDatabase, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> None:
        self._database = database
        self._thread_id = thread_id
        self._messages = messages
        self._condition = database.of_thread(thread_id, owner)
        self._stored: dict[str, ChatMessage] = {}
        self._inserted: list[str] = []
        """Ids of messages that this call inserted outside of a transaction."""
        self._rejected: list[ChatMessage] = []
        """The messages of the last insertion, if the server rejected it."""

    def run(self) -> list[ChatMessage]:
        """The messages as stored. Raises Missing and Conflict."""
        doing = f"adding messages to thread {self._thread_id!r} in {self._database.messages.name}"
        added = self._database.change(doing, self._add, between=self._learn_if_rejected)
        stored = {**self._stored, **{message.id: message for message in added}}
        return [stored[message.id] for message in self._messages]

    def _add(self, session: Session) -> list[ChatMessage]:
        rest = [message for message in self._messages if message.id not in self._stored]
        try:
            if session is not None:
                return self._in_transaction(rest, session)
            return self._without_transaction(rest)
        except driver.BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if not any(failure.get("code") == DUPLICATE_KEY for failure in failures):
                raise
        except driver.OperationFailure as error:
            if error.code not in _NOT_A_NUMBER:
                raise
        self._rejected = rest
        raise Repeat

    def _in_transaction(self, rest: list[ChatMessage], session: Session) -> list[ChatMessage]:
        change: Document = {"$max": {"updated_at": self._newest(rest)}}
        if rest:
            change["$inc"] = {"last_sequence": len(rest)}
        thread = self._database.threads.find_one_and_update(
            self._condition, change, {"last_sequence": 1}, return_document=ReturnDocument.AFTER, session=session
        )
        if thread is None:
            raise Missing
        if not rest:
            return []
        last = whole_number(thread.get("last_sequence"))
        if last is None:
            raise driver.OperationFailure("last_sequence is not a whole number", min(_NOT_A_NUMBER))
        added = _numbered(rest, last - len(rest) + 1)
        self._database.messages.insert_many(map(message_document, added), session=session)
        return added

    def _without_transaction(self, rest: list[ChatMessage]) -> list[ChatMessage]:
        threads = self._database.threads
        thread = threads.find_one(self._condition, {"last_sequence": 1})
        if thread is None:
            self._take_back()
            raise Missing
        if not self._stored:  # before anything is inserted, so that a Conflict finds nothing inserted
            self._stored.update(stored_repetitions(self._database, rest))
            rest = [message for message in rest if message.id not in self._stored]
        known = whole_number(thread.get("last_sequence"))
        if known is None:
            raise_last_sequence(self._database, self._thread_id)
        highest = max(known or 0, highest_sequence(self._database, self._thread_id))
        added = _numbered(rest, highest + 1)
        if added:
            self._insert(added)
        last = added[-1].sequence if added else highest
        change = {"$max": {"last_sequence": last, "updated_at": self._newest(rest)}}
        if threads.update_one(self._condition, change).matched_count == 0:
            self._take_back()
            raise Missing
        return added

    def _insert(self, added: list[ChatMessage]) -> None:
        try:
            self._database.messages.insert_many([message_document(message) for message in added])
        except driver.BulkWriteError as error:
            number = (error.details or {}).get("nInserted", 0)
            self._inserted += [message.id for message in added[:number]]
            raise
        self._inserted += [message.id for message in added]

    def _take_back(self) -> None:
        """Remove what this call inserted, because the thread was deleted or given to another owner meanwhile."""
        for ids in batches(self._inserted, ids_at_once(self._database.messages)):
            self._database.messages.delete_many({"_id": {"$in": ids}, "chat_thread_id": self._thread_id})

    def _learn_if_rejected(self) -> None:
        """Read which messages are stored already, and raise the thread's `last_sequence` to the highest sequence.

        Called outside of the transaction, because the change of the thread would wait for the transaction.
        """
        if not self._rejected:
            return
        given = {message.id: message for message in self._rejected}
        self._rejected = []
        self._stored.update(stored_repetitions(self._database, given.values()))
        if own_collation(self._database.messages):
            for message_id in given.keys() - self._stored.keys():
                reject_equal_id(self._database.messages, "_id", message_id)
        if self._database.has_transactions:  # else the highest sequence is read before each insertion
            raise_last_sequence(self._database, self._thread_id)

    def _newest(self, rest: list[ChatMessage]) -> object:
        """The time of the newest message. Stored messages count too: the call that stored them may not have changed the thread."""
        return max(message.created_at for message in rest or self._stored.values())


def stored_repetitions(database: ThreadDatabase, messages: Iterable[ChatMessage]) -> dict[str, ChatMessage]:
    """Those of the messages that are stored already, as stored. Raises Conflict if another message has one of the ids."""
    given = {message.id: message for message in messages}
    stored: dict[str, ChatMessage] = {}
    for ids in batches(given, ids_at_once(database.messages)):
        for document in database.messages.find({"_id": {"$in": ids}}):
            message = to_message(document)
            if not is_repetition(message, given[message.id]):
                raise message_exists(message.id)
            stored[message.id] = message
    return stored


def highest_sequence(database: ThreadDatabase, thread_id: str) -> int:
    """The highest sequence of a thread's messages, rounded up; 0 without messages. An infinite one does not count."""
    numbered = {"chat_thread_id": thread_id, "sequence": {"$gte": 0, "$lt": math.inf}}
    rows = database.messages.find(numbered, {"sequence": 1, "_id": 0}).sort("sequence", -1).limit(1)
    return max((_rounded_up(row["sequence"]) for row in rows), default=0)


def _rounded_up(sequence: Any) -> int:
    number = sequence.to_decimal() if isinstance(sequence, Decimal128) else sequence
    return math.ceil(number) if isinstance(number, int | float | Decimal) else 0


def raise_last_sequence(database: ThreadDatabase, thread_id: str) -> None:
    """Make `last_sequence` of a thread at least the highest sequence of its messages, whatever it is now."""
    thread = database.threads.find_one({"_id": thread_id}, {"last_sequence": 1})
    if thread is None:
        return
    known, highest = whole_number(thread.get("last_sequence")), highest_sequence(database, thread_id)
    if known is not None:
        _require_room(known)
    if known is None or known < highest:
        unchanged = {"_id": thread_id, "last_sequence": {"$eq": thread.get("last_sequence")}}
        database.threads.update_one(unchanged, {"$set": {"last_sequence": highest}})


def _numbered(messages: list[ChatMessage], first: int) -> list[ChatMessage]:
    _require_room(first + len(messages))
    for sequence, message in enumerate(messages, first):
        message.sequence = sequence
    return messages


def _require_room(last: int) -> None:
    """Raise Conflict if a sequence exceeds 2**53, because JSON readers do not keep higher numbers exactly."""
    if last > MAX_SEQUENCE:
        raise Conflict(
            what=f"The sequence {last:,} exceeds the highest one that a thread can have, {MAX_SEQUENCE:,}. Nothing was written.",
            hint="Correct `last_sequence` of the thread and `sequence` of its messages, then retry.",
        )
