"""The stages of the pipelines that add usage up: zones, differences, groups; and what their rows say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from bson import Decimal128

from chatstore_cli.domain.usage_ledger import MOST_TOKENS, TIME_KEYS, Counters, LedgerGroup, LedgerQuery
from chatstore_cli.mongo.bson_values import decimal_value
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.usage.rows import COUNTS, FIRST_MOMENT, LAST_MOMENT

FACTS = ("tenant_id", "user_id", "workflow")
SHORT = dict(zip(COUNTS, "pkt", strict=True))
NUMBERS = (*SHORT.values(), "x")
_DAY = 86_400_000
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_DAYS = [(moment - FIRST).days for moment in (FIRST_MOMENT, LAST_MOMENT)]


def offsets(zone: tzinfo, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The zone's offsets from UTC in milliseconds within a span, each with the instant from which it holds."""
    since, until = (min(max(edge, FIRST), LAST) for edge in (since, until))
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

COST: Document = {
    "$cond": [
        {"$and": [{"$isNumber": "$x"}, {"$gte": ["$x", 0]}, {"$lte": ["$x", MOST_TOKENS]}]},
        {"$toDecimal": "$x"},
        None,
    ]
}
"""The cost where it is an amount: a Decimal128, also of a double that somebody else stored."""
LOWEST: Document = {f"{short}1": {"$min": {"$ifNull": [f"${name}", -1]}} for name, short in SHORT.items()}
"""The lowest count of each kind; below 0 where a row has none, or one that is negative or NaN."""
TIMES: Document = {"a1": {"$min": {"$ifNull": ["$at", 0]}}, "a2": {"$max": "$at"}}
"""The first and the last time of a group; what is no date comes before all dates or after them."""


def sound_or_fail(*, by_day: bool) -> Document:
    """The prompt's tokens of a group whose rows are all sound. The server fails at any other.

    A row without a time has no day; a group that is not of one day has its first and last time (TIMES).
    """
    lowest, highest = ("$_id.d", "$_id.d") if by_day else ("$a1", "$a2")
    edges: Sequence[Any] = _DAYS if by_day else (FIRST_MOMENT, LAST_MOMENT)
    odd = [
        # Asked for its type as well: the server does not always find MinKey less than a number.
        *({"$not": [{"$and": [{"$isNumber": f"${short}1"}, {"$gte": [f"${short}1", 0]}]}]} for short in SHORT.values()),
        # An array, a text and the like are greater than every number.
        *({"$gt": [f"${short}", MOST_TOKENS]} for short in SHORT.values()),
        {"$not": [{"$and": [{"$gte": [lowest, edges[0]]}, {"$lte": [highest, edges[1]]}]}]},
    ]
    return {"$cond": [{"$or": odd}, {"$toInt": "$_id"}, "$p"]}  # there is no such conversion: the pipeline fails


BEYOND: Document = {
    **{name: {"$max": [0, {"$subtract": [f"${name}", {"$ifNull": [f"${name}0", 0]}]}]} for name in "pkt"},
    "x": {"$cond": [{"$eq": ["$x", None]}, None, {"$max": [0, {"$subtract": ["$x", {"$ifNull": ["$x0", 0]}]}]}]},
}
USED: Document = {"$add": ["$p", "$k", "$t"]}
CHANGED: Document = {"$or": [{"t0": None}, {"x0": None, "x": {"$ne": None}}, *({name: {"$gt": 0}} for name in NUMBERS)]}
"""What repeats or precedes an earlier report is no usage of its day."""


_BY_DAY: list[Document] = [
    {"$project": {"days": 1, "u": 1}},
    {"$unwind": {"path": "$days", "includeArrayIndex": "place"}},
    {
        "$group": {
            "_id": {"day": "$days.day"},
            **{name: {"$sum": f"$days.{name}"} for name in NUMBERS},
            "known": {"$max": "$days.x"},
            "n": {"$sum": 1},
            "n1": {"$sum": {"$cond": [{"$eq": ["$place", 0]}, 1, 0]}},
            "u": {"$sum": {"$cond": ["$days.u", 1, 0]}},
            "u1": {"$sum": {"$cond": [{"$and": ["$u", {"$eq": ["$place", 0]}]}, 1, 0]}},
        }
    },
]
"""What is asked for most has sums of its own in each document."""


