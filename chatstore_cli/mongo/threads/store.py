"""Threads and their messages in two collections of a MongoDB database."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import pymongo.errors as driver
from pymongo import ReturnDocument

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.edits import edited
from chatstore_cli.core.threads.repetition import thread_exists
from chatstore_cli.core.threads.summaries import SUMMARY_ROLE, is_summary
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import Owner, Window
from chatstore_cli.domain.times import Clock
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.server_clock import ServerClock
from chatstore_cli.mongo.threads.adding import Addition
from chatstore_cli.mongo.threads.database import Missing, Repeat, Session, ThreadDatabase
from chatstore_cli.mongo.threads.documents import (
    edit_documents,
    thread_document,
    to_message,
    to_thread,
)
from chatstore_cli.mongo.threads.reading import read_message, read_messages, window_stages
from chatstore_cli.mongo.threads.removal import clear, remove_all, remove_message
from chatstore_cli.mongo.threads.whole_threads import insert_whole_thread

_LOCKS = 64
_LONGEST_WAIT = 1.0
"""Seconds to wait for the lock. It only saves retries, so no call waits long for one whose server does not answer."""


class MongoThreadStore:
    """A ThreadStore. On a replica set each change is one transaction; see adding.py for a server without transactions."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        patient: Connection | None = None,
        server_now: Clock | None = None,
    ) -> None:
        """`patient` is a connection without a time limit, for building indexes."""
        names = settings.layouts.threads
        self._database = ThreadDatabase(connection, patient or connection, names.threads, names.messages)
        self._server_now = server_now or ServerClock(connection, warn=lambda _: None).now
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def insert_thread(self, thread: ChatThread) -> None:
        self._database.require_writable()
        threads = self._database.threads
        with driver_errors(f"creating a thread in {threads.name}"):
            try:
                threads.insert_one(thread_document(thread, 0))
            except driver.DuplicateKeyError as error:
                raise thread_exists(thread.id) from error

    def find_thread(self, thread_id: str, owner: Owner) -> ChatThread | None:
        threads = self._database.threads
        with driver_errors(f"looking up thread {thread_id!r} in {threads.name}"):
            found = threads.find_one(self._database.of_thread(thread_id, owner))
        return None if found is None else to_thread(found)

    def change_thread(
        self, thread_id: str, changes: Mapping[str, str], updated_at: datetime, owner: Owner
    ) -> ChatThread | None:
        self._database.require_writable()
        threads = self._database.threads
        change: Document = {"$max": {"updated_at": updated_at}}
        if changes:
            change["$set"] = dict(changes)
        with driver_errors(f"changing thread {thread_id!r} in {threads.name}"):
            found = threads.find_one_and_update(
                self._database.of_thread(thread_id, owner), change, return_document=ReturnDocument.AFTER
            )
        return None if found is None else to_thread(found)

    def remove_thread(self, thread_id: str, owner: Owner) -> bool:
        self._database.require_writable()
        threads = self._database.threads
        started_at = self._server_now()
        with driver_errors(f"deleting thread {thread_id!r} in {threads.name}"):
            if threads.delete_one(self._database.of_thread(thread_id, owner)).deleted_count == 0:
                return False
        remove_all(self._database, thread_id, started_at)
        return True

    def newest_threads(self, owner: Owner, limit: int) -> list[ChatThread]:
        threads = self._database.threads
        with driver_errors(f"listing threads in {threads.name}"):
            found = threads.find(self._database.owned_by(owner)).sort([("updated_at", -1), ("_id", -1)]).limit(limit)
            return [to_thread(document) for document in found]

    def add_messages(self, thread_id: str, messages: Sequence[ChatMessage], owner: Owner) -> list[ChatMessage] | None:
        self._database.require_writable()
        try:
            with self._lock(thread_id):
                return Addition(self._database, thread_id, messages, owner).run()
        except Missing:
            return None

    def messages(self, thread_id: str, window: Window, owner: Owner) -> Iterator[ChatMessage]:
        with driver_errors(f"reading the messages of thread {thread_id!r} in {self._database.messages.name}"):
            yield from map(to_message, read_messages(self._database, thread_id, window_stages(window), owner))

    def find_message(self, message_id: str, owner: Owner) -> ChatMessage | None:
        with driver_errors(f"looking up message {message_id!r} in {self._database.messages.name}"):
            found = read_message(self._database, message_id, owner)
        return None if found is None else to_message(found)

    def replace_content(
        self, message_id: str, content: Mapping[str, Any], edited_at: datetime, owner: Owner
    ) -> ChatMessage | None:
        self._database.require_writable()
        threads, messages = self._database.threads, self._database.messages

        def replace(session: Session) -> ChatMessage:
            found = read_message(self._database, message_id, owner, session)
            if found is None:
                raise Missing
            message = to_message(found)
            changed = edited(message, dict(content), edited_at)
            if changed is message:
                return message
            of_owner = self._database.of_thread(message.chat_thread_id, owner)
            if threads.update_one(of_owner, {"$max": {"updated_at": edited_at}}, session=session).matched_count == 0:
                raise Missing
            fields = {"content": changed.content, "updated_at": edited_at, "edits": edit_documents(changed)}
            if messages.update_one(_unchanged(found), {"$set": fields}, session=session).matched_count == 0:
                raise Repeat
            return changed

        try:
            return self._database.change(f"editing message {message_id!r} in {messages.name}", replace)
        except Missing:
            return None

    def remove_message(self, message_id: str, removed_at: datetime, owner: Owner) -> bool:
        self._database.require_writable()
        try:
            remove_message(self._database, message_id, removed_at, owner)
        except Missing:
            return False
        return True

    def clear_messages(self, thread_id: str, owner: Owner) -> int:
        self._database.require_writable()
        try:
            return clear(self._database, thread_id, owner)
        except Missing:
            return 0

    def newest_summary(self, thread_id: str, owner: Owner) -> ChatMessage | None:
        may_be_summary = {"sender_role": SUMMARY_ROLE, "content.metadata.summary": {"$type": "object"}}
        stages: list[Document] = [{"$match": may_be_summary}, {"$sort": {"sequence": -1}}]
        with (
            driver_errors(f"looking for a summary of thread {thread_id!r} in {self._database.messages.name}"),
            closing(read_messages(self._database, thread_id, stages, owner)) as found,
        ):
            return next(filter(is_summary, map(to_message, found)), None)

    def insert_whole_thread(self, thread: ChatThread, messages: Iterable[ChatMessage]) -> None:
        self._database.require_writable()
        insert_whole_thread(self._database, self._server_now, thread, messages)

    @contextmanager
    def _lock(self, thread_id: str) -> Iterator[None]:
        """Held while a call adds to a thread, so that calls of one process do not cause retries of each other."""
        lock = self._locks[hash(thread_id) % _LOCKS]
        is_held = lock.acquire(timeout=_LONGEST_WAIT)
        try:
            yield
        finally:
            if is_held:
                lock.release()


def _unchanged(message: Document) -> Document:
    """The condition that a message was not edited since it was read. An edit changes `updated_at` or the number of edits."""
    edits = message.get("edits")
    number: Any = {"$size": len(edits)} if isinstance(edits, list) else {"$eq": edits}
    return {"_id": message["_id"], "updated_at": {"$eq": message.get("updated_at")}, "edits": number}
