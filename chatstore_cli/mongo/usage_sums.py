"""Adding up the usage ledger in the server: from its rows, or from daily sums where these cover what is asked.

Reports are cumulative, so a day's usage of one client is by how much the day's maximum goes beyond that of all days
before. Zones come from `zoneinfo`, not from the server, whose own table may be years old: their changes of offset within
the span are part of the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from bson import Decimal128
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from chatstore_cli.domain.usage_ledger import (
    LEDGER_KEYS,
    MOST_TOKENS,
    TIME_KEYS,
    Counters,
    LedgerGroup,
    LedgerQuery,
    RolledUp,
)
from chatstore_cli.mongo.bson_values import decimal_value
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.usage_ledger import COUNTABLE, COUNTS

_DUPLICATE = 11000
_MOST_CHATS_IN_A_FILTER = 5_000
_CHATS_AT_ONCE = 500
_MOST_LOOKED_THROUGH = 50_000
_MOST_UNROLLED = 1_000
_FACTS = ("tenant_id", "user_id", "workflow")
_SHORT = dict(zip(COUNTS, "pkt", strict=True))
_NUMBERS = (*_SHORT.values(), "x")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


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
        unrolled = self._unrolled_chats() if query.by_whole_days else None
        with driver_errors(f"adding up {self._rows.name}"):
            if unrolled is None:
                yield from self._from_rows(query, self._chats_within(query))
                return
            yield from self._run(self._rollups, _from_rollups(query, unrolled), query.keys)
            if unrolled:
                yield from self._from_rows(query, unrolled)

    def _unrolled_chats(self) -> list[Any] | None:
        """The few chats whose newest rows are in no daily sum yet; None where there are many, or no daily sums."""
        with driver_errors(f"looking into {self._rollups.name}"):
            if self._rollups.find_one({}, {"_id": 1}) is None:
                return None
            chats = _chats({"rolled_up": None}, _MOST_UNROLLED + 1)
            found = [row["_id"] for row in self._rows.aggregate(chats, allowDiskUse=True)]
        return found if len(found) <= _MOST_UNROLLED else None

    def _chats_within(self, query: LedgerQuery) -> list[Any] | None:
        """The chats that reported within the span, where these are few: nothing else need be read."""
        if query.since is None:
            return None
        within = {"at": {"$gte": query.since, **({} if query.until is None else {"$lt": query.until})}}
        chats = _chats(within, _MOST_CHATS_IN_A_FILTER + 1)
        found = [row["_id"] for row in self._rows.aggregate(chats, allowDiskUse=True)]
        return found if len(found) <= _MOST_CHATS_IN_A_FILTER else None

    def _from_rows(self, query: LedgerQuery, chats: list[Any] | None) -> Iterator[LedgerGroup]:
        return self._run(self._rows, [*self._increases(query, chats), *_grouped(query.keys)], query.keys)

    def _run(self, where: Any, pipeline: list[Document], keys: tuple[str, ...]) -> Iterator[LedgerGroup]:
        for row in where.aggregate(pipeline, allowDiskUse=True):
            yield LedgerGroup(
                tuple(_label(key, row["_id"].get(key)) for key in keys),
                Counters(int(row["p"]), int(row["k"]), int(row["t"]), _known(row)),
                row["n"], row["n1"], row["u"], row["u1"],
            )  # fmt: skip

    def _increases(self, query: LedgerQuery, chats: list[Any] | None) -> list[Document]:
        """Stages that give, per client and span of time, by how much it went beyond what it had used before."""
        match: Document = {**COUNTABLE}
        match |= {name: value for name in _FACTS if (value := getattr(query, name)) is not None}
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
            identity["d"] = _truncated(self._local(query), times[0] if len(times) == 1 else "day")
            order["_id.d"] = 1
        highest: Document = {short: {"$max": f"${name}"} for name, short in _SHORT.items()}
        highest |= {"x": {"$max": "$cost"}, "n": {"$sum": 1}}
        highest |= {name: {"$max": f"${name}"} for name in _FACTS if name in query.keys}
        stages: list[Document] = [{"$match": match}, {"$group": {"_id": identity, **highest}}, {"$set": {"x": _COST}}]
        if order:
            before = {"documents": ["unbounded", -1]}
            earlier = {f"{name}0": {"$max": f"${name}", "window": before} for name in _NUMBERS}
            own = {key: f"$_id.{key}" for key in client}
            windows = {"partitionBy": own, "sortBy": order, "output": earlier}
            stages += [{"$setWindowFields": windows}, {"$set": {"x1": {"$ifNull": ["$x", "$x0"]}}}, {"$set": _BEYOND}]
            stages.append({"$match": _CHANGED if query.since is None else {"_id.b": True, **_CHANGED}})
        known = "$x1" if order else "$x"
        facts: Document = {"_id": 0, "c": "$_id.c", "agent": "$_id.a", "model": "$_id.m"}
        facts |= dict.fromkeys((*_NUMBERS, "n", *(name for name in _FACTS if name in query.keys)), 1)
        facts["u"] = {"$and": [{"$eq": [{"$ifNull": [known, None]}, None]}, {"$gt": [_USED, 0]}]}
        for key in times:
            facts[key] = "$_id.d" if len(times) == 1 else _truncated("$_id.d", key)
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
        changes = offsets(query.zone, query.since or low or _FIRST, query.until or high or _LAST)
        newest_first = [{"case": {"$gte": ["$at", moment]}, "then": offset} for moment, offset in changes[:0:-1]]
        usual = changes[0][1]
        shift: Any = {"$switch": {"branches": newest_first, "default": usual}} if newest_first else usual
        return {"$add": ["$at", shift]}

    # --- daily sums --------------------------------------------------------------------------------------------------

    def roll_up(self) -> Iterator[RolledUp]:
        """Take in what is in no daily sum yet, a few hundred chats at a time."""
        while True:
            with driver_errors(f"keeping daily sums in {self._rollups.name}"):
                pending = _chats({"rolled_up": None}, _CHATS_AT_ONCE)
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
        for row in self._rows.aggregate(
            [{"$match": {"chat_id": {"$in": list(chats)}}}, {"$group": {"_id": "$chat_id", "n": {"$sum": 1}}}]
        ):
            seen[row["_id"]] = row["n"]
            by_chat[row["_id"]] = []
        countable = [{"$match": {"chat_id": {"$in": list(chats)}, **COUNTABLE}}, *_chats({}, len(chats))[1:]]
        countable[1]["$group"]["n"] = {"$sum": 1}
        sound = {row["_id"]: row["n"] for row in self._rows.aggregate(countable)}
        own = {"c": "$c", **{key: f"${key}" for key in keys}}
        sums: Document = {name: {"$sum": f"${name}"} for name in _NUMBERS}
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


def offsets(zone: tzinfo, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The zone's offsets from UTC in milliseconds within a span, each with the instant from which it holds."""
    since, until = (min(max(edge, _FIRST), _LAST) for edge in (since, until))
    found = [(since, _offset(zone, since))]
    step = timedelta(hours=12)
    while since < until:
        ahead = min(since + step, until)
        if _offset(zone, ahead) != found[-1][1]:
            low, high = since, ahead
            while high - low > timedelta(milliseconds=1):
                middle = low + (high - low) / 2
                low, high = (low, middle) if _offset(zone, middle) != found[-1][1] else (middle, high)
            moment = high.replace(microsecond=high.microsecond // 1000 * 1000)
            found.append((moment, _offset(zone, ahead)))
        since = ahead
    return found


def _offset(zone: tzinfo, moment: datetime) -> int:
    shift = moment.astimezone(zone).utcoffset() or timedelta()
    return round(shift.total_seconds() * 1000)


# --- stages ----------------------------------------------------------------------------------------------------------

_COST: Document = {
    "$cond": [
        {"$and": [{"$isNumber": "$x"}, {"$gte": ["$x", 0]}, {"$lte": ["$x", MOST_TOKENS]}]},
        {"$toDecimal": "$x"},
        None,
    ]
}
"""The cost where it is an amount: a Decimal128, also of a double that somebody else stored."""
_BEYOND: Document = {
    **{name: {"$max": [0, {"$subtract": [f"${name}", {"$ifNull": [f"${name}0", 0]}]}]} for name in "pkt"},
    "x": {"$cond": [{"$eq": ["$x", None]}, None, {"$max": [0, {"$subtract": ["$x", {"$ifNull": ["$x0", 0]}]}]}]},
}
_USED: Document = {"$add": ["$p", "$k", "$t"]}
_CHANGED: Document = {"$or": [{"t0": None}, *({name: {"$gt": 0}} for name in _NUMBERS)]}
"""What repeats or precedes an earlier report is no usage of its day."""


def _truncated(moment: Any, unit: str) -> Document:
    week = {"startOfWeek": "monday"} if unit == "week" else {}
    return {"$dateTrunc": {"date": moment, "unit": unit, **week}}


def _chats(match: Document, limit: int) -> list[Document]:
    return [{"$match": match}, {"$group": {"_id": "$chat_id"}}, {"$limit": limit}]


def _from_rollups(query: LedgerQuery, without: Sequence[Any]) -> list[Document]:
    match: Document = {"_id": {"$nin": list(without)}} if without else {}
    within: Document = {f"rows.{name}": value for name in _FACTS if (value := getattr(query, name)) is not None}
    if query.since is not None:
        match["last_day"] = {"$gte": query.since}
        within["rows.day"] = {"$gte": query.since}
    if query.until is not None:
        match["first_day"] = {"$lt": query.until}
        within.setdefault("rows.day", {})["$lt"] = query.until
    facts: Document = {"c": "$_id", **{name: f"$rows.{name}" for name in (*_NUMBERS, "u")}}
    for key in query.keys:
        facts[key] = f"$rows.{key}" if key not in TIME_KEYS else "$rows.day"
        if key in ("week", "month"):
            facts[key] = _truncated("$rows.day", key)
    unwound: list[Document] = [{"$unwind": "$rows"}, *([{"$match": within}] if within else []), {"$project": facts}]
    return [{"$match": match}, *unwound, *_grouped(query.keys)]


def _grouped(keys: Sequence[str]) -> list[Document]:
    """Stages that add up by keys. A session that is in several groups is marked as first in one of them."""
    named = {key: "$c" if key == "session_id" else f"${key}" for key in keys}
    sums: Document = {name: {"$sum": f"${name}"} for name in _NUMBERS}
    sums |= {"known": {"$max": "$x"}, "u": {"$max": "$u"}}
    row = {"i": "$_id.i", **{name: f"${name}" for name in (*_NUMBERS, "known", "u")}}
    again: Document = {name: {"$sum": f"$rows.{name}"} for name in _NUMBERS}
    first = {"$eq": ["$place", 0]}
    return [
        {"$group": {"_id": {"c": "$c", "i": named}, **sums}},
        {"$group": {"_id": "$_id.c", "any": {"$max": "$u"}, "rows": {"$push": row}}},
        {"$unwind": {"path": "$rows", "includeArrayIndex": "place"}},
        {
            "$group": {
                "_id": "$rows.i",
                **again,
                "known": {"$max": "$rows.known"},
                "n": {"$sum": 1},
                "n1": {"$sum": {"$cond": [first, 1, 0]}},
                "u": {"$sum": {"$cond": ["$rows.u", 1, 0]}},
                "u1": {"$sum": {"$cond": [{"$and": [first, "$any"]}, 1, 0]}},
            }
        },
    ]


def _rollup(chat: Any, rows: Sequence[Document], seen: int, uncountable: int) -> UpdateOne:
    days = [row["day"] for row in rows]
    span = {"first_day": min(days, default=None), "last_day": max(days, default=None)}
    document = {"rows": rows, **span, "seen": seen, "uncountable": uncountable}
    return UpdateOne({"_id": chat, "seen": {"$lte": seen}}, {"$set": document}, upsert=True)


def _known(row: Document) -> Any:
    if row["known"] is None:
        return None
    return decimal_value(row["x"] if isinstance(row["x"], Decimal128) else int(row["x"]))


def _label(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if key not in TIME_KEYS:
        return str(value)
    if not isinstance(value, datetime):  # a year that Python has no date for
        return None
    if key == "week":
        year, week, _ = value.isocalendar()
        return f"{year:04}-W{week:02}"
    return value.date().isoformat()[: 10 if key == "day" else 7]
