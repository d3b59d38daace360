"""The `threads` layout: one document per thread, and one for each of its messages (docs/layouts.md).

A session is a thread. Its tenant is `org_id`, and its title is the name of the thread. A thread has no workflow,
no status and no pause. The usage in its messages is added up for reports only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Literal

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import NotAllowed, NotFound
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.removal import SessionState, StoredPart, changed_at_this_moment
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.session_reader import NameField, NameTotal
from chatstore_cli.domain.threads.copies import LONGEST_COPY
from chatstore_cli.domain.threads.filters import unanswerable_filters
from chatstore_cli.mongo.addressable import AddressableSessions
from chatstore_cli.mongo.collections import collection_facts, require_removable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.foreign_documents import ForeignLookup, require_own
from chatstore_cli.mongo.identifiers import document_id_condition, id_values, is_storable
from chatstore_cli.mongo.indexed_types import perhaps_in_period
from chatstore_cli.mongo.message_counts import NO_COUNT_LIMIT, MessageCounts
from chatstore_cli.mongo.name_totals import grouped_totals, ids_beginning_with, totals_of
from chatstore_cli.mongo.threads.batches import remove_selected
from chatstore_cli.mongo.threads.index_specs import index_specs
from chatstore_cli.mongo.threads.message_usage import MessageUsage
from chatstore_cli.mongo.threads.newest_threads import PROJECTION, NewestThreads, conditions_of, count_threads
from chatstore_cli.mongo.threads.own_threads import (
    COPIED_AT,
    MESSAGES_PER_ANSWER,
    OWN_THREAD_MESSAGES,
    OWN_THREADS,
    after_sequence,
)
from chatstore_cli.mongo.threads.sessions import LAYOUT, to_message, to_session
from chatstore_cli.mongo.tombstones import count_parts
from chatstore_cli.mongo.used_models import threads_with_messages

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher
    from chatstore_cli.mongo.threads.feed import ThreadChanges, ThreadMessageChanges

_THREADS_PER_SUM = 500
_GUARDED = ("created_at", "updated_at", "last_sequence")
"""Fields that a planned deletion compares. Every message of chatstore's writers changes the last one."""

_NOT_BEING_COPIED: Document = {
    "$expr": {"$lt": [f"${COPIED_AT}", {"$subtract": ["$$NOW", int(LONGEST_COPY.total_seconds() * 1000)]}]}
}
"""The condition of `_copied_before` for one hour ago by the server's clock. A message that was not copied meets it."""


