"""Finds messages of threads.

A rare word is found in the text index, if there is one that can serve. Everything else is found thread by thread, newest
first, with a filter in the server (mongo/search/message_documents.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from pymongo.collection import Collection

from chatstore_cli.core.search.indexes import TextPlan
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.search.models import Candidate, SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.search.message_documents import MessageDocumentSearcher
from chatstore_cli.mongo.search.steps import batches, in_steps, merged
from chatstore_cli.mongo.search.text_condition import conditions
from chatstore_cli.mongo.search.text_index import NOT_A_TEXT_TYPES, TextIndex
from chatstore_cli.mongo.threads.newest_threads import PROJECTION
from chatstore_cli.mongo.threads.own_threads import OWN_THREAD_MESSAGES, OWN_THREADS
from chatstore_cli.mongo.threads.sessions import to_message, to_session

_NOT_SEARCHED = (
    "_id", "chat_thread_id", "sender_id", "sender_role", "created_at", "updated_at", "sequence", "edits", "copied_at",
)  # fmt: skip
"""The fields of a stored message that are not part of its text."""
_PLACE: Document = {"chat_thread_id": 1, "created_at": 1}
_THREADS_AT_ONCE = 100
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def other_messages(language_field: str | None) -> Document:
    """The condition of messages whose text is not only a text: domain/threads/turns.py reads other contents too."""
    kinds: list[Document] = [{"content.type": {"$lt": "text"}}, {"content.type": {"$gt": "text"}}]
    types = [each for each in NOT_A_TEXT_TYPES if each not in ("object", "null")]
    names = ["content.tool_calls", "content.metadata.tool_calls"]
    if language_field is not None:
        names += [language_field, f"content.{language_field}"]
    return {
        "$or": [
            {"content": {"$type": [*types, "null"]}},
            *kinds,
            {"content.type": {"$type": [*types, "object"]}},
            {"$and": [{"content": {"$type": "object"}}, {"content.text": None}]},
            {"content.text": {"$type": [*types, "object"]}},
            *({name: {"$exists": True}} for name in names),
        ]
    }


def search_plan(messages: str) -> TextPlan:
    """The search indexes of the collection of messages of that name."""
    return TextPlan(messages, ("content", "content.text"), (("created_at", -1),), other_messages)


class ThreadReader(SessionReader, Protocol):
    """The reader of threads."""

    def without_counts(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        """The threads of `newest_first`, whose messages are not counted."""


class ThreadSearcher:
    """Finds the candidates of a search among the messages of threads."""

    def __init__(
        self,
        reader: ThreadReader,
        connection: Connection,
        threads: Collection[Document],
        messages: Collection[Document],
    ) -> None:
        self.reader: SessionReader = reader
        self.remarks: list[str] = []
        self._threads = threads
        self._messages = messages
        self._index = TextIndex(connection, messages, search_plan(messages.name))
        self._scan = MessageDocumentSearcher(
            reader, messages, to_message, _conditions, field="chat_thread_id", page=reader.without_counts
        )

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """The candidates, the newest first."""
        if query.session_id is None and text.words:
            with driver_errors(f"searching the messages of {self._messages.name}"):
                found = self._index.rare(text.words, _PLACE)
                if found is not None and self._index.others is not None:
                    others = self._messages.find(
                        {"$and": [self._index.others.condition, *_conditions(text)]}, _PLACE
                    ).hint(self._index.others.name)
                    rows = {repr(row["_id"]): row for each in (found, others) for row in each}
                    yield from merged([self._listed(rows.values(), query)])
                    return
                self.remarks += self._index.remarks()
        yield from self._scan.steps(query, text)

    def _listed(self, rows: Iterable[Document], query: SearchQuery) -> Iterator[SearchStep]:
        """The messages of these rows, newest first. One without a time has that of its thread."""
        found = list(rows)
        threads = self._threads_of({row.get("chat_thread_id") for row in found if _is_text_or_id(row)}, query)
        placed = []
        for row in found:
            thread = threads.get(addressable_id(row.get("chat_thread_id")) or "")
            if thread is not None:
                placed.append((stored_instant(row.get("created_at")) or thread.updated_at, thread, row["_id"]))
        placed.sort(key=lambda each: each[0] or _EARLIEST, reverse=True)
        for batch in batches(placed):
            wanted = {"_id": {"$in": [each[2] for each in batch]}}
            read = {repr(row["_id"]): row for row in self._messages.find(wanted)}
            for moment, thread, stored_id in batch:
                stored = read.get(repr(stored_id))
                if stored is not None and OWN_THREAD_MESSAGES.matches(stored):
                    message = to_message(thread.session_id, stored)
                    yield from in_steps(moment, [Candidate(message, thread.tenant_id, thread.user_id)], moment)
            yield SearchStep(batch[-1][0])

    def _threads_of(self, stored_ids: set[Any], query: SearchQuery) -> dict[str, Session]:
        """The threads with these ids that the query selects."""
        texts = sorted({text for each in stored_ids if (text := addressable_id(each)) is not None})
        threads: dict[str, Session] = {}
        for some in batches(texts, _THREADS_AT_ONCE):
            values = [value for text in some for value in id_values(text)]
            for row in self._threads.find({"_id": {"$in": values}}, PROJECTION):
                session = to_session(row)
                if OWN_THREADS.matches(row) and session.session_id and query.sessions.matches(session):
                    threads[session.session_id] = session
        return threads


def _is_text_or_id(row: Document) -> bool:
    """Whether the id of a thread can be looked up: an array or an object cannot."""
    return addressable_id(row.get("chat_thread_id")) is not None


def _conditions(text: TextFilter) -> list[Document]:
    """The conditions that every message with a hit meets."""
    return [OWN_THREAD_MESSAGES.filter(), *conditions(text, _NOT_SEARCHED, lambda message: message)]
