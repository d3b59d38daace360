"""Flat messages in order of their times, read along the index on (created_at, session_id) in windows of time.

A window ends after a fraction of a second, however few messages meet the condition, so that a search knows how far it is.
The order of the index is that of the stored texts. It differs from that of the instants if texts have several forms, so
a search reads a little more than its period, and reports that it reached a little less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.domain.search.models import SearchQuery
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.messages.session_times import RECENT_KEYS, SessionTimes
from chatstore_cli.mongo.messages.stored_times import (
    EARLIEST,
    LATEST,
    LONGEST_SPREAD,
    Range,
    listed_instant,
    utc_offset,
)
from chatstore_cli.mongo.search.read_ahead import read_ahead
from chatstore_cli.mongo.search.steps import BATCH, batches

_FIRST_WINDOW = timedelta(hours=1)
_SHORT, _LONG = 0.05, 0.2
"""Seconds. After a window that took less, the next one is twice as long; after one that took more, half as long."""
_YEAR = timedelta(days=366)


class TimedRows(NamedTuple):
    """Some messages, and an instant after which no message follows them."""

    reached: datetime
    rows: list[Document]


class SearchWindows:
    """Reads the messages of one collection. Raises the driver's own errors."""

    def __init__(self, messages: Collection[Document], times: SessionTimes) -> None:
        self._messages = messages
        self._times = times

    def newest_first(self, kind: Range, condition: Document, query: SearchQuery) -> Iterator[TimedRows]:
        """The messages of the period with times of one kind that meet the condition."""
        for lower, rows in read_ahead(self._windows(kind, condition, query)):
            yield from self.in_order(kind, rows, query)
            yield TimedRows(self._after(kind, lower, query), [])

    def in_order(self, kind: Range, rows: Iterable[Document], query: SearchQuery) -> Iterator[TimedRows]:
        """The messages of a cursor that the index sorts, some at a time."""
        reached = LATEST
        for batch in batches(rows):
            values = [row.get("created_at") for row in batch]
            self._times.note_forms(values)
            last = next((value for value in reversed(values) if listed_instant(value) is not None), None)
            moment = listed_instant(last)
            if moment is not None:
                reached = min(reached, self._after(kind, moment + utc_offset(last), query))
            yield TimedRows(reached, batch)

    def _after(self, kind: Range, moment: datetime, query: SearchQuery) -> datetime:
        """An instant after which no message follows the one whose text, read as if it were in UTC, is that moment.

        As far as the forms of texts are known. So the period ends with its last window and not before.
        """
        if kind is not Range.TEXT:
            return moment
        moment = LATEST if LATEST - moment < self._times.spread else moment + self._times.spread
        return max(moment, query.since or EARLIEST)

    def period(self, kind: Range, query: SearchQuery) -> Document:
        """The condition on times of one kind that every message of the period meets."""
        within = kind.up_to(self._end(kind, query), timedelta())
        return within if query.since is None else {**within, "$gte": kind.value_at(_begin(kind, query.since))}

    def _end(self, kind: Range, query: SearchQuery) -> datetime:
        ends = [each for each in (query.until, query.continues_at) if each is not None]
        ahead = self._longest_spread if ends and kind is Range.TEXT else timedelta()
        return min((LATEST if LATEST - each < ahead else each + ahead for each in ends), default=LATEST)

    def _windows(
        self, kind: Range, condition: Document, query: SearchQuery
    ) -> Iterator[Callable[[], tuple[datetime, Iterable[Document]]]]:
        newest, oldest = (self._edge(kind, direction) for direction in (-1, 1))
        end = self._end(kind, query)
        upper = min(end, newest or LATEST)
        begin = EARLIEST if query.since is None else _begin(kind, query.since)
        least = max(oldest or EARLIEST, begin)
        within = kind.up_to(end, timedelta())
        length, lower, seconds = _FIRST_WINDOW, upper, [0.0]

        def read(limits: Document, lower: datetime) -> tuple[datetime, Iterable[Document]]:
            started = time.monotonic()
            wanted: Document = {"$and": [{"created_at": limits}, condition]}
            rows = self._messages.find(wanted).hint(list(RECENT_KEYS)).sort("created_at", -1).batch_size(BATCH)
            first = list(islice(rows, BATCH))
            seconds[0] = time.monotonic() - started
            return lower, chain(first, rows)

        is_last = upper < least
        while not is_last:
            lower = max(least, lower - min(length, lower - least))
            is_last = lower <= least
            first = (
                kind.condition["$gte"] if is_last and (least > begin or query.since is None) else kind.value_at(lower)
            )
            yield partial(read, {**within, "$gte": first}, lower)
            within = {"$lt": first}
            length = length * 2 if seconds[0] < _SHORT else length / 2 if seconds[0] > _LONG else length

    def _edge(self, kind: Range, direction: int) -> datetime | None:
        """The newest or oldest time of a kind, in the order of the index; None if it cannot be read."""
        rows = self._messages.find({"created_at": kind.condition}, {"_id": 0, "created_at": 1})
        value: Any = next((row["created_at"] for row in rows.sort("created_at", direction).limit(1)), None)
        moment = listed_instant(value)
        return None if moment is None or isinstance(value, list) else moment + utc_offset(value)

    @cached_property
    def _longest_spread(self) -> timedelta:
        """How far a text can be after its instant in the order of texts. `20260302` is after all of `2026-...`."""
        years = ({"created_at": {"$gte": f"{year}0", "$lt": f"{year}:"}} for year in range(1970, 2100))
        has_basic = self._messages.find_one({"$or": list(years)}, {"_id": 1}) is not None
        return LONGEST_SPREAD + (_YEAR if has_basic else timedelta())


def _begin(kind: Range, since: datetime) -> datetime:
    before = LONGEST_SPREAD if kind is Range.TEXT else timedelta()
    return EARLIEST if since - EARLIEST < before else since - before
