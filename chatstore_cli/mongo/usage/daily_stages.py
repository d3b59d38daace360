"""Aggregation stages that make daily sums of the usage ledger, and those that make reports from daily sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.usage_ledger import LEDGER_KEYS, TIME_KEYS, LedgerQuery
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.ledger_layouts import DAILY_ID, DAILY_SESSION, daily_sums_within, layout_at
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.usage.priced_stages import PRICED_DAY, priced_groups
from chatstore_cli.mongo.usage.rows import IS_COUNTABLE
from chatstore_cli.mongo.usage.stages import (
    CLIENT_FIELDS,
    facts_of,
    groups,
    increases,
    known_sums,
    numbers,
    session_counts,
    sums,
    truncated,
)

MAY_BE_AN_ID: Document = {"$ne": None, "$not": {"$type": ["array", "object", "regex", "undefined"]}}
"""Daily sums have the chat as `_id`. Rows of other writers whose chat cannot be one stay pending."""


def rows_of(chats: Sequence[Any]) -> Document:
    """A filter for the rows of these sessions. A row whose chat is a list with one of them is not one of them."""
    return {"$and": [{"chat_id": {"$in": list(chats)}}, {"chat_id": MAY_BE_AN_ID}]}


def daily_documents(chats: Sequence[Any], rows: str, *, details: bool = False) -> list[Document]:
    """Stages on the ledger, the collection `rows`, that make one document of daily sums per session.

    Rows are counted before they are added up: a document includes at least as many rows as it counts. The turns of a
    day are added up, so that a document does not grow with each of them: those with a known cost, and the others.
    """
    keys = ("day", *(key for key in LEDGER_KEYS if key not in (*TIME_KEYS, "session_id", "layout")))
    query = LedgerQuery(keys, details=details)
    names = numbers(query)
    unknown = {"cached_unknown": {"$max": "$cached_unknown"}} if details else {}
    own = {"$match": rows_of(chats)}
    session = {"chat_id": "$chat_id", "layout": "$layout"}
    client = {name: f"${name}" for name in ("run", "turns", *keys[1:], "cost_unknown")}
    of_client = {name: f"$_id.{name}" for name in client}
    counted = {"ledger_rows": {"$sum": 1}, "uncountable": {"$sum": {"$cond": [IS_COUNTABLE, 0, 1]}}}
    with_numbers = {**of_client, **{name: f"${name}" for name in (*names, "cost_unknown", *unknown)}}
    of_day = {name: f"$_id.{name}" for name in (*session, "day")}
    by_day = {"_id": of_day, **sums(names=names), "clients": {"$push": with_numbers}}
    day = {name: f"${name}" for name in (*COUNTS, "cost_unknown", "clients")} | {
        "day": "$_id.day",
        **known_sums(names),
    }
    return [
        own,
        {"$group": {"_id": {**session, "layout": layout_at("$layout")}, **counted}},
        {
            "$unionWith": {
                "coll": rows,
                "pipeline": [
                    own,
                    *increases(query),
                    {"$group": {"_id": {**session, "day": "$day", **client}, **sums(names=names), **unknown}},
                    {"$set": known_sums(names)},
                    {"$group": by_day},
                    {"$project": {"_id": {name: f"$_id.{name}" for name in session}, "day": day}},
                ],
            }
        },
        {
            "$group": {
                "_id": "$_id",
                "first_day": {"$min": "$day.day"},
                "last_day": {"$max": "$day.day"},
                "days": {"$push": "$day"},
                "cost_unknown": {"$max": "$day.cost_unknown"},
                "ledger_rows": {"$max": "$ledger_rows"},
                "uncountable": {"$max": "$uncountable"},
            }
        },
        {"$set": {"_id": DAILY_ID}},
    ]


def from_daily_documents(query: LedgerQuery, without: Sequence[Any], *, for_prices: bool = False) -> list[Document]:
    """Stages on daily sums that make the groups of a query, `without` the sessions named.

    With `for_prices` they are the groups of mongo/usage/priced_stages.py.
    """
    match: Document = {}
    if without:  # None as the session id of a row, but not the missing member of a text
        match |= {
            "_id": {"$nin": list(without)},
            "_id.chat_id": {"$nin": [chat for chat in without if chat is not None]},
        }
    if query.layout is not None:
        match |= daily_sums_within(query.layout)
    if not for_prices and query == LedgerQuery(("day",), layout=query.layout, details=query.details):
        return [{"$match": match}, *_by_day(numbers(query))]
    within: Document = {}
    if query.since is not None:
        within["$gte"] = query.since
        match["last_day"] = {"$gte": query.since}
    if query.until is not None:
        match["first_day"] = {"$lt": query.until}
        within["$lt"] = query.until
    facts = {f"days.clients.{name}": value for name, value in facts_of(query).items()}
    flags = ("cost_unknown", "cached_unknown") if query.details else ("cost_unknown",)
    client = {name: f"$days.clients.{name}" for name in ("run", "agent", "model", "turns", *numbers(query), *flags)}
    client |= {name: f"$days.clients.{name}" for name in CLIENT_FIELDS if name in query.keys}
    times = {
        key: truncated("$days.day", key) if key != "day" else "$days.day" for key in query.keys if key in TIME_KEYS
    }
    priced = {PRICED_DAY: "$days.day"} if for_prices else {}
    return [
        {"$match": match},
        {"$unwind": "$days"},
        *([{"$match": {"days.day": within}}] if within else []),
        {"$unwind": "$days.clients"},
        *([{"$match": facts}] if facts else []),
        {"$project": {**DAILY_SESSION, **client, **times, **priced}},
        *(priced_groups(query) if for_prices else groups(query)),
    ]


def _by_day(names: Sequence[str]) -> list[Document]:
    """Stages for the most frequent report, by day: it reads the sums of days, not those of clients."""
    return [
        {"$project": {"cost_unknown": 1, **{f"days.{name}": 1 for name in ("day", *names, "cost_unknown")}}},
        {"$unwind": {"path": "$days", "includeArrayIndex": "index"}},
        {"$group": {"_id": {"day": "$days.day"}, **sums("$days.", names), **session_counts("$days.cost_unknown")}},
    ]
