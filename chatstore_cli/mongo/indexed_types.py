"""Conditions on the type of a stored value that an index serves.

The conditions name each type, because `$not` would read all documents. For an array, the types of its elements count.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.queries import SessionQuery

Document = dict[str, Any]

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)

IS_DATE = {"$type": "date", "$gte": EARLIEST, "$lte": LATEST}
"""A date that Python can hold."""

_NEITHER_TEXT_NOR_DATE = [
    "minKey", "null", "double", "object", "binData", "objectId", "bool", "regex", "int", "timestamp", "long",
    "decimal", "maxKey", "undefined", "dbPointer", "javascript", "javascriptWithScope",
]  # fmt: skip

NOT_A_DATE: tuple[Any, ...] = (
    None,
    {"$eq": []},
    {"$type": [*_NEITHER_TEXT_NOR_DATE, "string", "symbol"]},
    {"$type": "date", "$lt": EARLIEST},
    {"$type": "date", "$gt": LATEST},
)
"""Conditions: each value that is not such a date, and also an absent value, meets at least one."""

IS_TEXT = {"$gte": ""}
"""A text. A symbol is one too: an index holds both among each other, and the driver reads it as a text."""

NOT_A_TEXT = {"$type": [*_NEITHER_TEXT_NOR_DATE, "date"]}
"""A value of `_id` that is not a text. It cannot be an array."""

NOT_AN_OBJECT_ID = {
    "$type": [*(each for each in _NEITHER_TEXT_NOR_DATE if each != "objectId"), "string", "symbol", "date"]
}
"""A value of `_id` that is not an ObjectId."""


def date_in_period(query: SessionQuery) -> Document:
    """The condition that a value is a date in the period of a query."""
    dates: Document = {"$type": "date", "$gte": query.since or EARLIEST}
    return dates | ({"$lte": LATEST} if query.until is None else {"$lt": query.until})


def perhaps_in_period(query: SessionQuery, field: str) -> list[Document]:
    """Conditions that every document meets whose time may be in the period of a query; none if the query has no period.

    The time is `field` if that is a date, and another field otherwise. So documents without a date in `field` meet the
    conditions too.
    """
    if query.since is None and query.until is None:
        return []
    return [{"$or": [{field: date_in_period(query)}, *({field: each} for each in NOT_A_DATE)]}]
