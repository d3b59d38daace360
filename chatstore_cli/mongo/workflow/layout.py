"""The `workflow` layout: one document per session with its messages inside, in every variant that products stored.

`documents.py` reads a document; this file asks for documents. Listing walks the index on `updated_at`. Older variants
keep that time in other fields, or as text. One look-up in the same index shows whether there are such documents, and
only then do they cost more.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice, product, repeat
from typing import TYPE_CHECKING, Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.removal import StoredPart
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.foreign_documents import ForeignLookup, require_own
from chatstore_cli.mongo.identifiers import REPLACED, id_values, is_storable
from chatstore_cli.mongo.indexed_types import EARLIEST, IS_DATE, LATEST, NOT_A_DATE
from chatstore_cli.mongo.tombstones import Part, count_parts, remove_parts
from chatstore_cli.mongo.workflow.counters import IN_LEDGER
from chatstore_cli.mongo.workflow.documents import (
    FACT_FIELDS,
    LAYOUT,
    MESSAGE_COUNT,
    STATUSES,
    UPDATED_FIELDS,
    session_id_of,
    to_message,
    to_session,
)
from chatstore_cli.mongo.workflow.index_specs import index_specs, segment_index_specs
from chatstore_cli.mongo.workflow.lookup import IDENTITY, locate
from chatstore_cli.mongo.workflow.own_sessions import OWN_SEGMENTS, OWN_SESSIONS
from chatstore_cli.mongo.workflow.segment_reader import LAST_SEGMENT, MOVED_MESSAGES, SegmentReader, names_segments

if TYPE_CHECKING:
    from chatstore_cli.mongo.workflow.feed import WorkflowChanges, WorkflowMessageChanges

_FACTS: Document = {**dict.fromkeys(FACT_FIELDS, 1), "message_count": MESSAGE_COUNT, LAST_SEGMENT: 1, MOVED_MESSAGES: 1}


class WorkflowLayout:
    """Reads sessions that are one document each, and the segments that hold the oldest messages of long ones."""

    layout = LAYOUT

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._name = settings.sessions_collection
        self._sessions = connection.collection(self._name)
        self._segments = connection.collection(settings.layouts.workflow.segments)
        self._usage, self._daily_sums = settings.layouts.workflow.usage, settings.layouts.workflow.usage_rollups
        self._in_memory = connection.in_memory
        self._reader = SegmentReader(self._sessions, self._segments, in_memory=self._in_memory)
        self._lookup = ForeignLookup(connection, self._name, OWN_SESSIONS)
        self._unaddressable: set[str] = set()

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not sessions; None if nothing was listed or missed."""
        return self._lookup.found

    @property
    def unaddressable(self) -> int:
        """The sessions that were met, and left out because no text can be their id."""
        return len(self._unaddressable)

    def _addressable(self, session: Session, row: Document) -> bool:
        """Whether a text addresses the session. If not, it is counted."""
        is_found = bool(session.session_id) and (
            REPLACED not in session.session_id or self._in_memory or self._locate(session.session_id) is not None
        )
        if not is_found:
            self._unaddressable.add(repr(row.get("_id"))[:200])
        return is_found

    def is_absent(self) -> bool:
        """Whether the collection does not exist."""
        return not collection_facts(self._connection, self._name).exists

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        return (*index_specs(self._name), *segment_index_specs(self._segments.name))

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """Empty: the documents have a field for every filter."""
        return []

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`."""
        if not _can_match(query) or self.is_absent() or self._lookup.take().is_another_products:
            return
        with driver_errors(f"listing the sessions of {self._name}"):
            page = _Page(query, after, limit, self._addressable)
            merged = heapq.merge(*self._streams(page), key=SessionKey.of, reverse=True)
            yield from self._reader.with_moved_messages(list(islice(merged, limit)), page.heads)

    def _streams(self, page: _Page) -> Iterator[Iterator[Session]]:
        """Streams in descending order; every session that the page may show is in exactly one of them."""
        if self._in_memory:
            yield page.best(map(page.session, filter(OWN_SESSIONS.matches, self._sessions.find())))
            return
        for conditions in product(*_branches(page.query)):
            yield self._dated("updated_at", {"$and": [OWN_SESSIONS.filter(), *conditions]}, page)
        if self._sessions.find_one({"$or": [{"updated_at": each} for each in NOT_A_DATE]}, {"_id": 1}) is None:
            return
        prefilter = [OWN_SESSIONS.filter(), *({"$or": branches} for branches in _branches(page.query))]
        others: list[Document] = [{"updated_at": IS_DATE}]
        for index, field in enumerate(UPDATED_FIELDS[1:], 1):
            absent = dict.fromkeys(UPDATED_FIELDS[:index])
            yield self._dated(field, {"$and": [absent, *prefilter]}, page)
            others.append({**absent, field: IS_DATE})
        # Two queries without an `or` between them take the server half the time.
        not_dates = {"$or": [{"updated_at": each} for each in NOT_A_DATE if each is not None]}
        for elsewhere in ({"updated_at": None}, {"$and": [not_dates, {"updated_at": {"$ne": None}}]}):
            rest = [{"$match": {"$and": [elsewhere, {"$nor": others}, *prefilter]}}, {"$project": _FACTS}]
            yield page.best(map(page.session, self._sessions.aggregate(rest)))

    def _dated(self, field: str, match: Document, page: _Page) -> Iterator[Session]:
        """Sessions by a field that is a date, newest first; those of one instant by id, which no index has."""
        upper = page.upper
        while upper >= page.lower:
            bounded = {"$and": [match, {field: {"$type": "date", "$gte": page.lower, "$lte": upper}}]}
            sessions = [page.session(row) for row in self._newest(field, bounded, page.limit + 1)]
            times = [session.updated_at for session in sessions if session.updated_at and session.updated_at <= upper]
            if not times:
                return
            whole = len(sessions) <= page.limit
            for moment, group in groupby(sessions, lambda session: session.updated_at):
                if moment is not None and (whole or moment > times[-1]):
                    yield from page.best(group)
            if whole:
                return
            same: list[Document] = [{"$match": {"$and": [match, {field: times[-1]}]}}, {"$project": _FACTS}]
            yield from page.best(map(page.session, self._sessions.aggregate(same)))
            upper = times[-1] - timedelta(milliseconds=1)

    def _newest(self, field: str, match: Document, limit: int) -> Iterator[Document]:
        newest: list[Document] = [{"$match": match}, {"$sort": {field: -1}}, {"$limit": limit}]
        if field == "updated_at":
            yield from self._sessions.aggregate([*newest, {"$project": _FACTS}], allowDiskUse=True)
            return
        # No index sorts these: only their ids are sorted, and the facts are fetched afterwards.
        light = [newest[0], {"$project": {field: 1}}, *newest[1:]]
        ids = [row["_id"] for row in self._sessions.aggregate(light, allowDiskUse=True)]
        facts = [{"$match": {"_id": {"$in": ids}}}, {"$project": _FACTS}]
        rows = self._sessions.aggregate(facts, **own_collation(self._sessions))  # compared below
        by_id = {repr(row["_id"]): row for row in rows}  # an id may be unhashable
        yield from (by_id[repr(identity)] for identity in ids if repr(identity) in by_id)

    def find(self, session_id: str) -> Session | None:
        """The facts of the session with that chat_id, or else that `_id` (its text, or its ObjectId's hex); else None."""
        if self.is_absent():
            return None
        row = self._locate(session_id, _FACTS)
        if row is None:
            self._lookup.take()
            return None
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            session = to_session(row)
            return self._reader.with_moved_messages([session], {session.session_id: row})[0]

    def _locate(self, session_id: str, fields: Document = IDENTITY) -> Document | None:
        return locate(self._sessions, session_id, fields, in_memory=self._in_memory)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches."""
        if not _can_match(query) or self.is_absent() or self._lookup.take().is_another_products:
            return
        match: Document = {"$and": [OWN_SESSIONS.filter(), *({"$or": branches} for branches in _branches(query))]}
        if query.without_ledger:
            match[f"real_time_tracking.{IN_LEDGER}"] = {"$exists": False}
        facts = [{"$match": match}, {"$project": _FACTS}]
        with driver_errors(f"reading the sessions of {self._name}"):
            documents = (
                filter(OWN_SESSIONS.matches, self._sessions.find())
                if self._in_memory
                else self._sessions.aggregate(facts)
            )
            sessions = ((to_session(document), document) for document in documents)
            yield from self._reader.all_with_moved_messages(
                row for row in sessions if query.matches(row[0]) and self._addressable(*row)
            )

    def session_changes(self) -> WorkflowChanges:
        """How sessions change."""
        from chatstore_cli.mongo.workflow.feed import WorkflowChanges

        return WorkflowChanges(self._connection, self._settings)

    def message_changes(self, session_id: str) -> WorkflowMessageChanges:
        """How the messages of one session change."""
        from chatstore_cli.mongo.workflow.feed import WorkflowMessageChanges

        return WorkflowMessageChanges(self._connection, self._settings, session_id)

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """How many documents of a session there are, by collection."""
        return count_parts(self._connection, self._parts(session_id, keep_usage))

    def remove(self, session_id: str, deleted_at: datetime, *, keep_usage: bool = False) -> list[StoredPart]:
        """Delete a session's document, segments and usage, and note that it was deleted on purpose."""
        # Segments once more at the end: a move may have been between its steps when they were looked up. Usage too: an
        # application may have stored some before it could see that the session was deleted.
        moved_late = {"_id": {"$gte": f"{session_id}:", "$lt": f"{session_id};"}, "chat_id": session_id}
        late = [(self._segments.name, moved_late), *([] if keep_usage else self._usage_parts(session_id))]
        return remove_parts(
            self._connection, LAYOUT, session_id, [*self._parts(session_id, keep_usage), *late], deleted_at
        )

    def _usage_parts(self, session_id: str) -> list[Part]:
        return [(self._usage, {"chat_id": session_id}), (self._daily_sums, {"_id": session_id})]

    def _parts(self, session_id: str, keep_usage: bool) -> list[Part]:
        require_own(self._connection, self._name, OWN_SESSIONS)
        require_own(self._connection, self._segments.name, OWN_SEGMENTS)
        document = self._locate(session_id)
        segments = list(self._reader.segment_ids([session_id]))
        return [
            *([] if keep_usage else self._usage_parts(session_id)),
            (self._segments.name, {"_id": {"$in": segments}}),  # first: a document without its beginning would mislead
            (self._name, {"_id": document["_id"]} if document else {"_id": {"$in": []}}),
        ]

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in order of sequence, streamed. Raises NotFound; Conflict if they are rewritten meanwhile.

        Segments come before the document, oldest first, and each message once, also while more of them move there. A
        message without a sequence follows the one that it was stored after, and `after_sequence` treats both alike.
        """
        document = self._locate(session_id)
        if document is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        return self._read(session_id_of(document), document["_id"], selection)

    def _read(self, session_id: str, document_id: Any, selection: MessageSelection) -> Iterator[Message]:
        with driver_errors(f"reading session {session_id!r} in {self._name}"):
            for run in self._reader.elements(session_id, document_id, selection):
                messages = map(to_message, repeat(session_id), run)
                if selection.include_general:
                    yield from messages
                else:
                    yield from (message for message in messages if not message.from_general_agent)


class _Page:
    """What one page may show, and the heads that name the segments of its sessions."""

    def __init__(
        self,
        query: SessionQuery,
        after: SessionKey | None,
        limit: int,
        is_addressable: Callable[[Session, Document], bool],
    ) -> None:
        self.query, self.after, self.limit = query, after, limit
        self._is_addressable = is_addressable
        self._left_out: set[SessionKey] = set()
        self.lower = max(EARLIEST, query.since or EARLIEST)
        self.upper = min(LATEST, query.until or LATEST, after.instant if after is not None else LATEST)
        self.heads: dict[str, Document] = {}

    def session(self, row: Document) -> Session:
        """The session of a row; if its head names the segments that count, `heads` gets it."""
        session = to_session(row)
        if self._fits(session) and not self._is_addressable(session, row):
            self._left_out.add(SessionKey.of(session))
        if names_segments(row):
            self.heads[session.session_id] = {name: row.get(name) for name in (LAST_SEGMENT, MOVED_MESSAGES)}
        return session

    def best(self, sessions: Iterable[Session]) -> Iterator[Session]:
        """The sessions that the page may show, newest first, and at most as many as fit."""
        fitting = (
            session
            for session in sessions
            if session.session_id and self._fits(session) and SessionKey.of(session) not in self._left_out
        )
        return iter(heapq.nlargest(self.limit, fitting, key=SessionKey.of))

    def _fits(self, session: Session) -> bool:
        return self.query.matches(session) and (self.after is None or SessionKey.of(session) < self.after)


def _can_match(query: SessionQuery) -> bool:
    texts = (query.tenant_id, query.user_id, query.workflow)
    return query.layout in (None, LAYOUT) and all(text is None or is_storable(text) for text in texts)


def _branches(query: SessionQuery) -> list[list[Document]]:
    """For each filter, the ways in which a document may pass it: disjoint, and each served by an index.

    They may let too many documents pass; SessionQuery.matches decides. Text is only used as a value in them.
    """
    filters: list[list[Document]] = []
    if query.tenant_id is not None:
        tenants = id_values(query.tenant_id)
        filters.append(
            [{"enterprise_id": {"$in": tenants}}, {"app_id": {"$in": tenants}, "enterprise_id": {"$nin": tenants}}]
        )
    if query.paused:
        filters.append([{"paused": True}])
    if query.user_id is not None:
        filters.append([{"user_id": {"$in": id_values(query.user_id)}}])
    if query.workflow is not None:
        named = {"workflow_name": {"$eq": query.workflow}}
        filters.append([named, {"workflow_name": None, "workflow_status": {"$type": "object"}}])
    if query.status is not None:
        values = [value for value, status in STATUSES.items() if status is query.status]
        unreadable = {"status": {"$nin": list(STATUSES)}}  # then other fields hold the status
        filters.append([{"status": {"$in": values}}, unreadable] if values else [unreadable])
    return filters