def day_number(moment: Any) -> Document:
    """The day of a moment, counted from 1970: to the server this is half the work of $dateTrunc."""
    return {"$floor": {"$divide": [{"$subtract": [moment, FIRST]}, _DAY]}}


def first_day(number: Any, unit: str) -> Document:
    """The date on which the day, week or month of a numbered day begins."""
    day = {"$add": [FIRST, {"$multiply": [number, _DAY]}]}
    return day if unit == "day" else truncated(day, unit)


def truncated(moment: Any, unit: str) -> Document:
    week = {"startOfWeek": "monday"} if unit == "week" else {}
    return {"$dateTrunc": {"date": moment, "unit": unit, **week}}


def chats_of(match: Document, *, rows: int | None = None) -> list[Document]:
    """Stages that give the chats of the rows that match, or of the first so many of them, with how many they are."""
    limit: list[Document] = [] if rows is None else [{"$limit": rows}]
    return [{"$match": match}, *limit, {"$group": {"_id": "$chat_id", "n": {"$sum": 1}}}]


def from_rollups(query: LedgerQuery, without: Sequence[Any]) -> list[Document]:
    match: Document = {"_id": {"$nin": list(without)}} if without else {}
    if query == LedgerQuery(("day",)):
        return [{"$match": match}, *_BY_DAY]
    within: Document = {f"rows.{name}": value for name in FACTS if (value := getattr(query, name)) is not None}
    if query.since is not None:
        match["last_day"] = {"$gte": query.since}
        within["rows.day"] = {"$gte": query.since}
    if query.until is not None:
        match["first_day"] = {"$lt": query.until}
        within.setdefault("rows.day", {})["$lt"] = query.until
    facts: Document = {"c": "$_id", **{name: f"$rows.{name}" for name in (*NUMBERS, "u", "run", "agent", "model")}}
    for key in query.keys:
        facts[key] = f"$rows.{key}" if key not in TIME_KEYS else "$rows.day"
        if key in ("week", "month"):
            facts[key] = truncated("$rows.day", key)
    unwound: list[Document] = [{"$unwind": "$rows"}, *([{"$match": within}] if within else []), {"$project": facts}]
    return [{"$match": match}, *unwound, *spans_of_clients(query.keys), *grouped(query.keys)]


def spans_of_clients(keys: Sequence[str]) -> list[Document]:
    """Stages that make one row of a client's days, where these are not asked for.

    A cost is cumulative, as tokens are: where it is known in the end it is of all of them.
    """
    if "day" in keys:
        return []
    client = {name: f"${name}" for name in ("c", "run", "agent", "model")}
    facts = {key: f"${key}" for key in keys if key not in ("session_id", *client)}
    sums: Document = {name: {"$sum": f"${name}"} for name in NUMBERS}
    sums |= {"known": {"$max": "$x"}, "u": {"$max": "$u"}}
    is_unknown = {"$eq": [{"$ifNull": ["$known", None]}, None]}
    made: Document = {"_id": 0, **dict.fromkeys("pkt", 1), **{name: f"$_id.{name}" for name in (*client, *facts)}}
    made |= {"x": {"$cond": [is_unknown, None, "$x"]}, "u": {"$and": ["$u", is_unknown]}}
    return [{"$group": {"_id": {**client, **facts}, **sums}}, {"$project": made}]


def grouped(keys: Sequence[str]) -> list[Document]:
    """Stages that add up by keys. A session that is in several groups is marked as first in one of them."""
    named = {key: "$c" if key == "session_id" else f"${key}" for key in keys}
    sums: Document = {name: {"$sum": f"${name}"} for name in NUMBERS}
    sums |= {"known": {"$max": "$x"}, "u": {"$max": "$u"}}
    row = {"i": "$_id.i", **{name: f"${name}" for name in (*NUMBERS, "known", "u")}}
    again: Document = {name: {"$sum": f"$rows.{name}"} for name in NUMBERS}
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


def group_of(keys: Sequence[str], row: Document) -> LedgerGroup:
    return LedgerGroup(
        tuple(_label(key, row["_id"].get(key)) for key in keys),
        Counters(int(row["p"]), int(row["k"]), int(row["t"]), _known(row)),
        row["n"], row["n1"], row["u"], row["u1"],
    )  # fmt: skip


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
