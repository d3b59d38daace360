"""Lists the sessions of one layout newest first: walks the index on the shape's `updated_field`.

Other variants keep that time in other fields, or as text. One look-up in the same index shows whether there are such
documents, and only then do they cost more.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import groupby, islice, product
from typing import Any, NamedTuple

from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import id_values, is_storable
from chatstore_cli.mongo.indexed_types import EARLIEST, IS_DATE, LATEST, NOT_A_DATE
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import MESSAGE_COUNT, STATUSES
from chatstore_cli.mongo.session_documents.segment_reader import LAST_SEGMENT, MOVED_MESSAGES, names_segments


def listed_facts(collection: SessionCollection) -> Document:
    """The projection of what a list shows."""
    fields = dict.fromkeys(collection.shape.fact_fields, 1)
    return {**fields, "message_count": MESSAGE_COUNT, LAST_SEGMENT: 1, MOVED_MESSAGES: 1}


class LocatedSession(NamedTuple):
    """A session and the `_id` of its document; of several documents if an unhealthy database has them."""

    session: Session
    document_ids: tuple[Any, ...]

    @property
    def keys(self) -> list[str]:
        """The ids as texts for a dictionary, because an id may be unhashable."""
        return list(map(repr, self.document_ids))


class NewestSessions:
    """The sessions of a collection in descending order of SessionKey."""

    def __init__(self, collection: SessionCollection, is_addressable: Callable[[Session, Document], bool]) -> None:
        """`is_addressable` decides whether a text addresses a session; others are left out."""
        self._collection = collection
        self._sessions = collection.sessions
        self._is_addressable = is_addressable
        self._own = collection.shape.own_sessions
        self._fields = collection.shape.updated_fields
        self._facts = listed_facts(collection)

    def page(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions, strictly below `after`."""
        with driver_errors(f"listing the sessions of {self._collection.name}"):
            page = _Page(self._collection, query, after, limit, self._is_addressable)
            merged = heapq.merge(*self._streams(page), key=SessionKey.of, reverse=True)
            yield from self._collection.reader.with_moved_messages(list(islice(merged, limit)), page.heads)

    def located(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[LocatedSession]:
        """The same page with the documents of the sessions, for a LightCollection."""
        self._facts = dict.fromkeys(self._collection.shape.light_fields, 1)
        with driver_errors(f"listing the sessions of {self._collection.name}"):
            page = _Page(self._collection, query, after, limit, self._is_addressable)
            merged = heapq.merge(*self._streams(page), key=SessionKey.of, reverse=True)
            for session in list(islice(merged, limit)):
                yield LocatedSession(session, tuple(page.document_ids.get(session.session_id, ())))

    def _streams(self, page: _Page) -> Iterator[Iterator[Session]]:
        """Streams in descending order; every session that the page may show is in exactly one of them."""
        first = self._fields[0]
        if self._collection.in_memory:
            yield page.best(map(page.session, filter(self._own.matches, self._sessions.find())))
            return
        for conditions in product(*branches(page.query)):
            yield self._dated(first, {"$and": [self._own.filter(), *conditions]}, page)
        if self._sessions.find_one({"$or": [{first: each} for each in NOT_A_DATE]}, {"_id": 1}) is None:
            return
        prefilter = [self._own.filter(), *({"$or": branches} for branches in branches(page.query))]
        others: list[Document] = [{first: IS_DATE}]
        for index, field in enumerate(self._fields[1:], 1):
            absent = dict.fromkeys(self._fields[:index])
            yield self._dated(field, {"$and": [absent, *prefilter]}, page)
            others.append({**absent, field: IS_DATE})
        # Two queries without an `or` between them take the server half the time.
        not_dates = {"$or": [{first: each} for each in NOT_A_DATE if each is not None]}
        for elsewhere in ({first: None}, {"$and": [not_dates, {first: {"$ne": None}}]}):
            rest = [{"$match": {"$and": [elsewhere, {"$nor": others}, *prefilter]}}, {"$project": self._facts}]
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
            same: list[Document] = [{"$match": {"$and": [match, {field: times[-1]}]}}, {"$project": self._facts}]
            yield from page.best(map(page.session, self._sessions.aggregate(same)))
            upper = times[-1] - timedelta(milliseconds=1)

    def _newest(self, field: str, match: Document, limit: int) -> Iterator[Document]:
        newest: list[Document] = [{"$match": match}, {"$sort": {field: -1}}, {"$limit": limit}]
        if field == self._fields[0]:
            yield from self._sessions.aggregate([*newest, {"$project": self._facts}], allowDiskUse=True)
            return
        # No index sorts these: only their ids are sorted, and the facts are fetched afterwards.
        light = [newest[0], {"$project": {field: 1}}, *newest[1:]]
        ids = [row["_id"] for row in self._sessions.aggregate(light, allowDiskUse=True)]
        facts = [{"$match": {"_id": {"$in": ids}}}, {"$project": self._facts}]
        rows = self._sessions.aggregate(facts, **own_collation(self._sessions))  # compared below
        by_id = {repr(row["_id"]): row for row in rows}  # an id may be unhashable
        yield from (by_id[repr(identity)] for identity in ids if repr(identity) in by_id)


class _Page:
    """What one page may show, and the heads that name the segments of its sessions."""

    def __init__(
        self,
        collection: SessionCollection,
        query: SessionQuery,
        after: SessionKey | None,
        limit: int,
        is_addressable: Callable[[Session, Document], bool],
    ) -> None:
        self._collection = collection
        self.query, self.after, self.limit = query, after, limit
        self._is_addressable = is_addressable
        self._left_out: set[SessionKey] = set()
        self.lower = max(EARLIEST, query.since or EARLIEST)
        self.upper = min(LATEST, query.until or LATEST, after.instant if after is not None else LATEST)
        self.heads: dict[str, Document] = {}
        self.document_ids: dict[str, list[Any]] = {}

    def session(self, row: Document) -> Session:
        """The session of a row; if its head names the segments that count, `heads` gets it."""
        session = self._collection.to_session(row)
        ids = self.document_ids.setdefault(session.session_id, [])
        if row["_id"] not in ids:
            ids.append(row["_id"])
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


def can_match(collection: SessionCollection, query: SessionQuery) -> bool:
    """Whether any session of the layout can match."""
    texts = (query.tenant_id, query.user_id, query.workflow)
    return query.layout in (None, collection.shape.layout) and all(text is None or is_storable(text) for text in texts)


def branches(query: SessionQuery) -> list[list[Document]]:
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
