"""One page of calls, newest first, read from the index on `_id`.

An ObjectId begins with the second in which it was created. Calls of one second are ordered by their session ids, as in
every list. No index has that order, so they are sorted here. Documents with other ids, which only an import can have made, are
read by an additional query, if one look-up in the index shows that there are any.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.indexed_types import NOT_AN_OBJECT_ID
from chatstore_cli.mongo.products.call_documents import FACT_FIELDS, FAILED_REASONS, ITEM_COUNT, OWN_CALLS, to_session

_COUNTED: Document = {"$cond": [{"$isArray": "$chatHistory"}, {"$size": "$chatHistory"}, 0]}
_ITEMS: Document = {"$cond": [{"$isArray": "$chatHistory.items"}, {"$size": "$chatHistory.items"}, _COUNTED]}
PROJECTION: Document = {
    **dict.fromkeys(FACT_FIELDS, 1),
    ITEM_COUNT: _ITEMS,
}
"""What a list shows."""

FILTERED_FIELDS = ("orgId", "createdByUserId", "agentId", "closeReason")
"""The fields of the filters tenant, user, workflow and status `failed`."""
_LAST_SECOND = 2**32 - 1
_REST_OF_ID = 8
"""Bytes of an ObjectId after its second."""


def call_index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The indexes that lists with a filter need. They are only proposed if the layout is named."""
    names = ("calls_org_idx", "calls_user_idx", "calls_agent_idx", "calls_reason_idx")
    which = ("of a tenant", "of a user", "of an agent", "that failed")
    return tuple(
        IndexSpec(collection, name, ((field, 1), ("_id", -1)), why=f"lists the calls {calls}, newest first")
        for name, field, calls in zip(names, FILTERED_FIELDS, which, strict=True)
    )


def conditions_of(query: SessionQuery) -> list[Document]:
    """The conditions on transcripts for the server. Others may meet them too, so SessionQuery.matches decides."""
    wanted = (("orgId", query.tenant_id), ("createdByUserId", query.user_id), ("agentId", query.workflow))
    filters: list[Document] = [{name: {"$in": id_values(text)}} for name, text in wanted if text is not None]
    if query.status is SessionStatus.FAILED:
        filters.append({"closeReason": {"$in": list(FAILED_REASONS)}})
    if query.among is not None:
        filters.append({"sessionId": {"$in": [value for each in query.among for value in id_values(each)]}})
    return [OWN_CALLS.filter(), *filters]


def perhaps_stored_in_period(query: SessionQuery) -> list[Document]:
    """Conditions that every call meets whose time may be in the period of a query; none if the query has no period.

    An `_id` that is an ObjectId has the time. Calls with another `_id` have it in another field, so they meet the
    conditions too.
    """
    if query.since is None and query.until is None:
        return []
    first = max(0, _second(query.since))
    last = _LAST_SECOND if query.until is None else min(_LAST_SECOND, _second(query.until))
    in_time = [_in_seconds(first, last)] if first <= last else []  # else no ObjectId has such a time
    return [{"$or": [{"_id": each} for each in (*in_time, NOT_AN_OBJECT_ID)]}]


class NewestCalls:
    """The calls of one page. Raises the driver's own errors."""

    def __init__(
        self,
        calls: Collection[Document],
        query: SessionQuery,
        after: SessionKey | None,
        limit: int,
        is_addressable: Callable[[Session, Document], bool],
    ) -> None:
        """`is_addressable` decides whether a text finds a call. It is called only for calls that match the query."""
        self._calls = calls
        self._query = query
        self._after = after
        self._limit = limit
        self._is_addressable = is_addressable
        self._conditions = conditions_of(query)
        self._options = own_collation(calls)  # that of the index on _id; what comes back is compared below
        self.remark: str | None = None

    def sessions(self, *, in_memory: bool) -> Iterator[Session]:
        """The sessions of the page in descending order of SessionKey."""
        if in_memory:
            return self._best(filter(OWN_CALLS.matches, self._calls.find()))
        streams = [self._by_second()]
        if self._calls.find_one({"_id": NOT_AN_OBJECT_ID}, {"_id": 1}, **self._options) is not None:
            self.remark = (
                f"{self._calls.name} has documents whose _id is not an ObjectId. They are ordered by their updatedAt, which no "
                "index has."
            )
            rest: list[Document] = [{"$match": {"$and": [{"_id": NOT_AN_OBJECT_ID}, *self._conditions]}}]
            streams.append(self._best(self._read([*rest, {"$project": PROJECTION}])))
        return islice(heapq.merge(*streams, key=SessionKey.of, reverse=True), self._limit)

    def _by_second(self) -> Iterator[Session]:
        lower = max(0, _second(self._query.since))
        upper = min([_LAST_SECOND, *(_second(each) for each in self._upper_bounds())])
        while lower <= upper:
            rows = list(self._read(self._stages(lower, upper, self._limit + 1)))
            is_end = len(rows) <= self._limit
            seconds = [(second, list(same)) for second, same in groupby(rows, _second_of)]
            for second, same in seconds:
                if is_end or second != seconds[-1][0]:
                    yield from self._best(same)
            if is_end:
                return
            upper = seconds[-1][0]  # there may be more calls of this second
            yield from self._best(self._read(self._stages(upper, upper, None)))
            upper -= 1

    def _upper_bounds(self) -> Iterator[datetime | None]:
        yield from (each for each in (self._query.until,) if each is not None)
        if self._after is not None:
            yield self._after.instant

    def _stages(self, lower: int, upper: int, limit: int | None) -> list[Document]:
        stages: list[Document] = [{"$match": {"$and": [{"_id": _in_seconds(lower, upper)}, *self._conditions]}}]
        stages += [] if limit is None else [{"$sort": {"_id": -1}}, {"$limit": limit}]
        return [*stages, {"$project": PROJECTION}]

    def _read(self, stages: list[Document]) -> Iterable[Any]:
        return self._calls.aggregate(stages, **self._options)

    def _best(self, rows: Iterable[Any]) -> Iterator[Session]:
        """The sessions of the rows that the page may show, newest first."""
        return iter(heapq.nlargest(self._limit, self._fitting(rows), key=SessionKey.of))

    def _fitting(self, rows: Iterable[Any]) -> Iterator[Session]:
        for row in rows:
            session = to_session(row)
            is_below = self._after is None or SessionKey.of(session) < self._after
            if is_below and self._query.matches(session) and self._is_addressable(session, row):
                yield session


def _second(instant: datetime | None) -> int:
    return -1 if instant is None else int(instant.astimezone(UTC).timestamp() // 1)


def _second_of(row: Document) -> int:
    return int.from_bytes(row["_id"].binary[:4], "big")


def _in_seconds(first: int, last: int) -> Document:
    """The condition that an ObjectId is of one of these seconds."""
    return {"$gte": _object_id(first, 0), "$lte": _object_id(last, 0xFF)}


def _object_id(second: int, rest: int) -> ObjectId:
    return ObjectId(second.to_bytes(4, "big") + bytes([rest]) * _REST_OF_ID)
