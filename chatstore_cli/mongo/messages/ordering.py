"""The flat messages of one session in order of time, streamed through the index on (session_id, created_at)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from copy import copy
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.mongo.bson_values import LARGEST, SMALLEST, stored_instant, whole_number
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.exact import ExactCollection
from chatstore_cli.mongo.identifiers import document_id_condition, id_condition, id_text
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.stored_times import (
    EARLIEST,
    OTHER_TIMES,
    Range,
    form_of,
    is_to_the_second,
    range_of,
    second_of,
)

SMALL_SESSION = 1_000
"""Up to this many messages, a session is sorted in memory, whatever forms its times have."""

LARGE_SECOND = 5_000
"""Up to this many messages, one second is sorted in memory; the server sorts a larger one."""

BATCH = 1_000
"""Documents in one answer of the server. By default an answer has 16 MiB, which is about 100 MiB decoded."""

EXTRA_ROWS = 2
"""Rows beyond a limit that usually show that it is reached: the next one, and one of another second."""

_ABSENT = -1


class MessagesInOrder:
    """Reads one session of a collection in order of (instant, sequence).

    If all times have one form (dates, or ISO text in UTC with `Z`, `+00:00` or no offset), the index returns them in
    order of their seconds, and each second is sorted here. If the forms differ, up to SMALL_SESSION messages are sorted
    exactly. In a larger session texts, dates and numbers are merged, texts with different offsets are in text order, and
    messages whose time is of another type come first. Messages of one instant without a sequence are in order of their ids.
    """

    def __init__(self, messages: Collection[Document], session_id: str, doing: str, batch: int = BATCH) -> None:
        self._messages = messages
        self._fields: Document | None = None
        self._batch = batch
        of_session: Document = {"session_id": id_condition(session_id)}
        self._condition: Document = {"session_id": document_id_condition(session_id), **OWN_MESSAGES.filter()}
        self._doing = doing
        with driver_errors(doing):
            # From the index alone: the forms of the times may include those of documents that are not messages.
            covered = {"_id": 0, "created_at": 1}
            rows = messages.find(of_session, covered).sort("created_at", -1).limit(SMALL_SESSION + 1)
            self._newest = [row.get("created_at") for row in rows.batch_size(SMALL_SESSION + 1)]
            if len(self._newest) > SMALL_SESSION:
                self._newest += self._oldest(of_session)
                # In the index, a range lies in one piece. So no other one is between two ends in the same range.
                if len(ends := {range_of(self._newest[0]), range_of(self._newest[-1])}) > 1 or None in ends:
                    for each in Range:
                        self._newest += self._oldest({**of_session, "created_at": each.condition})

    def _oldest(self, condition: Document) -> list[Any]:
        rows = self._messages.find(condition, {"_id": 0, "created_at": 1}).sort("created_at", 1).limit(1)
        return [row.get("created_at") for row in rows]

    @property
    def is_empty(self) -> bool:
        """Whether the collection has no document of the session."""
        return not self._newest

    @property
    def is_exact(self) -> bool:
        """Whether the order is that of the instants. If not, texts with different offsets are in text order."""
        texts = {form_of(value) for value in self._newest if isinstance(value, str)}
        return len(texts) <= 1 or len(self._newest) <= SMALL_SESSION

    def oldest_first(self, extra: Document) -> Iterator[Document]:
        """The documents that meet the extra condition, oldest first."""
        return self._documents(extra, 1)

    def newest_first(self, extra: Document) -> Iterator[Document]:
        """The documents that meet the extra condition, newest first."""
        return self._documents(extra, -1)

    def from_second(self, instant: datetime) -> Iterator[Document] | None:
        """The documents from the second of this instant on, oldest first; None if the times have several forms or no range."""
        known, second = self._at_second(instant)
        return None if known is None else self.oldest_first({"created_at": {"$gte": second}})

    def until_second(self, instant: datetime) -> Iterator[Document] | None:
        """The documents up to the end of this instant's second, newest first; None if the times have several forms or no range."""
        known, second = self._at_second(instant)
        if known is None:
            return None
        is_text = known is Range.TEXT
        limit = {"$lt": second + "\U0010ffff"} if is_text else known.up_to(instant.replace(microsecond=0), timedelta())
        return self.newest_first({"created_at": limit})

    def _at_second(self, instant: datetime) -> tuple[Range | None, Any]:
        """The range of all times, and the stored value of this instant's second; None if they have several forms or no range."""
        sample: Any = self._newest[0] if self._newest else None
        known = range_of(sample) if len({form_of(value) for value in self._newest}) == 1 else None
        if known is None or (known is Range.TEXT and not all(is_to_the_second(str(value)) for value in self._newest)):
            return None, None
        second = known.value_at(instant.replace(microsecond=0))
        if known is Range.TEXT:  # the letter between date and time is that of the session
            second = second[:10] + sample[10:11] + second[11:]
        return known, second

    def count_after_restarted_numbers(self, sequence: int) -> int | None:
        """How many numbered messages follow the newest one with this sequence, if the numbers restarted; else None.

        Numbers restart at 1 if a journal was rotated or pruned. None means that a comparison of sequences suffices: no
        message has this one, or exactly the later messages have greater ones.
        """
        light = copy(self)
        light._fields = {"created_at": 1, "sequence": 1}
        restarted = False
        for count_after, row in enumerate(light.newest_first({"sequence": {"$type": "number"}})):
            number = number_of(row["sequence"])
            if number == sequence:
                return count_after if restarted or self._has_greater_before(row) else None
            restarted = restarted or (number is not None and number < sequence)
        return None

    def _has_greater_before(self, row: Document) -> bool:
        earlier = {"created_at": {"$lt": row["created_at"]}, "sequence": {"$gt": row["sequence"], "$type": "number"}}
        with driver_errors(self._doing):
            return self._messages.find_one({**earlier, **self._condition}, {"_id": 1}) is not None

    def _documents(self, extra: Document, direction: int) -> Iterator[Document]:
        forms = {form_of(value) for value in self._newest}
        # In memory, ranges are not compared as the server compares them.
        is_small = len(self._newest) <= SMALL_SESSION or not isinstance(self._messages, ExactCollection)
        if len(forms) > 1 and is_small:
            rows = self._find(extra, direction)
            return iter(sorted(rows, key=_sort_key, reverse=direction < 0))
        ranges = {range_of(value) for value in self._newest}
        if len(ranges) > 1:
            conditions = [{"created_at": {**each.condition, "$not": {"$type": "array"}}} for each in ranges if each]
            streams = [
                self._find({"$and": [each, extra]} if extra else each, direction) for each in [*conditions, OTHER_TIMES]
            ]
            merged = heapq.merge(*streams, key=_instant, reverse=direction < 0)
            return self._by_second(((second_of(_instant(row)), row) for row in merged), extra, direction)
        rows = self._find(extra, direction)
        return self._by_second(((second_of(row.get("created_at")), row) for row in rows), extra, direction)

    def _find(self, extra: Document, direction: int) -> Iterator[Document]:
        with driver_errors(self._doing):
            rows = self._messages.find({"$and": [extra, self._condition]}, self._fields).sort("created_at", direction)
            yield from rows.batch_size(self._batch)

    def _by_second(
        self, rows: Iterable[tuple[object, Document]], extra: Document, direction: int
    ) -> Iterator[Document]:
        held: list[Document] = []
        held_second: object = None
        is_yielded = False
        for second, row in rows:
            if second != held_second or not held:
                if len(held) == 1:
                    yield held[0]
                elif not is_yielded:
                    yield from _ordered(held, direction)
                held, held_second, is_yielded = [row], second, False
            elif not is_yielded:
                held.append(row)
                if len(held) > LARGE_SECOND and isinstance(second, str):
                    held, is_yielded = held[:2], True
                    yield from self._sorted_by_the_server(second, extra, direction)
        if not is_yielded:
            yield from _ordered(held, direction)

    def _sorted_by_the_server(self, second: str, extra: Document, direction: int) -> Iterator[Document]:
        within = {"created_at": {"$gte": second, "$lt": second + "\U0010ffff"}}
        order = [("created_at", direction), ("sequence", direction), ("_id", direction)]
        with driver_errors(self._doing):
            rows = self._messages.find({**extra, **self._condition, **within}, self._fields).sort(order)
            yield from rows.allow_disk_use(True)


def newest_in_order(newest_first: Iterator[Document], count: int) -> list[Document]:
    """The newest `count` rows, oldest first."""
    return list(islice(newest_first, count))[::-1]


def _ordered(held: list[Document], direction: int) -> list[Document]:
    if len(held) > 1:
        held.sort(key=_sort_key, reverse=direction < 0)
    return held


def _instant(row: Document) -> datetime:
    return stored_instant(row.get("created_at")) or EARLIEST


def _sort_key(row: Document) -> tuple[datetime, float, str]:
    sequence = number_of(row.get("sequence"))
    return _instant(row), _ABSENT if sequence is None else sequence, id_text(row.get("_id"))


def number_of(value: object) -> int | float | None:
    """The number of a stored sequence; None for a number beyond 64 bits and for other values, booleans included.

    Only a double may have a fraction.
    """
    if type(value) is int:
        return value
    if type(value) is float:
        return value if SMALLEST <= value <= LARGEST else None  # false for NaN as well
    return whole_number(value)
