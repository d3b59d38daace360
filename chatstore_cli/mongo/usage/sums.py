"""Sums of the usage ledger, added up by the server: from its rows, or from daily sums if these cover the query.

Reports are cumulative, so a day's usage of a client is by how much the day's maximum exceeds that of all earlier days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from chatstore_cli.domain.prices import UsageToPrice
from chatstore_cli.domain.usage_ledger import LedgerGroup, LedgerQuery
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, id_values, is_storable
from chatstore_cli.mongo.ledger_layouts import within_layout
from chatstore_cli.mongo.usage.daily_stages import from_daily_documents
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums, has_details
from chatstore_cli.mongo.usage.priced_stages import PRICED_DAY, priced_group_of, priced_groups
from chatstore_cli.mongo.usage.rows import COUNTABLE, IS_COST
from chatstore_cli.mongo.usage.stages import (
    CLIENT_FIELDS,
    are_filterable,
    group_of,
    groups,
    increases,
)
from chatstore_cli.mongo.usage.zones import FIRST, LAST, local_time

_MOST_CHATS_IN_A_FILTER = 5_000
_MOST_ROWS_CHECKED = 50_000


class MongoUsageSums:
    """UsageSums of the ledger in the collection `rows`. `daily_sums` names the collection of daily sums."""

    def __init__(self, connection: Connection, rows: str, daily_sums: str) -> None:
        self._rows = connection.collection(rows)
        self._daily = MongoDailySums(connection, rows, daily_sums)
        self._connection = connection
        self._in_memory = connection.in_memory

    def is_used(self) -> bool:
        if self._in_memory or not collection_facts(self._connection, self._rows.name).exists:
            return False
        with driver_errors(f"reading {self._rows.name}"):
            return self._rows.find_one({}, {"_id": 1}) is not None

    def uncountable(self) -> int:
        """How many rows are in no sum, because a number or the time in them is invalid.

        Daily sums know it. Without them only a small ledger is checked, and the answer for a large one is 0.
        """
        counted = self._daily.uncountable()
        if counted is not None:
            return counted
        with driver_errors(f"counting the rows of {self._rows.name}"):
            if self._rows.estimated_document_count() > _MOST_ROWS_CHECKED:
                return 0
            return self._rows.count_documents({"$nor": [COUNTABLE]})

    def with_invalid_cost(self) -> int:
        """How many rows have a cost that is not an amount. A large ledger is not checked, and the answer is 0."""
        invalid: Document = {"$expr": {"$and": [{"$gt": ["$cost", None]}, {"$not": [IS_COST]}]}}
        with driver_errors(f"counting the rows of {self._rows.name}"):
            if self._rows.estimated_document_count() > _MOST_ROWS_CHECKED:
                return 0
            return self._rows.count_documents(invalid)

    def chats_with_usage(self, chat_ids: Sequence[str], layout: str) -> set[str]:
        with driver_errors(f"reading {self._rows.name}"):
            # Not `distinct`, which takes the elements of a list for values.
            among = {"$in": [value for chat in chat_ids for value in id_values(chat)]}
            chats: list[Document] = [
                {"$match": {"chat_id": among, **within_layout(layout)}},
                {"$group": {"_id": "$chat_id"}},
            ]
            found = (addressable_id(row["_id"]) for row in self._rows.aggregate(chats))
            return {chat for chat in found if chat is not None}

    def groups(self, query: LedgerQuery) -> Iterator[LedgerGroup]:
        return map(group_of, repeat(query.keys), self._documents(query, for_prices=False))

    def to_price(self, query: LedgerQuery) -> Iterator[UsageToPrice]:
        return map(priced_group_of, repeat(query.keys), self._documents(query, for_prices=True))

    def _documents(self, query: LedgerQuery, *, for_prices: bool) -> Iterator[Document]:
        if not all(is_storable(value) for name in CLIENT_FIELDS if (value := getattr(query, name)) is not None):
            return  # no document has text that BSON cannot hold
        with driver_errors(f"reading {self._rows.name}"):
            query = replace(query, details=has_details(self._rows))
        if query.sessions is not None:
            chats = [value for session in query.sessions for value in id_values(session)]
            yield from self._from_rows(query, chats, for_prices=for_prices)
            return
        pending = self._daily.pending_chats() if query.by_whole_days else None
        if pending is None:
            yield from self._from_rows(query, self._chats_within(query), for_prices=for_prices)
            return
        yield from self._daily.aggregate(from_daily_documents(query, pending, for_prices=for_prices))
        if pending:
            yield from self._from_rows(query, pending, for_prices=for_prices)

    def _from_rows(self, query: LedgerQuery, chats: list[Any] | None, *, for_prices: bool) -> Iterator[Document]:
        with driver_errors(f"adding up {self._rows.name}"):
            local_time = self._local_time(query)
            priced_day = PRICED_DAY if for_prices else None
            stages = increases(query, chats, local_time=local_time, price_day=priced_day)
            stages += priced_groups(query) if for_prices else groups(query)
            yield from self._rows.aggregate(stages, allowDiskUse=True)

    def _chats_within(self, query: LedgerQuery) -> list[Any] | None:
        """The session ids that reported within the time span, if they are few: then only their rows have to be read."""
        if query.since is None:
            return None
        within: Document = {"$gte": query.since, **({} if query.until is None else {"$lt": query.until})}
        distinct: Document = {"$group": {"_id": "$chat_id"}}
        first: Document = {"$limit": _MOST_CHATS_IN_A_FILTER + 1}
        with driver_errors(f"adding up {self._rows.name}"):
            chats = [row["_id"] for row in self._rows.aggregate([{"$match": {"at": within}}, distinct, first])]
        return chats if len(chats) <= _MOST_CHATS_IN_A_FILTER and are_filterable(chats) else None

    def _local_time(self, query: LedgerQuery) -> Any:
        """The expression of a row's time in the query's zone."""
        if query.zone is UTC:
            return "$at"
        first, last = (
            next(iter(self._rows.find({"at": {"$type": "date"}}, {"at": 1}).sort("at", way).limit(1)), {}).get("at")
            for way in (1, -1)
        )
        # A driver that reads a year beyond Python's gives no datetime.
        since = query.since or (first if isinstance(first, datetime) else FIRST)
        until = query.until or (last if isinstance(last, datetime) else LAST)
        return local_time(query.zone, since, until)
