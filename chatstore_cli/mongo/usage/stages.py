"""Aggregation stages that add up the usage ledger, and the groups that they return.

A report takes two steps. `increases` reduces rows to one document per client and time span: by how much each number
exceeds all that the client reported before. `groups` adds these up by the keys of the query. Daily sums are the result of
the first step, stored (mongo/usage/daily_stages.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import DBRef, Regex

from chatstore_cli.domain.usage import TokenDetails, Usage
from chatstore_cli.domain.usage_ledger import TIME_KEYS, LedgerGroup, LedgerQuery
from chatstore_cli.mongo.bson_values import decimal_value, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_condition, id_text
from chatstore_cli.mongo.ledger_layouts import layout_at, within_layout
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.usage.rows import (
    DETAILS,
    HAS_TIME,
    IS_COST,
    IS_COUNTABLE,
    IS_DETAIL,
    NOT_ABOVE_A_COST,
)

CLIENT_FIELDS = ("tenant_id", "user_id", "workflow")
CLIENT = ("chat_id", "layout", "run", "agent", "model", "turns")
"""The fields of an increase that identify its client; all `turns` of an agent and model are one."""

_REPORTER = ("chat_id", "layout", "run", "agent", "model", "turn_id")
"""What identifies the client of a row. Each reports cumulative numbers of its own, and a turn has a client of its own."""

NUMBERS = (*COUNTS, "cost")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000
"""Milliseconds."""


CACHED_UNKNOWN: Document = {"$and": [{"$lte": ["$cached_tokens", None]}, {"$gt": ["$prompt_tokens", 0]}]}
"""An expression: nobody reported how many tokens of a prompt were cached. The comparison includes a missing number."""


def numbers(query: LedgerQuery) -> tuple[str, ...]:
    """The numbers that a query adds up."""
    return (*NUMBERS, *DETAILS) if query.details else NUMBERS


_VALID_COST: Document = {"$cond": [IS_COST, {"$toDecimal": "$cost"}, None]}
"""The cost as a Decimal128, also of a double that another writer stored; null if it is not an amount."""


# --- from rows to increases ------------------------------------------------------------------------------------------


def increases(
    query: LedgerQuery, chats: Sequence[Any] | None = None, *, local_time: Any = "$at", price_day: str | None = None
) -> list[Document]:
    """Stages that return, per client and day (or span), by how much it exceeded what it had reported before.

    `chats` restricts the rows; `local_time` is the expression of a row's time in the query's zone. `price_day` is the name
    of a field for the day in UTC, which decides the price. A row that cannot be counted has a group of its own, which is
    dropped: to match such rows beforehand costs as much again as adding up.
    """
    match = facts_of(query)
    if query.layout is not None:
        match |= within_layout(query.layout)
    if query.until is not None:
        match["at"] = {"$lt": query.until}
    if chats is not None:
        match["chat_id"] = {"$in": list(chats)}
        if query.sessions is not None:  # a list that contains such an id is another session
            match["chat_id"]["$not"] = {"$type": "array"}
    facts = [name for name in CLIENT_FIELDS if name in query.keys]
    spans: Document = {}
    if query.since is not None:
        spans["in_span"] = {"$gte": ["$at", query.since]}
    times = [key for key in query.keys if key in TIME_KEYS]
    if times:
        spans["day"] = {"$cond": [HAS_TIME, _day_number(local_time), None]}
    if price_day is not None:
        spans[price_day] = {"$cond": [HAS_TIME, _day_number("$at"), None]}
    client = {name: f"${name}" for name in _REPORTER}
    highest = {name: {"$max": f"${name}"} for name in (*COUNTS, *facts)} | {"cost": {"$max": NOT_ABOVE_A_COST}}
    if query.details:
        highest |= {name: {"$max": {"$cond": [IS_DETAIL[name], f"${name}", None]}} for name in DETAILS}
    cost_so_far = "$cost_so_far" if spans else "$cost"
    is_unknown = {"$and": [is_null(cost_so_far), {"$gt": [{"$add": [f"${name}" for name in COUNTS]}, 0]}]}
    return [
        {"$match": match},
        {"$group": {"_id": {**client, **spans, "countable": IS_COUNTABLE}, **highest}},
        {"$match": {"_id.countable": True}},
        {"$set": {"cost": _VALID_COST}},
        *(_beyond_earlier(list(spans), numbers(query)) if spans else []),
        *([] if query.since is None else [{"$match": {"_id.in_span": True}}]),
        {
            "$project": {
                "_id": 0,
                **{name: f"$_id.{name}" for name in CLIENT},
                "layout": layout_at("$_id.layout"),
                "turns": {"$gt": ["$_id.turn_id", None]},
                **dict.fromkeys((*numbers(query), *facts), 1),
                **{key: _first_day("$_id.day", key) for key in times},
                **({} if price_day is None else {price_day: _first_day(f"$_id.{price_day}", "day")}),
                "cost_unknown": is_unknown,
                **({"cached_unknown": CACHED_UNKNOWN} if query.details else {}),
            }
        },
    ]


def facts_of(query: LedgerQuery) -> Document:
    """The conditions of the query's filters by field. Tenants and users are ids, which may be stored as other types."""
    given = {name: value for name in CLIENT_FIELDS if (value := getattr(query, name)) is not None}
    return {name: value if name == "workflow" else id_condition(value) for name, value in given.items()}


