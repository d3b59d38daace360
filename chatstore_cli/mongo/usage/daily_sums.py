"""Daily sums (UTC) of the usage ledger: one document per session, made from all of its rows by the server.

Each row notes in `rolled_up` the collection of daily sums that includes it. Rows without the note, or with the note of an
older version (`true`) or of another collection, are pending: reports read them from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from chatstore_cli.domain.usage_ledger import RolledUp
from chatstore_cli.mongo.collections import require_exact_ids
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.usage.daily_stages import MAY_BE_AN_ID, daily_documents, rows_of
from chatstore_cli.mongo.usage.rows import DETAILS_INDEX, HAS_DETAILS, OWN_DAILY_SUMS, OWN_ROWS
from chatstore_cli.mongo.usage.stages import are_filterable

_BATCH = 50_000
"""Rows whose sessions a rollup adds to daily sums at a time."""

_MOST_PENDING_ROWS = 20_000
_MOST_PENDING_CHATS = 1_000
"""A report reads fewer of both from the ledger, and the rest from daily sums."""

_THREADS = 2
"""Threads that mark rows: marking rows one by one takes most of the time, and the server has several cores."""

_KEEP_THE_NEWER: list[Document] = [
    {"$replaceWith": {"$cond": [{"$gt": ["$ledger_rows", "$$new.ledger_rows"]}, "$$ROOT", "$$new"]}}
]
"""Another process may have written the sums of more rows of the session in the meantime. Missing compares as less."""


def has_details(rows: Collection[Document]) -> bool:
    """Whether any row has cached or reasoning tokens. Without the index that shows it, any row may have them."""
    try:
        return rows.find_one(HAS_DETAILS, {"_id": 1}, hint=DETAILS_INDEX) is not None
    except OperationFailure:
        return True


class MongoDailySums:
    """The collection `daily_sums`, made from the ledger in the collection `rows`."""

    def __init__(self, connection: Connection, rows: str, daily_sums: str) -> None:
        self._connection = connection
        self._rows = connection.collection(rows)
        self._sums = connection.collection(daily_sums)
        self._pending: Document = {"rolled_up": {"$ne": daily_sums}}
        self._mark: Document = {"$set": {"rolled_up": daily_sums}}
        self._unmark: Document = {"$unset": {"rolled_up": ""}}

    def pending_chats(self) -> list[Any] | None:
        """The few session ids with rows that are in no daily sum yet. None if there are many, or no daily sums."""
        with driver_errors(f"reading {self._sums.name}"):
            if self._is_empty():
                return None
            chats, rows = self._next_chats(self._pending, _MOST_PENDING_ROWS)
        are_few = rows < _MOST_PENDING_ROWS and len(chats) <= _MOST_PENDING_CHATS
        return chats if are_few and are_filterable(chats) else None

    def uncountable(self) -> int | None:
        """How many rows are in no sum. None if no document of daily sums knows of any."""
        total: Document = {"$group": {"_id": None, "rows": {"$sum": "$uncountable"}}}
        found = next(iter(self.aggregate([{"$match": {"uncountable": {"$gt": 0}}}, total])), None)
        return None if found is None else int(found["rows"])

    def aggregate(self, pipeline: Sequence[Document]) -> Iterator[Document]:
        """The result of a pipeline on daily sums."""
        with driver_errors(f"adding up {self._sums.name}"):
            yield from self._sums.aggregate(pipeline, allowDiskUse=True)

    def roll_up(self) -> Iterator[RolledUp]:
        """Add the rows that are pending now to daily sums, the sessions of some thousand rows at a time.

        Rows that arrive meanwhile are left for the next rollup: otherwise it would not end while agents report.
        """
        self._require_own()
        require_exact_ids(self._connection, self._sums.name)
        pending = {**self._pending, "chat_id": MAY_BE_AN_ID}
        with driver_errors(f"updating {self._sums.name}"):
            if self._is_empty():  # new, or dropped by hand: the rows that it included have to be added again
                self._rows.update_many(self._mark["$set"], self._unmark)
            remaining = self._rows.count_documents(self._pending)  # without `pending`, whose types are in no index
        while remaining > 0:
            with driver_errors(f"updating {self._sums.name}"):
                chats, _ = self._next_chats(pending, _BATCH)
                slices = [chats[number::_THREADS] for number in range(min(_THREADS, len(chats)))]
                with ThreadPoolExecutor(_THREADS) as pool:
                    taken_in = sum(pool.map(partial(self._take_in, details=has_details(self._rows)), slices))
            if not taken_in:
                return
            remaining -= taken_in
            yield RolledUp(taken_in, len(chats))

    def clear(self) -> None:
        """Delete all daily sums; the ledger stays."""
        self._require_own()
        with driver_errors(f"clearing {self._sums.name}"):
            self._sums.drop()
            self._rows.update_many(self._mark["$set"], self._unmark)

    def _require_own(self) -> None:
        require_writable(self._connection, self._rows.name, OWN_ROWS)
        require_writable(self._connection, self._sums.name, OWN_DAILY_SUMS)

    def _take_in(self, chats: list[Any], *, details: bool) -> int:
        """Store the daily sums of sessions and mark their pending rows. Returns how many these are.

        Rows are noted before they are added up, and marked after the sums are stored: a row that arrives in between stays
        pending, and after a kill the rows are added again. Both are read from the primary: a secondary may be behind.
        """
        primary = self._rows.with_options(read_preference=ReadPreference.PRIMARY)
        own = {**rows_of(chats), **self._pending}
        rows = [row["_id"] for row in primary.find(own, {"_id": 1})]
        into = {"into": self._sums.name, "whenMatched": _KEEP_THE_NEWER, "whenNotMatched": "insert"}
        stages = daily_documents(chats, primary.name, details=details)
        primary.aggregate([*stages, {"$merge": into}], allowDiskUse=True)
        # These ids exist, and no other id equals one of them in the collation of the index on `_id`.
        primary.update_many({"_id": {"$in": rows}}, self._mark, **own_collation(primary))
        return len(rows)

    def _is_empty(self) -> bool:
        return self._sums.find_one({}, {"_id": 1}) is None

    def _next_chats(self, pending: Document, limit: int) -> tuple[list[Any], int]:
        """The session ids of the first rows that match `pending`, and how many rows these are, at most `limit`."""
        by_chat: Document = {"$group": {"_id": "$chat_id", "rows": {"$sum": 1}}}
        found = list(self._rows.aggregate([{"$match": pending}, {"$limit": limit}, by_chat]))
        return [row["_id"] for row in found], sum(row["rows"] for row in found)