class ThreadsLayout:
    """Reads sessions from threads and their messages."""

    layout = LAYOUT

    def __init__(self, connection: Connection, settings: Settings) -> None:
        names = settings.layouts.threads
        self._connection = connection
        self._collections = names
        self._in_memory = connection.in_memory
        self._name, self._messages_name = names.threads, names.messages
        self._threads = connection.collection(names.threads)
        self._messages = connection.collection(names.messages)
        milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._counts = MessageCounts(
            self._messages, "chat_thread_id", in_memory=connection.in_memory, milliseconds=milliseconds
        )
        self._usage = MessageUsage(self._messages, in_memory=connection.in_memory)
        self._lookup = ForeignLookup(connection, names.threads, OWN_THREADS)
        self._addressable = AddressableSessions(self._locate, in_memory=connection.in_memory)

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not threads; None if nothing was listed or missed."""
        return self._lookup.found

    @property
    def unaddressable(self) -> int:
        """How many threads were left out because no text addresses their id."""
        return self._addressable.left_out

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        return index_specs(self._name, self._messages_name)

    def is_absent(self) -> bool:
        """Whether the collection of threads does not exist."""
        return not collection_facts(self._connection, self._name).exists

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters that threads cannot answer."""
        return unanswerable_filters(query)

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` threads in descending order of SessionKey, strictly below `after`. Counts stop at COUNT_CAP."""
        if sessions := self.without_counts(query, after, limit):
            with driver_errors(f"counting the messages of {self._messages_name}"):
                yield from self._with_counts(sessions, COUNT_CAP)

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """One thread with the number of its messages; None if it does not exist."""
        document = self._locate(session_id)
        if document is None:
            return None
        with driver_errors(f"counting the messages of thread {session_id!r} in {self._messages_name}"):
            return self._with_counts([to_session(document)], NO_COUNT_LIMIT if count_to is None else count_to)[0]

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A thread's messages in order of sequence, streamed. Raises NotFound.

        Those without a sequence come first, as they were stored, and `after_sequence` does not select them. Those whose
        sequence is not a number come last, in the server's order of such values, and `after_sequence` selects them.
        """
        if self._locate(session_id) is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        return self._read(session_id, selection)

    def _read(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        condition = self._messages_of(session_id)
        if selection.after_sequence is not None:
            condition |= after_sequence(selection.after_sequence)
        if not selection.include_general:
            condition["content.metadata.source"] = {"$ne": GENERAL_AGENT}
        with driver_errors(f"reading thread {session_id!r} in {self._messages_name}"):
            documents: Iterable[Document]
            if selection.last is None:
                rows = self._messages.find(condition).sort("sequence", 1)
                documents = rows.batch_size(selection.first or MESSAGES_PER_ANSWER)
            elif selection.last > 0:
                documents = reversed(list(self._messages.find(condition).sort("sequence", -1).limit(selection.last)))
            else:
                return
            for document in islice(documents, selection.first):
                yield to_message(session_id, document)

    within = staticmethod(time_limit)
    orders_by_sequence: Literal[True] = True

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many threads pass the indexed filters of the query; it stops at `limit`."""
        if not self._answers(query):
            return 0
        with driver_errors(f"counting the threads of {self._name}"):
            return count_threads(self._threads, query.indexed, limit, in_memory=self._in_memory)

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The threads of each tenant or user."""
        query = SessionQuery(tenant_id=tenant_id)
        if self._in_memory:
            yield from totals_of(self.all_facts(query), field)
        elif self._answers(query):
            with driver_errors(f"counting the threads of each {field} in {self._name}"):
                yield from grouped_totals(
                    self._threads,
                    {"$and": conditions_of(query)},
                    field=field,
                    names=("org_id" if field == "tenant" else "user_id",),
                    times=("updated_at",),
                    to_session=to_session,
                )

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of threads that begin with this text."""
        if not self._exists():
            return []
        with driver_errors(f"looking up ids in {self._name}"):
            return ids_beginning_with(self._threads, ("_id",), prefix, limit)

    def having_used(self, model: str, session_ids: Sequence[str]) -> set[str]:
        """Those of the threads with a message whose metadata names the model."""
        return threads_with_messages(self._connection, self._messages_name, model, session_ids)

    def with_usage(self, sessions: Sequence[Session]) -> list[Session]:
        """The threads with the usage of their messages."""
        with driver_errors(f"adding up the usage of threads in {self._messages_name}"):
            return list(self._with_usage(sessions))

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every thread that matches, with the usage of its messages. The messages are not counted."""
        if not self._answers(query):
            return
        with driver_errors(f"reading the threads of {self._name}"):
            matching = [*conditions_of(query), *perhaps_in_period(query, "updated_at")]
            stages: list[Document] = [{"$match": {"$and": matching}}, {"$project": PROJECTION}]
            rows = self._threads.find() if self._in_memory else self._threads.aggregate(stages)
            sessions = (
                session
                for row in rows
                if not self._in_memory or OWN_THREADS.matches(row)
                if query.matches(session := to_session(row)) and self._addressable(session, row)
            )
            while some := list(islice(sessions, _THREADS_PER_SUM)):
                yield from self._with_usage(some)

    def _with_usage(self, sessions: Sequence[Session]) -> Iterator[Session]:
        summed = self._usage.of([session.session_id for session in sessions]) if self._has_messages() else {}
        for session in sessions:
            own = summed.get(session.session_id)
            yield session if own is None else replace(session, usage=own.usage, invalid_numbers=own.invalid)

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """The stored parts of a thread by collection. Raises NotAllowed for `keep_usage`: its messages have the usage.

        If the thread does not exist, its remaining messages count, except those that a fork or import may be storing.
        """
        require_own(self._connection, self._name, OWN_THREADS)
        require_own(self._connection, self._messages_name, OWN_THREAD_MESSAGES)
        document = self._locate(session_id)
        messages = self._messages_of(session_id)
        if document is None:
            messages |= _copied_before(datetime.now(UTC) - LONGEST_COPY) if self._in_memory else _NOT_BEING_COPIED
        found = count_parts(self._connection, [(self._messages_name, messages), (self._name, _identity(document))])
        if keep_usage and any(part.documents for part in found):
            raise NotAllowed(
                what=f"The usage of thread {session_id!r} is stored in its messages and is deleted with them.",
                hint="To delete the thread anyway, leave out --keep-usage.",
            )
        return found

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete a thread, then its messages. If this is interrupted, call it again.

        With `expected`, the command that deletes the thread has the condition that it has not changed.

        No tombstone is stored, because no journal has a thread. Messages that an import of the same id stores at this
        moment are newer than `deleted_at`, and stay.
        """
        require_own(self._connection, self._name, OWN_THREADS)
        require_own(self._connection, self._messages_name, OWN_THREAD_MESSAGES)
        for name in (self._name, self._messages_name):
            require_removable(self._connection, name)
        document = self._locate(session_id, {**PROJECTION, **dict.fromkeys(_GUARDED, 1)})
        until = deleted_at if document is not None else deleted_at - LONGEST_COPY
        with driver_errors(f"deleting thread {session_id!r}"):
            selected = {**_identity(document), **OWN_THREADS.filter()}
            if expected is not None and document is not None:
                [session] = self._with_counts([to_session(document)], NO_COUNT_LIMIT)
                expected.require(session_id, SessionState.of(session))
                selected |= {name: {"$eq": document.get(name)} for name in _GUARDED}
            threads = self._threads.delete_many(selected).deleted_count
            if expected is not None and not threads and self._locate(session_id) is not None:
                raise changed_at_this_moment(session_id)
            messages = remove_selected(self._messages, self._messages_of(session_id) | _copied_before(until))
        return [StoredPart(self._messages_name, messages), StoredPart(self._name, threads)]

    def message_searcher(self) -> MessageSearcher:
        """The searcher of the layout. In memory, where the server's filter does not work, it is the generic one."""
        from chatstore_cli.core.search.scanning import ScanningSearcher
        from chatstore_cli.mongo.threads.search import ThreadSearcher

        if self._in_memory:
            return ScanningSearcher(self)
        return ThreadSearcher(self, self._connection, self._threads, self._messages)

    def without_counts(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        """The threads of `newest_first`, whose messages are not counted."""
        if not self._answers(query):
            return []
        with driver_errors(f"listing the threads of {self._name}"):
            page = NewestThreads(self._threads, query, after, limit, self._addressable)
            return list(page.sessions(in_memory=self._in_memory))

    def session_changes(self) -> ThreadChanges:
        """How threads change."""
        from chatstore_cli.mongo.threads.feed import ThreadChanges

        return ThreadChanges(self._connection, self._name, lambda threads: self._with_counts(threads, COUNT_CAP))

    def message_changes(self, session_id: str) -> ThreadMessageChanges:
        """How the messages of one thread change."""
        from chatstore_cli.mongo.threads.feed import ThreadMessageChanges

        return ThreadMessageChanges(self._connection, self._collections, session_id)

    # --- what the methods share --------------------------------------------------------------------------------------

    def _answers(self, query: SessionQuery) -> bool:
        """Whether there may be threads for a query. Without the collection this costs no query."""
        texts = (query.tenant_id, query.user_id)
        can_match = query.layout in (None, LAYOUT) and all(text is None or is_storable(text) for text in texts)
        if not can_match or self.unanswerable(query) or not self._exists():
            return False
        return not self._lookup.take().is_another_products

    def _exists(self) -> bool:
        return collection_facts(self._connection, self._name).exists

    def _has_messages(self) -> bool:
        return collection_facts(self._connection, self._messages_name).exists

    def _locate(self, session_id: str, fields: Document = PROJECTION) -> Document | None:
        """These fields of the thread whose `_id` (of any type) has this text; None if there is no such thread."""
        if not self._exists():
            return None
        with driver_errors(f"looking up thread {session_id!r} in {self._name}"):
            for value in id_values(session_id):
                document: Document | None = self._threads.find_one({"_id": {"$eq": value}}, fields)
                if document is not None and OWN_THREADS.matches(document):
                    return document
            self._lookup.take()
        return None

    def _with_counts(self, sessions: list[Session], cap: int) -> list[Session]:
        ids = [session.session_id for session in sessions]
        counts = dict(self._counts.of(ids, cap, has_index=True)) if ids and self._has_messages() else {}
        counted = ((session, counts.get(session.session_id, 0)) for session in sessions)
        return [
            replace(session, message_count=min(count, cap), message_count_capped=count > cap)
            for session, count in counted
        ]

    def _messages_of(self, session_id: str) -> Document:
        return {"chat_thread_id": document_id_condition(session_id), **OWN_THREAD_MESSAGES.filter()}


def _identity(document: Document | None) -> Document:
    return {"_id": {"$in": [] if document is None else [document["_id"]]}}


def _copied_before(instant: datetime) -> Document:
    """The condition that a message was copied before the instant, or was not copied."""
    return {COPIED_AT: {"$not": {"$gte": instant}}}
