"""Aggregation stages that make daily sums of the usage ledger, and those that make reports from daily sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.domain.usage_ledger import LEDGER_KEYS, TIME_KEYS, LedgerQuery
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.ledger_layouts import DAILY_ID, DAILY_SESSION, daily_sums_within, layout_at
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.usage.rows import IS_COUNTABLE
from chatstore_cli.mongo.usage.stages import (
    CLIENT_FIELDS,
    NUMBERS,
    facts_of,
    groups,
    increases,
    known_sum,
    session_counts,
    sums,
    truncated,
)

MAY_BE_AN_ID: Document = {"$ne": None, "$not": {"$type": ["array", "object", "regex", "undefined"]}}
"""Daily sums have the chat as `_id`. Rows of other writers whose chat cannot be one stay pending."""


def rows_of(chats: Sequence[Any]) -> Document:
    """A filter for the rows of these sessions. A row whose chat is a list with one of them is not one of them."""
    return {"$and": [{"chat_id": {"$in": list(chats)}}, {"chat_id": MAY_BE_AN_ID}]}


def daily_documents(chats: Sequence[Any], rows: str) -> list[Document]:
    """Stages on the ledger, the collection `rows`, that make one document of daily sums per session.

    Rows are counted before they are added up: a document includes at least as many rows as it counts. The turns of a
    day are added up, so that a document does not grow with each of them.
    """
    keys = ("day", *(key for key in LEDGER_KEYS if key not in (*TIME_KEYS, "session_id", "layout")))
    own = {"$match": rows_of(chats)}
    session = {"chat_id": "$chat_id", "layout": "$layout"}
    client = {name: f"${name}" for name in ("run", "turns", *keys[1:])}
    of_client = {name: f"$_id.{name}" for name in client}
    counted = {"ledger_rows": {"$sum": 1}, "uncountable": {"$sum": {"$cond": [IS_COUNTABLE, 0, 1]}}}
    with_numbers = {**of_client, **{name: f"${name}" for name in (*COUNTS, "cost_unknown")}, "cost": known_sum()}
    of_day = {name: f"$_id.{name}" for name in (*session, "day")}
    by_day = {"_id": of_day, **sums(), "clients": {"$push": with_numbers}}
    day = {name: f"${name}" for name in (*COUNTS, "cost_unknown", "clients")} | {
        "day": "$_id.day",
        "cost": known_sum(),
    }
    return [
        own,
        {"$group": {"_id": {**session, "layout": layout_at("$layout")}, **counted}},
        {
            "$unionWith": {
                "coll": rows,
                "pipeline": [
                    own,
                    *increases(LedgerQuery(keys)),
                    {"$group": {"_id": {**session, "day": "$day", **client}, **sums()}},
                    {"$set": {"cost": known_sum()}},
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


def from_daily_documents(query: LedgerQuery, without: Sequence[Any]) -> list[Document]:
    """Stages on daily sums that make the groups of a query, `without` the sessions named."""
    match: Document = {}
    if without:  # None as the session id of a row, but not the missing member of a text
        match |= {
            "_id": {"$nin": list(without)},
            "_id.chat_id": {"$nin": [chat for chat in without if chat is not None]},
        }
    if query.layout is not None:
        match |= daily_sums_within(query.layout)
    if query == LedgerQuery(("day",), layout=query.layout):
        return [{"$match": match}, *_by_day()]
    within: Document = {}
    if query.since is not None:
        within["$gte"] = query.since
        match["last_day"] = {"$gte": query.since}
    if query.until is not None:
        match["first_day"] = {"$lt": query.until}
        within["$lt"] = query.until
    facts = {f"days.clients.{name}": value for name, value in facts_of(query).items()}
    client = {name: f"$days.clients.{name}" for name in ("run", "agent", "model", "turns", *NUMBERS, "cost_unknown")}
    client |= {name: f"$days.clients.{name}" for name in CLIENT_FIELDS if name in query.keys}
    times = {
        key: truncated("$days.day", key) if key != "day" else "$days.day" for key in query.keys if key in TIME_KEYS
    }
    return [
        {"$match": match},
        {"$unwind": "$days"},
        *([{"$match": {"days.day": within}}] if within else []),
        {"$unwind": "$days.clients"},
        *([{"$match": facts}] if facts else []),
        {"$project": {**DAILY_SESSION, **client, **times}},
        *groups(query.keys),
    ]


def _by_day() -> list[Document]:
    """Stages for the most frequent report, by day: it reads the sums of days, not those of clients."""
    return [
        {"$project": {"cost_unknown": 1, **{f"days.{name}": 1 for name in ("day", *NUMBERS, "cost_unknown")}}},
        {"$unwind": {"path": "$days", "includeArrayIndex": "index"}},
        {"$group": {"_id": {"day": "$days.day"}, **sums("$days."), **session_counts("$days.cost_unknown")}},
    ]