def _beyond_earlier(spans: Sequence[str], names: Sequence[str]) -> list[Document]:
    """Stages that reduce a client's numbers to the amounts above its earlier spans. Spans that add nothing are dropped.

    `cost_so_far` is the cost known at the end of a span, null if none is known.
    """
    before = {"documents": ["unbounded", -1]}
    earlier = {f"earlier_{name}": {"$max": f"${name}", "window": before} for name in names}
    own = {name: f"$_id.{name}" for name in _REPORTER}
    order = {f"_id.{span}": 1 for span in spans}
    beyond: Document = {
        name: {"$max": [0, {"$subtract": [f"${name}", {"$ifNull": [f"$earlier_{name}", 0]}]}]} for name in names
    }
    beyond |= {name: {"$cond": [is_null(f"${name}"), None, beyond[name]]} for name in names if name not in COUNTS}
    is_first = {f"earlier_{COUNTS[0]}": None}
    is_first_cost = {"earlier_cost": None, "cost": {"$ne": None}}
    adds = [is_first, is_first_cost, *({name: {"$gt": 0}} for name in names)]
    return [
        {"$setWindowFields": {"partitionBy": own, "sortBy": order, "output": earlier}},
        {"$set": {**beyond, "cost_so_far": {"$ifNull": ["$cost", "$earlier_cost"]}}},
        {"$match": {"$or": adds}},
    ]


def are_filterable(chats: Sequence[Any]) -> bool:
    """Whether `$in` matches exactly these values: it takes a regular expression as a pattern, and rejects operators."""
    return not any(isinstance(chat, dict | DBRef | Regex) for chat in chats)


def _day_number(moment: Any) -> Document:
    """The day of a moment, counted from 1970: for the server this is half the work of $dateTrunc."""
    return {"$floor": {"$divide": [{"$subtract": [moment, _EPOCH]}, _DAY]}}


def _first_day(number: Any, unit: str) -> Document:
    """The date on which the day, week or month of a numbered day begins."""
    day = {"$add": [_EPOCH, {"$multiply": [number, _DAY]}]}
    return day if unit == "day" else truncated(day, unit)


def truncated(moment: Any, unit: str) -> Document:
    week = {"startOfWeek": "monday"} if unit == "week" else {}
    return {"$dateTrunc": {"date": moment, "unit": unit, **week}}


def is_null(expression: Any) -> Document:
    """An expression: the value of another one is null or missing."""
    return {"$eq": [{"$ifNull": [expression, None]}, None]}


# --- from increases to groups ----------------------------------------------------------------------------------------


def groups(query: LedgerQuery) -> list[Document]:
    """Stages that make the groups of a query from increases."""
    names = numbers(query)
    return [*(_whole_spans(query.keys, names) if "day" not in query.keys else []), *_by_keys(query.keys, names)]


def _whole_spans(keys: Sequence[str], numbers: Sequence[str]) -> list[Document]:
    """Stages that join the days of a client.

    A reported cost is cumulative: if it is known in the end, it is the cost of all days. A turn's is its own.
    """
    names = [*CLIENT, *(key for key in keys if key not in ("session_id", *CLIENT))]
    joined: Document = {name: f"$_id.{name}" for name in names}
    is_unknown = {"$and": ["$cost_unknown", {"$or": ["$_id.turns", is_null("$known_cost")]}]}
    joined |= {**known_sums(numbers), "cost_unknown": is_unknown}
    return [
        {"$group": {"_id": {name: f"${name}" for name in names}, **sums(names=numbers)}},
        {"$project": {"_id": 0, **dict.fromkeys(COUNTS, 1), **joined}},
    ]


