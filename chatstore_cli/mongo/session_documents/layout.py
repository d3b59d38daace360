"""The reader of the layouts that store a session as one document with its messages inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import NotFound, WrongUse
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.removal import SessionState, StoredPart, changed_at_this_moment
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import NameField, NameTotal
from chatstore_cli.mongo.addressable import AddressableSessions
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.foreign_documents import ForeignLookup, require_own
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.indexed_types import perhaps_in_period
from chatstore_cli.mongo.ledger_layouts import usage_parts
from chatstore_cli.mongo.name_totals import grouped_totals, ids_beginning_with, totals_of
from chatstore_cli.mongo.session_documents.collection import LightCollection, SessionCollection
from chatstore_cli.mongo.session_documents.counting import count_sessions
from chatstore_cli.mongo.session_documents.documents import session_id_of, to_message
from chatstore_cli.mongo.session_documents.listing import (
    LocatedSession,
    NewestSessions,
    branches,
    can_match,
    listed_facts,
)
from chatstore_cli.mongo.session_documents.shape import SESSION_TYPE, TENANT_FIELDS, DocumentShape
from chatstore_cli.mongo.tombstones import Part, count_parts, remove_parts, require_all_removable
from chatstore_cli.mongo.used_models import sessions_in_ledger

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher, WordsIndexer
    from chatstore_cli.domain.times import Clock
    from chatstore_cli.mongo.search.words_collection import WordsCollection
    from chatstore_cli.mongo.session_documents.feed import DocumentChanges, DocumentMessageChanges


GUARDED = ("created_at", "status", "last_sequence", "last_segment")
"""Fields that a planned deletion compares, beside those of the update time: what changes with a session."""
_AT_ONCE = 1_000
_NO_MESSAGES: Document = {"messages.0": {"$exists": False}}


class DocumentLayout(ABC):
    """Reads sessions that are one document each, and the segments that hold the oldest messages of long ones."""

    shape: ClassVar[DocumentShape]

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.layout = self.shape.layout
        self._connection = connection
        self._settings = settings
        self._collection = collection = SessionCollection(self.shape, connection, settings)
        self._light = LightCollection(self.shape, connection, settings)
        self._name, self._sessions, self._segments = collection.name, collection.sessions, collection.segments
        self._in_memory = connection.in_memory
        self._reader = collection.reader
        self._own = self.shape.own_sessions
        self._facts = listed_facts(collection)
        self._lookup = ForeignLookup(connection, self._name, self._own)
        self._addressable = AddressableSessions(collection.locate, in_memory=connection.in_memory)

    @abstractmethod
    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """Empty: the documents have a field for every filter."""
        return []

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not sessions; None if nothing was listed or missed."""
        return self._lookup.found

    @property
    def unaddressable(self) -> int:
        """The number of sessions that were read and left out, because their id cannot be written as text."""
        return self._addressable.left_out

    def is_absent(self) -> bool:
        """Whether the collection does not exist."""
        return not collection_facts(self._connection, self._name).exists

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`."""
        if not can_match(self._collection, query) or self.is_absent() or self._lookup.take().is_another_products:
            return
        yield from NewestSessions(self._collection, self._addressable).page(query, after, limit)

    def located(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[LocatedSession]:
        """The same sessions with the `_id` of their documents. Messages in segments are not counted."""
        if not can_match(self._collection, query) or self.is_absent() or self._lookup.take().is_another_products:
            return
        yield from NewestSessions(self._light, self._addressable).located(query, after, limit)

    def located_session(self, session_id: str) -> LocatedSession | None:
        """One session with the `_id` of its document; None if it does not exist."""
        row = None if self.is_absent() else self._collection.locate(session_id, self._facts)
        return None if row is None else LocatedSession(self._light.to_session(row), (row["_id"],))

    def located_documents(self, document_ids: Sequence[Any]) -> Iterator[LocatedSession]:
        """The sessions with these `_id`s, in any order."""
        own = self.shape.own_sessions.filter()
        fields = dict.fromkeys(self.shape.light_fields, 1)
        for start in range(0, len(document_ids), _AT_ONCE):
            ids = document_ids[start : start + _AT_ONCE]
            wanted = set(map(repr, ids))  # a collation takes others for equal
            stages: list[Document] = [{"$match": {"$and": [{"_id": {"$in": list(ids)}}, own]}}, {"$project": fields}]
            with driver_errors(f"reading the sessions of {self._name}"):
                rows = list(self._sessions.aggregate(stages, **own_collation(self._sessions)))
            for row in rows:
                session = self._light.to_session(row)
                if repr(row["_id"]) in wanted and self._addressable(session, row):
                    yield LocatedSession(session, (row["_id"],))

    @property
    def words(self) -> WordsCollection:
        """The index of their words, which need not exist (`search index`)."""
        from chatstore_cli.mongo.search.words_collection import WordsCollection

        return WordsCollection(self._connection, self._settings.chatstore.search.words, self.layout, self._name)

    def words_indexer(self, server_now: Clock) -> WordsIndexer:
        """What keeps the index of words up to date. Raises WrongUse in memory, where no search uses it."""
        from chatstore_cli.mongo.session_documents.words import DocumentWords

        if self._in_memory:
            raise WrongUse(what="mongomock has no index of words.", hint="Search without one: chatstore search TEXT.")
        return DocumentWords(self._collection, self.located, self.words, server_now)

    def message_searcher(self) -> MessageSearcher:
        """The searcher of the layout. In memory, where the server's filter does not work, it is the generic one."""
        from chatstore_cli.core.search.scanning import ScanningSearcher
        from chatstore_cli.mongo.session_documents.search import DocumentSearcher

        return ScanningSearcher(self) if self._in_memory else DocumentSearcher(self, self._collection)

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """The facts of the session with that chat_id, or else that `_id` (its text, or its ObjectId's hex); else None."""
        if self.is_absent():
            return None
        located = self._collection.locate_shared(session_id, self._facts)
        if located is None:
            self._lookup.take()
            return None
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            session = replace(self._collection.to_session(located.row), shared_id=located.shared_id)
            return self._reader.with_moved_messages([session], {session.session_id: located.row})[0]

    within = staticmethod(time_limit)
    orders_by_sequence: Literal[True] = True

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many sessions pass the indexed filters of the query; it stops at `limit`."""
        if not can_match(self._collection, query) or self.is_absent() or self._lookup.take().is_another_products:
            return 0
        with driver_errors(f"counting the sessions of {self._name}"):
            return count_sessions(self._collection, query.indexed, limit)

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The sessions of each tenant or user."""
        query = SessionQuery(tenant_id=tenant_id)
        if self._in_memory:
            yield from totals_of(self.all_facts(query), field)
        elif (
            can_match(self._collection, query) and not self.is_absent() and not self._lookup.take().is_another_products
        ):
            match: Document = {"$and": [self._own.filter(), *({"$or": either} for either in branches(query))]}
            names = (*TENANT_FIELDS, *(("user_id",) if field == "user" else ()))
            with driver_errors(f"counting the sessions of each {field} in {self._name}"):
                yield from grouped_totals(
                    self._sessions,
                    match,
                    field=field,
                    names=names,
                    times=self.shape.updated_fields,
                    to_session=self._collection.to_session,
                )

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of sessions that begin with this text."""
        if self.is_absent():
            return []
        with driver_errors(f"looking up ids in {self._name}"):
            return ids_beginning_with(self._sessions, self.shape.id_fields, prefix, limit)

    def having_used(self, model: str, session_ids: Sequence[str]) -> set[str]:
        """Those of the sessions with a report about the model in the usage ledger."""
        return sessions_in_ledger(self._connection, self._settings, self.layout, model, session_ids)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches."""
        if not can_match(self._collection, query) or self.is_absent() or self._lookup.take().is_another_products:
            return
        filters = [
            *({"$or": either} for either in branches(query)),
            *perhaps_in_period(query, self.shape.updated_field),
        ]
        match: Document = {"$and": [self._own.filter(), *filters]}
        if query.among is not None:
            ids = {"$in": [value for each in query.among for value in id_values(each)]}
            match["$or"] = [{field: ids} for field in self.shape.id_fields]
        if query.without_ledger:
            match[self.shape.in_ledger_field] = {"$exists": False}
        facts = [{"$match": match}, {"$project": self._facts}]
        with driver_errors(f"reading the sessions of {self._name}"):
            documents = (
                filter(self._own.matches, self._sessions.find()) if self._in_memory else self._sessions.aggregate(facts)
            )
            sessions = ((self._collection.to_session(document), document) for document in documents)
            yield from self._reader.all_with_moved_messages(
                row for row in sessions if query.matches(row[0]) and self._addressable(*row)
            )

    def session_changes(self) -> DocumentChanges:
        """How sessions change."""
        from chatstore_cli.mongo.session_documents.feed import DocumentChanges

        return DocumentChanges(self.shape, self._connection, self._settings)

    def message_changes(self, session_id: str) -> DocumentMessageChanges:
        """How the messages of one session change."""
        from chatstore_cli.mongo.session_documents.feed import DocumentMessageChanges

        return DocumentMessageChanges(self.shape, self._connection, self._settings, session_id)

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """How many documents of a session there are, by collection."""
        return count_parts(self._connection, self._parts(session_id, keep_usage))

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete a session's document, segments and usage, and note that it was deleted on purpose.

        With `expected` the document is deleted first, by a command whose condition is that it has not changed.
        """
        parts = self._parts(session_id, keep_usage)
        # Segments once more at the end: a move may have been between its steps when they were looked up. Usage too: an
        # application may have stored some before it could see that the session was deleted.
        moved_late = {"_id": {"$gte": f"{session_id}:", "$lt": f"{session_id};"}, "chat_id": session_id}
        late = [
            (self._segments.name, moved_late),
            *self._usage_parts(session_id, keep_usage),
            *self._words_parts(session_id),
        ]
        if expected is None:
            return remove_parts(self._connection, self.layout, session_id, [*parts, *late], deleted_at)
        require_all_removable(self._connection, parts)
        heads = self._remove_head(session_id, expected)
        removed = remove_parts(self._connection, self.layout, session_id, [*parts[:-1], *late], deleted_at)
        return [*removed, StoredPart(self._name, heads)]

    def _remove_head(self, session_id: str, expected: SessionState) -> int:
        """Delete the document if the session is as expected, and return how many were deleted. Raises SessionChanged."""
        fields = {**dict.fromkeys(GUARDED, 1), **dict.fromkeys(self.shape.updated_fields, 1)}
        row = self._collection.locate(session_id, {**self._facts, **fields})
        if row is None:
            return 0
        with driver_errors(f"deleting session {session_id!r}"):
            [session] = self._reader.with_moved_messages([self._collection.to_session(row)], {session_id: row})
            expected.require(session_id, SessionState.of(session))
            unchanged: Document = {name: {"$eq": row.get(name)} for name in fields}
            in_head = len(row.get("messages") or []) if self._in_memory else row["message_count"]
            unchanged |= {"messages": {"$size": in_head}} if in_head else _NO_MESSAGES
            removed = self._sessions.delete_one({"_id": row["_id"], **unchanged}).deleted_count
        if not removed and self._collection.locate(session_id) is not None:
            raise changed_at_this_moment(session_id)
        return removed

    def _parts(self, session_id: str, keep_usage: bool) -> list[Part]:
        require_own(self._connection, self._name, self._own)
        require_own(self._connection, self._segments.name, self.shape.own_segments)
        document = self._collection.locate(session_id)
        if document is not None and (shared_id := self._collection.shared_id(session_id, document["_id"])) is not None:
            raise shared_id.rejection()  # the documents share segments and usage
        segments = list(self._reader.segment_ids([session_id]))
        return [
            *self._usage_parts(session_id, keep_usage),
            *self._words_parts(session_id),
            (self._segments.name, {"_id": {"$in": segments}}),  # first: a document without its beginning would mislead
            (self._name, {"_id": document["_id"]} if document else {"_id": {"$in": []}}),
        ]

    def _words_parts(self, session_id: str) -> list[Part]:
        """The words of the session, which `search index` may have stored, also since the deletion began."""
        words = self.words
        return [(words.name, words.of_session(session_id))] if words.exists else []

    def _usage_parts(self, session_id: str, keep_usage: bool) -> list[Part]:
        return [] if keep_usage else usage_parts(self._settings, self.layout, session_id)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in order of sequence, streamed. Raises NotFound; Conflict if they are rewritten meanwhile.

        Segments come before the document, oldest first, and each message once, also while more of them move there. A
        message without a sequence follows the one that it was stored after, and `after_sequence` treats both alike.
        """
        document = self._collection.locate(session_id, {"chat_id": 1, SESSION_TYPE: 1})
        if document is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        if self.shape.is_general_chat(document):
            selection = replace(selection, include_general=True)
        return islice(self._read(session_id_of(document), document["_id"], selection), selection.first)

    def _read(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[Message]:
        with driver_errors(f"reading session {session_id!r} in {self._name}"):
            for run in self._reader.elements(session_id, document_id, selection):
                messages = map(to_message, repeat(session_id), run)
                if selection.include_general:
                    yield from messages
                else:
                    yield from (message for message in messages if not message.from_general_agent)
