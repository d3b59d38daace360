"""Deletes flat messages: all rows of a session that is deleted, or those of some rows that a tombstone covers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from pymongo.collection import Collection

from chatstore_cli.domain.message import read_reply_to
from chatstore_cli.domain.removal import SessionState
from chatstore_cli.domain.tombstones import Tombstone, deletion_instant
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.collections import require_removable
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.exact import MOST_TEXTS, exactly, own_collation
from chatstore_cli.mongo.tombstones import row_key, tombstones_of, write_tombstone

_ROWS_AT_ONCE = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Covers no row with a time, if no planned row had one."""
FIELDS = {"created_at": 1, "reply_to": 1, "reply_to_at": 1}
"""What decides whether a tombstone covers a row, beside its `_id`."""


def remove_session(
    connection: Connection,
    layout: str,
    session_id: str,
    collection: str,
    selected: Document,
    now: datetime,
    expected: SessionState | None = None,
) -> int:
    """Delete the rows of a session, `selected` in a collection, after its tombstone is written. Returns how many.

    With `expected`, a row that is dated later than all rows of this state is a new one, which is not deleted.

    If this is interrupted, call it again. A row that is stored meanwhile is deleted if the tombstone covers it. One that
    is stored behind the place where the deletion has arrived is deleted by its writer, which looks up the tombstone last.
    """
    require_removable(connection, collection)
    messages = connection.reading_from_primary().collection(collection)
    selected, option = exactly(messages, selected)
    newest = None if expected is None else expected.updated_at or _EPOCH
    by_time = Tombstone(deletion_instant(now if newest is None else min(now, newest)))
    listed = [
        row["_id"]
        for row in messages.find(selected, FIELDS, **option)
        if (moment := stored_instant(row.get("created_at"))) is None
        or not (by_time.covers(moment, row_key(row["_id"])) or (newest is not None and moment > newest))
    ]
    write_tombstone(connection, layout, session_id, by_time.deleted_at, listed)
    # Another process may have deleted the session too: from now on its tombstone decides as it is stored.
    tombstone = tombstones_of(connection, layout, [session_id])[session_id]
    return remove_covered(messages, session_id, messages.find(selected, FIELDS, **option), tombstone)


def require_unchanged(
    connection: Connection, layout: str, session_id: str, collection: str, selected: Document, expected: SessionState
) -> None:
    """Raise SessionChanged if the rows of a session are not those of this state.

    If its tombstone covers all rows, and they are not more than expected, a deletion was interrupted: that is no change.
    """
    tombstone = tombstones_of(connection, layout, [session_id]).get(session_id)
    messages = connection.reading_from_primary().collection(collection)
    selected, option = exactly(messages, selected)
    number, are_covered = 0, tombstone is not None
    oldest: datetime | None = None
    newest: datetime | None = None
    for row in messages.find(selected, FIELDS, **option):
        moment = stored_instant(row.get("created_at"))
        number += 1
        are_covered = are_covered and tombstone is not None and _why_covered(session_id, row, tombstone) is not None
        if moment is not None:
            oldest = moment if oldest is None else min(oldest, moment)
            newest = moment if newest is None else max(newest, moment)
    if number and not (are_covered and number <= expected.message_count):
        expected.require(session_id, SessionState(oldest, newest, number))


def remove_covered(
    messages: Collection[Document], session_id: str, rows: Iterable[Document], tombstone: Tombstone
) -> int:
    """Delete those of a session's rows that its tombstone covers. Returns how many were deleted.

    After the removal of a row a new message may get its `_id`. It is not deleted: a row is deleted only while it still has
    the time, or the `reply_to_at`, for which it is covered. One that the tombstone lists is covered whatever it has.
    """
    covered = ((row, reason) for row in rows if (reason := _why_covered(session_id, row, tombstone)) is not None)
    removed = 0
    at_once = MOST_TEXTS if own_collation(messages) else _ROWS_AT_ONCE
    while batch := list(islice(covered, at_once)):
        for field in ("created_at", "reply_to_at", "_id"):
            because_of_it = [row for row, reason in batch if reason == field]
            if because_of_it:
                selected = {name: {"$in": [row[name] for row in because_of_it]} for name in {"_id", field}}
                removed += messages.delete_many(selected).deleted_count
    return removed


def _why_covered(session_id: str, row: Document, tombstone: Tombstone) -> str | None:
    """The field for which the tombstone covers the row; None if it does not."""
    moment = stored_instant(row.get("created_at"))
    if moment is not None and moment <= tombstone.deleted_at:
        return "created_at"
    if tombstone.covers(moment, row_key(row["_id"])):
        return "_id"
    return "reply_to_at" if tombstone.covers_answer(session_id, read_reply_to(row)) else None
