"""Adding up the usage ledger in the server: from its rows, or from daily sums where these cover what is asked.

Reports are cumulative, so a day's usage of one client is by how much the day's maximum goes beyond that of all days
before. Zones come from `zoneinfo`, not from the server, whose own table may be years old: their changes of offset within
the span are part of the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from typing import Any

from bson import Decimal128
from bson.decimal128 import create_decimal128_context
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from chatstore_cli.domain.usage_ledger import (
    LEDGER_KEYS,
    TIME_KEYS,
    LedgerGroup,
    LedgerQuery,
    RolledUp,
)
from chatstore_cli.mongo.bson_values import decimal_value
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import is_storable
from chatstore_cli.mongo.usage.rows import COUNTABLE
from chatstore_cli.mongo.usage.stages import (
    BEYOND,
    CHANGED,
    COST,
    FACTS,
    FIRST,
    LAST,
    LOWEST,
    NUMBERS,
    SHORT,
    TIMES,
    USED,
    chats_of,
    day_number,
    first_day,
    from_rollups,
    group_of,
    grouped,
    offsets,
    sound_or_fail,
    spans_of_clients,
)

_EXACTLY = create_decimal128_context()
_DUPLICATE = 11000
_MOST_CHATS_IN_A_FILTER = 5_000
_ROWS_AT_ONCE = 20_000
_MOST_LOOKED_THROUGH = 50_000
_MOST_UNROLLED = 1_000


class MongoUsageSums:
    """The ledger's sums. `rollups` names the collection of daily sums: a document a chat."""

    def __init__(self, connection: Connection, collection: str, rollups: str) -> None:
        self._rows = connection.collection(collection)
        self._rollups = connection.collection(rollups)
        self._in_memory = connection.in_memory

    def is_used(self) -> bool:
        """Whether there is any usage in the ledger."""
        with driver_errors(f"looking into {self._rows.name}"):
            return not self._in_memory and self._rows.find_one({}, {"_id": 1}) is not None

    def uncountable(self) -> int:
        """How many rows have a number or a time that is none, and are in no sum.

        Daily sums know it; a ledger without them is looked through only where it is small.
        """
        total: Document = {"$group": {"_id": None, "rows": {"$sum": "$uncountable"}}}
        with driver_errors(f"counting the rows of {self._rows.name}"):
            found = next(iter(self._rollups.aggregate([{"$match": {"uncountable": {"$gt": 0}}}, total])), None)
            if found is None and self._rows.estimated_document_count() <= _MOST_LOOKED_THROUGH:
                return self._rows.count_documents({"$nor": [COUNTABLE]})
        return 0 if found is None else int(found["rows"])

    def chats_with_usage(self, chat_ids: Sequence[str]) -> set[str]:
        """Those of the chats that the ledger has rows of."""
        with driver_errors(f"looking up chats in {self._rows.name}"):
            return set(self._rows.distinct("chat_id", {"chat_id": {"$in": list(chat_ids)}}))

    # --- reports -----------------------------------------------------------------------------------------------------

    def groups(self, query: LedgerQuery) -> Iterator[LedgerGroup]:
        """The sums, in any order."""
        if not all(is_storable(value) for name in FACTS if (value := getattr(query, name)) is not None):
            return  # text that BSON cannot hold is nobody's name
        unrolled = self._unrolled_chats() if query.by_whole_days else None
        with driver_errors(f"adding up {self._rows.name}"):
            if unrolled is None:
                yield from self._from_rows(query, self._chats_within(query))
                return
            rolled_up = self._rollups.aggregate(from_rollups(query, unrolled), allowDiskUse=True)
            yield from map(group_of, repeat(query.keys), rolled_up)
            if unrolled:
                yield from self._from_rows(query, unrolled)

    def _unrolled_chats(self) -> list[Any] | None:
        """The few chats whose newest rows are in no daily sum yet; None where there are many, or no daily sums."""
        with driver_errors(f"looking into {self._rollups.name}"):
            if self._rollups.find_one({}, {"_id": 1}) is None:
                return None
            pending = chats_of({"rolled_up": None}, rows=_ROWS_AT_ONCE)
            found = list(self._rows.aggregate(pending, allowDiskUse=True))
        is_all = sum(row["n"] for row in found) < _ROWS_AT_ONCE and len(found) <= _MOST_UNROLLED
        return [row["_id"] for row in found] if is_all else None

    def _chats_within(self, query: LedgerQuery) -> list[Any] | None:
        """The chats that reported within the span, where these are few: nothing else need be read."""
        if query.since is None:
            return None
        within = {"at": {"$gte": query.since, **({} if query.until is None else {"$lt": query.until})}}
        chats = [*chats_of(within), {"$limit": _MOST_CHATS_IN_A_FILTER + 1}]
        found = [row["_id"] for row in self._rows.aggregate(chats, allowDiskUse=True)]
        return found if len(found) <= _MOST_CHATS_IN_A_FILTER else None

    def _from_rows(self, query: LedgerQuery, chats: list[Any] | None) -> Iterator[LedgerGroup]:
        """First with a quick look at each row; once more with a thorough one where that meets something odd."""
        for quick in (True, False):
            merged = spans_of_clients(query.keys) if any(key in TIME_KEYS for key in query.keys) else []
            pipeline = [*self._increases(query, chats, quick=quick), *merged, *grouped(query.keys)]
            try:
                found = list(self._rows.aggregate(pipeline, allowDiskUse=True))
            except OperationFailure:
                if quick:
                    continue
                raise
            yield from map(group_of, repeat(query.keys), found)
            return

    def _increases(self, query: LedgerQuery, chats: list[Any] | None, *, quick: bool = False) -> list[Document]:
        """Stages that give, per client and span of time, by how much it went beyond what it had used before.

        The quick ones look at each row once, in the first group, and fail where that meets something odd.
        """
        match: Document = {} if quick else {**COUNTABLE}
        match |= {name: value for name in FACTS if (value := getattr(query, name)) is not None}
        if query.until is not None:
            match["at"] = {**COUNTABLE["at"], "$lt": query.until}
        if chats is not None:
            match["chat_id"] = {"$in": chats}
        client: Document = {"c": "$chat_id", "r": "$run", "a": "$agent", "m": "$model"}
        identity = dict(client)
        order: Document = {}
        times = [key for key in query.keys if key in TIME_KEYS]
        if query.since is not None:
            identity["b"] = {"$gte": ["$at", query.since]}
            order["_id.b"] = 1
        if times:
            identity["d"] = day_number(self._local(query))
            order["_id.d"] = 1
        highest: Document = {short: {"$max": f"${name}"} for name, short in SHORT.items()}
        highest |= {"x": {"$max": "$cost"}}
        highest |= {name: {"$max": f"${name}"} for name in FACTS if name in query.keys}
        made: Document = {"x": COST}
        if quick:
            highest |= LOWEST if times else {**LOWEST, **TIMES}
            made["p"] = sound_or_fail(by_day=bool(times))
        stages: list[Document] = [{"$match": match}, {"$group": {"_id": identity, **highest}}, {"$set": made}]
        if order:
            before = {"documents": ["unbounded", -1]}
            earlier = {f"{name}0": {"$max": f"${name}", "window": before} for name in NUMBERS}
            own = {key: f"$_id.{key}" for key in client}
            windows = {"partitionBy": own, "sortBy": order, "output": earlier}
            stages += [{"$setWindowFields": windows}, {"$set": {"x1": {"$ifNull": ["$x", "$x0"]}, **BEYOND}}]
            stages.append({"$match": CHANGED if query.since is None else {"_id.b": True, **CHANGED}})
        known = "$x1" if order else "$x"
        facts: Document = {"_id": 0, "c": "$_id.c", "run": "$_id.r", "agent": "$_id.a", "model": "$_id.m"}
        facts |= dict.fromkeys((*NUMBERS, *(name for name in FACTS if name in query.keys)), 1)
        facts["u"] = {"$and": [{"$eq": [{"$ifNull": [known, None]}, None]}, {"$gt": [USED, 0]}]}
        for key in times:
            facts[key] = first_day("$_id.d", key)
        return [*stages, {"$project": facts}]

    def _local(self, query: LedgerQuery) -> Any:
        """The time of a row as the clocks of the zone show it, written as if it were UTC."""
        if query.zone is UTC:
            return "$at"
        ends = [
            next(iter(self._rows.find({"at": {"$type": "date"}}, {"at": 1}).sort("at", way).limit(1)), {}).get("at")
            for way in (1, -1)
        ]
        low, high = (end if isinstance(end, datetime) else None for end in ends)
        changes = offsets(query.zone, query.since or low or FIRST, query.until or high or LAST)
        newest_first = [{"case": {"$gte": ["$at", moment]}, "then": offset} for moment, offset in changes[:0:-1]]
        usual = changes[0][1]
        shift: Any = {"$switch": {"branches": newest_first, "default": usual}} if newest_first else usual
        return {"$add": ["$at", shift]}

    # --- daily sums --------------------------------------------------------------------------------------------------

    def roll_up(self) -> Iterator[RolledUp]:
        """Take in what is in no daily sum yet, the chats of some thousand rows at a time.

        What comes while it is at work is for the next time: otherwise it would not end while agents report.
        """
        with driver_errors(f"keeping daily sums in {self._rollups.name}"):
            if self._rollups.find_one({}, {"_id": 1}) is None:
                # Somebody has dropped them: what was in them has to be taken in again.
                self._rows.update_many({"rolled_up": True}, {"$unset": {"rolled_up": ""}})
            left = self._rows.count_documents({"rolled_up": None})
        while left > 0:
            with driver_errors(f"keeping daily sums in {self._rollups.name}"):
                pending = chats_of({"rolled_up": None}, rows=_ROWS_AT_ONCE)
                chats = [row["_id"] for row in self._rows.aggregate(pending, allowDiskUse=True)]
                if not chats:
                    return
                # Their rows are noted before they are added up: what comes meanwhile stays pending.
                new = {"chat_id": {"$in": chats}, "rolled_up": None}
                rows = [row["_id"] for row in self._rows.find(new, {"_id": 1})]
                if not rows:
                    return
                self._keep(chats)
                self._rows.update_many({"_id": {"$in": rows}}, {"$set": {"rolled_up": True}})
            left -= len(rows)
            yield RolledUp(len(rows), len(chats))

    def start_anew(self) -> None:
        """Forget all daily sums; the ledger stays."""
        with driver_errors(f"clearing {self._rollups.name}"):
            self._rollups.drop()
            self._rows.update_many({"rolled_up": True}, {"$unset": {"rolled_up": ""}})

    def _keep(self, chats: Sequence[Any]) -> None:
        """Write the daily sums of chats. One that has seen more of a chat's rows, in another process, is left alone."""
        keys = ("day", *(key for key in LEDGER_KEYS if key not in (*TIME_KEYS, "session_id")))
        query = LedgerQuery((*keys, "session_id"))
        by_chat: dict[Any, list[Document]] = {}
        seen: dict[Any, int] = {}
        for row in self._rows.aggregate(chats_of({"chat_id": {"$in": list(chats)}})):
            seen[row["_id"]] = row["n"]
            by_chat[row["_id"]] = []
        countable = [{"$match": {"chat_id": {"$in": list(chats)}, **COUNTABLE}}, *chats_of({})[1:]]
        sound = {row["_id"]: row["n"] for row in self._rows.aggregate(countable)}
        keys = (*keys, "run")
        own = {"c": "$c", **{key: f"${key}" for key in keys}}
        sums: Document = {name: {"$sum": f"${name}"} for name in NUMBERS}
        grouped = {"$group": {"_id": own, **sums, "known": {"$max": "$x"}, "u": {"$max": "$u"}}}
        for row in self._rows.aggregate([*self._increases(query, list(chats)), grouped], allowDiskUse=True):
            facts = {key: row["_id"].get(key) for key in keys}
            numbers = {name: row[name] for name in "pkt"} | {"x": None if row["known"] is None else row["x"]}
            by_chat.setdefault(row["_id"]["c"], []).append({**facts, **numbers, "u": row["u"]})
        writes = [
            _rollup(chat, rows, seen.get(chat, 0), max(0, seen.get(chat, 0) - sound.get(chat, 0)))
            for chat, rows in by_chat.items()
        ]
        try:
            if writes:
                self._rollups.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            if any(one.get("code") != _DUPLICATE for one in error.details.get("writeErrors", [])):
                raise


def _rollup(chat: Any, rows: Sequence[Document], seen: int, uncountable: int) -> UpdateOne:
    days = [row["day"] for row in rows]
    span = {"first_day": min(days, default=None), "last_day": max(days, default=None)}
    by_day: dict[Any, Document] = {}
    for row in rows:
        day = by_day.setdefault(row["day"], {"day": row["day"], "p": 0, "k": 0, "t": 0, "x": None, "u": False})
        day |= {name: day[name] + row[name] for name in "pkt"} | {"u": day["u"] or row["u"]}
        day["x"] = _together(day["x"], row["x"])
    no_cost = any(day["u"] for day in by_day.values())
    sums = {"rows": rows, "days": list(by_day.values()), "u": no_cost}
    document = {**sums, **span, "seen": seen, "uncountable": uncountable}
    return UpdateOne({"_id": chat, "seen": {"$lte": seen}}, {"$set": document}, upsert=True)


def _together(one: Any, other: Any) -> Any:
    """Two amounts as one; a difference of nothing comes as a plain 0."""
    if one is None or other is None:
        return other if one is None else one
    return Decimal128(_EXACTLY.add(decimal_value(one) or Decimal(), decimal_value(other) or Decimal()))
