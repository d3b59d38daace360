"""Deletes the messages of a thread in batches, so that a million of them do not burden the server or this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from pymongo.collection import Collection

from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.exact import MOST_TEXTS, own_collation

Item = TypeVar("Item")

_MESSAGES_AT_ONCE = 1_000
PLACE = {"_id": 1, "sequence": 1}
"""The fields that a batch of a deletion reads."""


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of at most that many."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def ids_at_once(messages: Collection[Any]) -> int:
    """How many messages one command may name by their ids."""
    return MOST_TEXTS if own_collation(messages) else _MESSAGES_AT_ONCE


def remove_selected(messages: Collection[Document], selected: Document) -> int:
    """Delete the messages of one thread that meet a condition, and return how many. Raises the driver's own errors."""
    removed = 0
    after: int | None = None
    while True:
        rows = list(
            messages.find({**selected, **behind(after)}, PLACE).sort("sequence", 1).limit(ids_at_once(messages))
        )
        if rows:
            removed += messages.delete_many({**selected, "_id": {"$in": [row["_id"] for row in rows]}}).deleted_count
        elif after is None:
            return removed
        after = place_of_last(rows)


def behind(after: int | None) -> Document:
    """The condition for the messages after a sequence. None means all messages.

    Each batch starts after the previous one, because an index keeps the entries of deleted documents for a while, and each
    batch would read all of them again. The last pass finds messages whose sequence is not a number.
    """
    return {} if after is None else {"sequence": {"$gt": after}}


def place_of_last(rows: list[Document]) -> int | None:
    """The sequence of the last message of a batch; None without one."""
    return whole_number(rows[-1].get("sequence")) if rows else None
