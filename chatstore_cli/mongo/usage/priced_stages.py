"""Aggregation stages that add up the usage ledger per model and day, from which costs are calculated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chatstore_cli.domain.prices import CostIsStored, UsageToPrice
from chatstore_cli.domain.usage_ledger import LedgerQuery
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.usage.stages import (
    CACHED_UNKNOWN,
    CLIENT,
    is_null,
    key_fields,
    known_sums,
    labels_of,
    numbers,
    summed_details,
    summed_usage,
    sums,
)

PRICED_DAY = "priced_day"
"""The field with the day in UTC. The days of a report may be those of another zone."""


def priced_groups(query: LedgerQuery) -> list[Document]:
    """Stages that add up increases by the keys of the query, model, day, and whether their cost is stored.

    A reported cost is cumulative: if it is known in the end, it is the cost of all days of a client. So the days of each
    client are brought together first. A turn has a cost of its own, and turns with a known cost are added up apart from
    others. Daily sums of an earlier version have both in one.
    """
    names = numbers(query)
    fields = key_fields(query.keys)
    client = {name: f"${name}" for name in CLIENT}
    part = {**fields, PRICED_DAY: f"${PRICED_DAY}", "cost_unknown": "$cost_unknown"}
    cached_unknown = {"$or": [{"$eq": ["$cached_unknown", True]}, CACHED_UNKNOWN]}
    added = {**{name: f"${name}" for name in COUNTS}, **known_sums(names), "cached_unknown": "$cached_unknown"}
    of_part = {name: f"$_id.part.{name}" for name in part}
    cost = "$parts.cost"
    is_known = {"$cond": ["$_id.turns", {"$not": ["$parts.cost_unknown"]}, {"$not": [is_null("$known_cost")]}]}
    is_partly_known = {"$and": ["$parts.cost_unknown", {"$not": [is_null(cost)]}]}
    stored: Document = {
        "$switch": {
            "branches": [
                {"case": {"$and": [is_known, {"$not": [is_partly_known]}]}, "then": CostIsStored.YES.value},
                {"case": is_partly_known, "then": CostIsStored.PARTLY.value},
            ],
            "default": {"$cond": ["$parts.cost_unknown", CostIsStored.NO.value, CostIsStored.YES.value]},
        }
    }
    keys: Document = {name: f"$parts.{name}" for name in fields}
    group: Document = {"keys": keys, "model": "$_id.model", "day": f"$parts.{PRICED_DAY}", "stored": stored}
    return [
        {
            "$group": {
                "_id": {"client": client, "part": part},
                **sums(names=names),
                "cached_unknown": {"$max": cached_unknown},
            }
        },
        {
            "$group": {
                "_id": "$_id.client",
                "known_cost": {"$max": {"$cond": [is_null("$known_cost"), None, "$cost"]}},
                "parts": {"$push": {**of_part, **added}},
            }
        },
        {"$unwind": "$parts"},
        {
            "$group": {
                "_id": group,
                **sums("$parts.", names),
                "cached_unknown": {"$max": "$parts.cached_unknown"},
            }
        },
    ]


def priced_group_of(keys: Sequence[str], row: Document) -> UsageToPrice:
    """The UsageToPrice of a document that `priced_groups` returned."""
    own: Any = row["_id"]
    labels = labels_of(("model",), own)
    day = own.get("day")
    return UsageToPrice(
        group=labels_of(keys, own.get("keys") or {}),
        model=labels[0],
        day=day.date() if isinstance(day, datetime) else None,
        usage=summed_usage(row),
        details=summed_details(row),
        cached_is_unknown=bool(row["cached_unknown"]),
        stored=CostIsStored(own["stored"]),
    )
