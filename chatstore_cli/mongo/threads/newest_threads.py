"""One page of threads, newest first, read from the indexes on (updated_at, _id).

The order of these indexes is that of SessionKey for a text as `_id` and a date as `updated_at`, which is what chatstore and
fluxibly write. Threads with other ids and times are read by additional queries, if one look-up in the indexes shows that
there are any.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_values, is_storable
from chatstore_cli.mongo.indexed_types import EARLIEST, IS_DATE, IS_TEXT, LATEST, NOT_A_DATE, NOT_A_TEXT, date_in_period
from chatstore_cli.mongo.threads.own_threads import OWN_THREADS
from chatstore_cli.mongo.threads.sessions import FACT_FIELDS, LAYOUT, newest_instant, to_session

PROJECTION: Document = dict.fromkeys(FACT_FIELDS, 1)
_ORDER: Document = {"updated_at": -1, "_id": -1}
_MORE = 4
"""If rows of a page are left out, the next query reads this many times as many."""


def conditions_of(query: SessionQuery) -> list[Document]:
    """The conditions on threads for the server. Other threads may meet them too, so SessionQuery.matches decides."""
    wanted = (("user_id", query.user_id), ("org_id", query.tenant_id))
    filters = [{name: {"$in": id_values(text)}} for name, text in wanted if text is not None]
    if query.among is not None:
        filters.append({"_id": {"$in": [value for each in query.among for value in id_values(each)]}})
    return [OWN_THREADS.filter(), *filters]


def count_threads(threads: Collection[Document], query: SessionQuery, limit: int, *, in_memory: bool) -> int:
    """How many threads match; it stops at `limit`. Those whose time is not a date are read, which no index sorts."""
    if in_memory:
        found = map(to_session, filter(OWN_THREADS.matches, threads.find()))
        return sum(1 for _ in islice(filter(query.matches, found), limit))
    conditions = conditions_of(query)
    if query.since is None and query.until is None:
        return threads.count_documents({"$and": conditions}, limit=limit)
    counted = threads.count_documents({"$and": [{"updated_at": date_in_period(query)}, *conditions]}, limit=limit)
    others = {"$and": [{"$or": [{"updated_at": each} for each in NOT_A_DATE]}, *conditions]}
    matching = filter(query.matches, map(to_session, threads.find(others, PROJECTION)))
    return counted + sum(1 for _ in islice(matching, limit - counted))


class NewestThreads:
    """The threads of one page. Raises the driver's own errors."""

    def __init__(
        self,
        threads: Collection[Document],
        query: SessionQuery,
        after: SessionKey | None,
        limit: int,
        is_addressable: Callable[[Session, Document], bool],
    ) -> None:
        """`is_addressable` decides whether a text finds a session. It is called only for sessions that match the query."""
        self._threads = threads
        self._query = query
        self._after = after
        self._limit = limit
        self._is_addressable = is_addressable
        self._conditions = conditions_of(query)
        self._lower = max(EARLIEST, query.since or EARLIEST)
        self._upper = min(LATEST, query.until or LATEST, after.instant if after is not None else LATEST)

    def sessions(self, *, in_memory: bool) -> Iterator[Session]:
        """The sessions of the page in descending order of SessionKey, without their numbers of messages."""
        if in_memory:
            return self._best(filter(OWN_THREADS.matches, self._threads.find()))
        return islice(heapq.merge(*self._streams(), key=SessionKey.of, reverse=True), self._limit)

    def _streams(self) -> list[Iterator[Session]]:
        """Streams in descending order; each thread of the page is in exactly one of them."""
        odd: list[Document] = [{"_id": NOT_A_TEXT}, *({"updated_at": each} for each in NOT_A_DATE)]
        if not self._has({"$or": odd}):
            return [self._with_text_ids()]
        streams = [self._without_date()]
        if self._has({"_id": IS_TEXT}):
            streams.append(self._with_text_ids())
        if self._has({"_id": NOT_A_TEXT}):
            streams.append(self._with_other_ids())
        return streams

    def _has(self, condition: Document) -> bool:
        return self._threads.find_one(condition, {"_id": 1}) is not None

    def _with_text_ids(self) -> Iterator[Session]:
        """In the order of the index. Two queries, so that each begins where the page begins."""
        upper = self._upper
        if self._after is not None and self._after.instant == upper:
            if self._after.layout == LAYOUT and is_storable(self._after.session_id):
                yield from self._in_order({"_id": {"$lt": self._after.session_id}}, upper, upper)
            if self._after.layout <= LAYOUT:
                if upper <= self._lower:
                    return
                upper -= datetime.resolution
        yield from self._in_order({"_id": IS_TEXT}, self._lower, upper)

    def _in_order(self, condition: Document, lower: datetime, upper: datetime) -> Iterator[Session]:
        seen, size = 0, self._limit
        while True:
            rows = self._read(condition, lower, upper, size)
            yield from self._fitting(rows[seen:], lower, upper)
            if len(rows) < size:
                return
            seen, size = size, size * _MORE

    def _with_other_ids(self) -> Iterator[Session]:
        """Ids of other types, whose order in the index is not that of their texts: those of one instant are sorted here."""
        lower, upper, size = self._lower, self._upper, self._limit
        condition: Document = {"_id": NOT_A_TEXT}
        while upper >= lower:
            rows = self._read(condition, lower, upper, size)
            is_end = len(rows) < size
            times = [moment for row in rows if (moment := newest_instant(row["updated_at"])) and moment <= upper]
            if not times and not is_end:  # arrays of dates, whose newest ones are later
                size *= _MORE
                continue
            oldest = lower if is_end else times[-1]
            if not is_end:
                rows = self._read(condition, oldest, upper, None)
            yield from self._best(rows, oldest, upper)
            if is_end or oldest <= lower:
                return
            upper = oldest - timedelta(milliseconds=1)

    def _without_date(self) -> Iterator[Session]:
        """Threads with a time of another type, which no index sorts."""
        yield from self._best(
            self._threads.aggregate(
                [
                    {"$match": {"$or": [{"updated_at": each} for each in NOT_A_DATE]}},
                    {"$match": {"$and": [*self._conditions, {"$nor": [{"updated_at": IS_DATE}]}]}},
                    {"$project": PROJECTION},
                ]
            )
        )

    def _read(self, condition: Document, lower: datetime, upper: datetime, limit: int | None) -> list[Document]:
        in_time = {"updated_at": {"$gte": lower, "$lte": upper}}
        stages: list[Document] = [{"$match": {"$and": [condition, in_time, *self._conditions]}}, {"$sort": _ORDER}]
        stages += [] if limit is None else [{"$limit": limit}]
        return list(self._threads.aggregate([*stages, {"$project": PROJECTION}], allowDiskUse=True))

    def _fitting(
        self, rows: Iterable[Any], lower: datetime | None = None, upper: datetime | None = None
    ) -> Iterator[Session]:
        """The sessions of the rows that the page may show, in the same order.

        An array of dates meets a condition on times by any of its dates, but has the time of the newest one.
        """
        for row in rows:
            session = to_session(row)
            updated_at = session.updated_at
            if lower is not None and upper is not None and not (updated_at and lower <= updated_at <= upper):
                continue
            is_below = self._after is None or SessionKey.of(session) < self._after
            if is_below and self._query.matches(session) and self._is_addressable(session, row):
                yield session

    def _best(
        self, rows: Iterable[Any], lower: datetime | None = None, upper: datetime | None = None
    ) -> Iterator[Session]:
        return iter(heapq.nlargest(self._limit, self._fitting(rows, lower, upper), key=SessionKey.of))
