"""Deleting a session: first a tombstone, so that a replayed journal cannot restore the session, then its documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from chatstore_cli.domain.removal import StoredPart
from chatstore_cli.mongo.collections import require_removable, require_storable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors

TOMBSTONES = "chatstore_tombstones"
"""Sessions that were deleted on purpose: `{_id: {layout, session_id}, deleted_at}`."""

Part = tuple[str, Document]
"""A collection, and the filter that selects a session's documents in it."""


def deleted_sessions(connection: Connection, layout: str, session_ids: Iterable[str]) -> set[str]:
    """Those of the sessions that were deleted on purpose, so that journals must not restore them."""
    ids = [{"layout": layout, "session_id": session_id} for session_id in session_ids]
    rows = connection.collection(TOMBSTONES).find({"_id": {"$in": ids}}, {"_id": 1})
    return {row["_id"]["session_id"] for row in rows}


def count_parts(connection: Connection, parts: Sequence[Part]) -> list[StoredPart]:
    """The number of documents of a session in each collection."""
    with driver_errors("counting what would be deleted"):
        return [StoredPart(name, connection.collection(name).count_documents(selected)) for name, selected in parts]


def remove_parts(
    connection: Connection, layout: str, session_id: str, parts: Sequence[Part], deleted_at: datetime
) -> list[StoredPart]:
    """Delete a session's documents. If this is interrupted, call it again: the tombstone stays."""
    require_storable(connection, TOMBSTONES)
    for name, _ in parts:
        require_removable(connection, name)  # before the tombstone, which would hide a session that still exists
    with driver_errors(f"deleting session {session_id!r}"):
        tombstone = {"_id": {"layout": layout, "session_id": session_id}}
        connection.collection(TOMBSTONES).update_one(tombstone, {"$set": {"deleted_at": deleted_at}}, upsert=True)
        return [
            StoredPart(name, connection.collection(name).delete_many(selected).deleted_count)
            for name, selected in parts
        ]