def _by_keys(keys: Sequence[str], numbers: Sequence[str]) -> list[Document]:
    """Stages that add up by keys. A session that is in several groups is the first of one of them."""
    own = key_fields(keys)
    session = {"chat_id": "$chat_id", "layout": "$layout"}
    group = {"keys": "$_id.keys", **{name: f"${name}" for name in (*COUNTS, "cost_unknown")}, **known_sums(numbers)}
    return [
        {"$group": {"_id": {**session, "keys": own}, **sums(names=numbers)}},
        {
            "$group": {
                "_id": {name: f"$_id.{name}" for name in session},
                "cost_unknown": {"$max": "$cost_unknown"},
                "groups": {"$push": group},
            }
        },
        {"$unwind": {"path": "$groups", "includeArrayIndex": "index"}},
        {"$group": {"_id": "$groups.keys", **sums("$groups.", numbers), **session_counts("$groups.cost_unknown")}},
    ]


def key_fields(keys: Sequence[str]) -> Document:
    """The expressions of a query's keys in an increase."""
    return {key: "$chat_id" if key == "session_id" else f"${key}" for key in keys}


def sums(place: str = "$", names: Sequence[str] = NUMBERS) -> Document:
    """Accumulators of the numbers at a place. `known_cost` is null if no cost is known: the sum of such costs is 0.

    The same holds for the details of tokens.
    """
    added: Document = {name: {"$sum": f"{place}{name}"} for name in names}
    known = {f"known_{name}": {"$max": f"{place}{name}"} for name in names if name not in COUNTS}
    return {**added, **known, "cost_unknown": {"$max": f"{place}cost_unknown"}}


def known_sums(names: Sequence[str] = NUMBERS) -> Document:
    """The sums of costs and of details, null if none is known."""
    return {name: {"$cond": [is_null(f"$known_{name}"), None, f"${name}"]} for name in names if name not in COUNTS}


def session_counts(cost_unknown: str) -> Document:
    """Accumulators of sessions: all of a group, those that are first in it, and those of both whose cost is unknown."""
    is_first = {"$eq": ["$index", 0]}
    return {
        "sessions": {"$sum": 1},
        "first_sessions": {"$sum": {"$cond": [is_first, 1, 0]}},
        "unknown": {"$sum": {"$cond": [cost_unknown, 1, 0]}},
        "first_unknown": {"$sum": {"$cond": [{"$and": [is_first, "$cost_unknown"]}, 1, 0]}},
    }


# --- results ---------------------------------------------------------------------------------------------------------


def group_of(keys: Sequence[str], row: Document) -> LedgerGroup:
    """The LedgerGroup of a document that `groups` returned."""
    return LedgerGroup(
        labels_of(keys, row["_id"]), summed_usage(row), row["sessions"], row["first_sessions"], row["unknown"],
        row["first_unknown"], summed_details(row),
    )  # fmt: skip


def labels_of(keys: Sequence[str], values: Document) -> tuple[str | None, ...]:
    """The values of a query's keys as texts."""
    return tuple(_label(key, values.get(key)) for key in keys)


def summed_usage(row: Document) -> Usage:
    """The numbers of a document that `sums` made."""
    prompt, completion, total = (whole_number(row[name]) or 0 for name in COUNTS)
    return Usage(prompt, completion, total, None if row["known_cost"] is None else decimal_value(row["cost"]))


def summed_details(row: Document) -> TokenDetails:
    """The details of tokens in such a document. They are unknown if the query is without details."""
    return TokenDetails(*(None if row.get(f"known_{name}") is None else whole_number(row[name]) for name in DETAILS))


def _label(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if key not in TIME_KEYS:
        return id_text(value)
    if not isinstance(value, datetime):  # a year that Python has no date for
        return None
    if key == "week":
        year, week, _ = value.isocalendar()
        return f"{year:04}-W{week:02}"
    return value.date().isoformat()[: 10 if key == "day" else 7]
