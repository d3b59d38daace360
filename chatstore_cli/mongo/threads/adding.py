"""Adding messages to the end of a thread.

With transactions, one transaction takes the next sequences from the thread's `last_sequence` and inserts the messages.
Without them, the messages are inserted behind the highest sequence, which the unique index protects, and then the thread
is changed. If that finds no thread of the owner any more, the messages are removed again.

Both ways, a rejected insertion has one of two reasons: a message is stored already, or another message has its place. So
the stored messages of these ids are read, the thread's `last_sequence` is raised, and the rest is added once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pymongo.errors as driver
from pymongo import ReturnDocument

from chatstore_cli.core.threads.repetition import is_repetition
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatMessage
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import own_collation, reject_equal_id
from chatstore_cli.mongo.threads.database import Missing, Repeat, Session, ThreadDatabase
from chatstore_cli.mongo.threads.documents import message_document, to_message

_DUPLICATE = 11000
_MAX_SEQUENCE = 2**53
_NOT_A_NUMBER = {2, 14}
"""Codes of `$inc` on a `last_sequence` that is not a number, or beyond 64 bits afterwards."""


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
            if not any(failure.get("code") == _DUPLICATE for failure in failures):
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
        """The thread was deleted, or belongs to somebody else now: remove what this call inserted."""
        at_once = self._database.ids_at_once
        for ids in batches(self._inserted, at_once):
            self._database.messages.delete_many({"_id": {"$in": ids}, "chat_thread_id": self._thread_id})

    def _learn_if_rejected(self) -> None:
        """Read which messages are stored already, and raise the thread's `last_sequence` to the highest sequence.

        Called outside of the transaction, which would make the change of the thread wait.
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
        """The time of the newest message: if all are stored already, an interrupted call may not have raised it."""
        return max(message.created_at for message in rest or self._stored.values())


def stored_repetitions(database: ThreadDatabase, messages: Iterable[ChatMessage]) -> dict[str, ChatMessage]:
    """Those of the messages that are stored already, as stored. Raises Conflict if another message has one of the ids."""
    given = {message.id: message for message in messages}
    stored: dict[str, ChatMessage] = {}
    for ids in batches(given, database.ids_at_once):
        for document in database.messages.find({"_id": {"$in": ids}}):
            message = to_message(document)
            if not is_repetition(message, given[message.id]):
                raise Conflict(
                    what=f"The message {message.id!r} is stored already, with another thread, sender, role or content.",
                    hint="Give a new message an id of its own.",
                )
            stored[message.id] = message
    return stored


def highest_sequence(database: ThreadDatabase, thread_id: str) -> int:
    """The highest sequence of a thread's messages; 0 without messages."""
    numbered = {"chat_thread_id": thread_id, "sequence": {"$gte": 0}}
    rows = database.messages.find(numbered, {"sequence": 1, "_id": 0}).sort("sequence", -1).limit(1)
    return max((whole_number(row["sequence"]) or 0 for row in rows), default=0)


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


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """The ids in lists of at most that many."""
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch


def _numbered(messages: list[ChatMessage], first: int) -> list[ChatMessage]:
    _require_room(first + len(messages))
    for sequence, message in enumerate(messages, first):
        message.sequence = sequence
    return messages


def _require_room(last: int) -> None:
    """Raise Conflict if a sequence is so high that JSON readers would not keep the next ones exactly."""
    if last > _MAX_SEQUENCE:
        raise Conflict(
            what=f"No sequence follows the last one of the thread, {last:,}. Nothing was written.",
            hint="Repair `last_sequence` of the thread and `sequence` of its messages, then try again.",
        )
