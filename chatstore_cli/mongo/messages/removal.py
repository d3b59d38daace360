"""Deletes flat messages: all rows of a session that is deleted, or those of some rows that a tombstone covers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from pymongo import DeleteOne
from pymongo.collection import Collection

from chatstore_cli.domain.times import read_instant
from chatstore_cli.domain.tombstones import Tombstone, deletion_instant
from chatstore_cli.mongo.collections import require_removable
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.tombstones import row_key, tombstones_of, write_tombstone

_ROWS_AT_ONCE = 1_000
_FIELDS = {"created_at": 1}


def remove_session(
    connection: Connection, layout: str, session_id: str, collection: str, selected: Document, now: datetime
) -> int:
    """Delete the rows of a session, `selected` in a collection, after its tombstone is written. Returns how many.

    If this is interrupted, call it again. A row that is stored meanwhile is deleted if the tombstone covers it. One that
    is stored behind the place where the deletion has arrived is deleted by its writer, who looks for a tombstone last.
    """
    require_removable(connection, collection)
    messages = connection.reading_from_primary().collection(collection)
    by_time = Tombstone(deletion_instant(now))
    listed = [row["_id"] for row in messages.find(selected, _FIELDS) if _must_be_listed(row, by_time)]
    write_tombstone(connection, layout, session_id, by_time.deleted_at, listed)
    # Another process may have deleted the session too: from now on its tombstone decides as it is stored.
    tombstone = tombstones_of(connection, layout, [session_id])[session_id]
    return remove_covered(messages, ((row, tombstone) for row in messages.find(selected, _FIELDS)))


def remove_covered(messages: Collection[Document], rows: Iterable[tuple[Document, Tombstone]]) -> int:
    """Delete those of the rows that their session's tombstone covers. Returns how many were deleted.

    A row is deleted only if it still has its `created_at`: after its removal a new message may have got the same `_id`.
    """
    deletions = (_deletion_of(row) for row, tombstone in rows if _covers(tombstone, row))
    removed = 0
    while batch := list(islice(deletions, _ROWS_AT_ONCE)):
        removed += messages.bulk_write(batch, ordered=False).deleted_count
    return removed


def _covers(tombstone: Tombstone, row: Document) -> bool:
    return tombstone.covers(read_instant(row.get("created_at")), row_key(row["_id"]))


def _must_be_listed(row: Document, by_time: Tombstone) -> bool:
    """Whether only its `_id` shows that the row is deleted: it is dated later, or nobody can read its time."""
    return read_instant(row.get("created_at")) is None or not _covers(by_time, row)


def _deletion_of(row: Document) -> DeleteOne:
    selected: Document = {"_id": {"$eq": row["_id"]}}
    if read_instant(row.get("created_at")) is not None:
        selected["created_at"] = {"$eq": row["created_at"]}
    return DeleteOne(selected)
