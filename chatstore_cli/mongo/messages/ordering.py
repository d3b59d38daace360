"""One session's flat messages in the order they happened, streamed through the index on (session_id, created_at)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from copy import copy
from datetime import datetime
from itertools import islice
from math import isfinite
from typing import TypeGuard

from pymongo.collection import Collection

from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import id_condition, id_text
from chatstore_cli.mongo.messages.stored_times import EARLIEST, form_of, second_of

SMALL_SESSION = 1_000
"""Sessions up to here are put into their real order in memory, whatever forms their times have."""

LARGE_SECOND = 5_000
"""Messages of one second that are held in memory to be ordered; beyond, the server sorts them."""

BATCH = 1_000
"""Documents in one answer of the server: its own choice of 16 MiB at once would take a hundred MiB decoded."""

_ABSENT = -1


class MessagesInOrder:
    """Reads one session of a collection in order of (instant, sequence).

    Times in one form (FACTS D: ISO text in UTC, with `Z`, `+00:00` or nothing; or dates) come from the index in
    order of their seconds, and each second is put in order here. Mixed forms: up to SMALL_SESSION messages are sorted
    exactly; a larger session merges its dates with its texts, and takes texts of differing offsets in text order.
    Messages of one instant without a sequence keep the order of their ids.
    """

    def __init__(self, messages: Collection[Document], session_id: str, doing: str, batch: int = BATCH) -> None:
        self._messages = messages
        self._fields: Document | None = None
        self._batch = batch
        self._condition: Document = {"session_id": id_condition(session_id)}
        self._doing = doing
        with driver_errors(doing):
            covered = {"_id": 0, "created_at": 1, "session_id": 1}
            rows = messages.find(self._condition, covered).sort("created_at", -1).limit(SMALL_SESSION + 1)
            self._newest = [row.get("created_at") for row in rows]
            if len(self._newest) > SMALL_SESSION:
                oldest = messages.find(self._condition, covered).sort("created_at", 1).limit(1)
                self._newest += [row.get("created_at") for row in oldest]

    @property
    def is_empty(self) -> bool:
        """Whether there is no such session."""
        return not self._newest

    @property
    def is_exact(self) -> bool:
        """Whether the order is that of the instants; else texts of differing offsets stand in the order of text."""
        texts = {form_of(value) for value in self._newest if isinstance(value, str)}
        return len(texts) <= 1 or len(self._newest) <= SMALL_SESSION

    def oldest_first(self, extra: Document) -> Iterator[Document]:
        """The documents that meet the extra condition."""
        return self._documents(extra, 1)

    def newest_first(self, extra: Document) -> Iterator[Document]:
        """The same from the end."""
        return self._documents(extra, -1)

    def behind_where_numbers_begin_anew(self, sequence: int) -> int | None:
        """How many numbered messages come after the newest one with that number, where numbers do not rise throughout.

        A journal that was rotated or pruned begins at 1 again. None where numbers alone tell: no message has that one,
        or all behind it have greater ones and none before it has.
        """
        light = copy(self)
        light._fields = {"created_at": 1, "sequence": 1}
        anew = False
        for behind, row in enumerate(light.newest_first({"sequence": {"$type": "number"}})):
            if row["sequence"] == sequence:
                return behind if anew or self._has_greater_before(row) else None
            anew = anew or row["sequence"] < sequence
        return None

    def _has_greater_before(self, row: Document) -> bool:
        earlier = {"created_at": {"$lt": row["created_at"]}, "sequence": {"$gt": row["sequence"], "$type": "number"}}
        with driver_errors(self._doing):
            return self._messages.find_one({**earlier, **self._condition}, {"_id": 1}) is not None

    def _documents(self, extra: Document, direction: int) -> Iterator[Document]:
        forms = {form_of(value) for value in self._newest}
        if len(forms) > 1 and len(self._newest) <= SMALL_SESSION:
            rows = self._find(extra, direction)
            return iter(sorted(rows, key=_place, reverse=direction < 0))
        if {type(value) for value in self._newest} >= {str, datetime}:
            texts = self._find({**extra, "created_at": {"$not": {"$type": "date"}}}, direction)
            dates = self._find({**extra, "created_at": {"$type": "date"}}, direction)
            merged = heapq.merge(texts, dates, key=_instant, reverse=direction < 0)
            return self._by_second(((second_of(_instant(row)), row) for row in merged), extra, direction)
        rows = self._find(extra, direction)
        return self._by_second(((second_of(row.get("created_at")), row) for row in rows), extra, direction)

    def _find(self, extra: Document, direction: int) -> Iterator[Document]:
        with driver_errors(self._doing):
            found = self._messages.find({**extra, **self._condition}, self._fields).sort("created_at", direction)
            yield from found.batch_size(self._batch)

    def _by_second(
        self, rows: Iterable[tuple[object, Document]], extra: Document, direction: int
    ) -> Iterator[Document]:
        held: list[Document] = []
        held_second: object = None
        given_already = False
        for second, row in rows:
            if second != held_second or not held:
                if len(held) == 1:
                    yield held[0]
                elif not given_already:
                    yield from _ordered(held, direction)
                held, held_second, given_already = [row], second, False
            elif not given_already:
                held.append(row)
                if len(held) > LARGE_SECOND and isinstance(second, str):
                    held, given_already = held[:2], True
                    yield from self._sorted_by_the_server(second, extra, direction)
        if not given_already:
            yield from _ordered(held, direction)

    def _sorted_by_the_server(self, second: str, extra: Document, direction: int) -> Iterator[Document]:
        within = {"created_at": {"$gte": second, "$lt": second + "\U0010ffff"}}
        order = [("created_at", direction), ("sequence", direction), ("_id", direction)]
        with driver_errors(self._doing):
            found = self._messages.find({**extra, **self._condition, **within}, self._fields).sort(order)
            yield from found.allow_disk_use(True)


def newest_in_order(rows: Iterator[Document], wanted: int) -> list[Document]:
    """The first `wanted` of rows that come newest first, oldest first."""
    found = list(islice(rows, wanted))
    found.reverse()
    return found


def _ordered(held: list[Document], direction: int) -> list[Document]:
    if len(held) > 1:
        held.sort(key=_place, reverse=direction < 0)
    return held


def _instant(row: Document) -> datetime:
    return read_instant(row.get("created_at")) or EARLIEST


def _place(row: Document) -> tuple[datetime, float, str]:
    sequence = row.get("sequence")
    return _instant(row), sequence if is_number(sequence) else _ABSENT, id_text(row.get("_id"))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a stored value is a finite number; a truth value is none."""
    return type(value) is int or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value))
