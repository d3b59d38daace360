"""Tombstones: a deletion writes one before it deletes anything, so that a journal cannot restore what was deleted.

They are read from the primary, because what they say decides about writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from chatstore_cli.config import settings
from chatstore_cli.domain.removal import StoredPart
from chatstore_cli.domain.times import read_instant
from chatstore_cli.domain.tombstones import Tombstone, deletion_instant
from chatstore_cli.mongo.collections import require_exact_ids, require_removable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors

TOMBSTONES = settings.TOMBSTONES
"""Sessions that were deleted on purpose: `{_id: {layout, session_id}, deleted_at, row_ids, parts}`.

If the ids in `row_ids` are too many for one document, the others are in parts: `{_id: {layout, session_id, part},
row_ids}`. `parts` of the session's own document names them, so that one look-up by `_id` finds the tombstones of many
sessions, and only a session that has parts needs another one.
"""

PART = "part"
"""The member of `_id` that only parts have."""

LISTED_IDS = 10_000
"""The most ids in one document."""
_LISTED_LETTERS = 2 * 1024 * 1024
"""The most letters of ids that are added at once: other writers choose ids of any length."""

_NEVER = datetime.min.replace(tzinfo=UTC)
"""Stands for a `deleted_at` that cannot be read: it covers nothing, so that nothing is lost."""


Part = tuple[str, Document]
"""A collection, and the filter that selects a session's documents in it."""


def deleted_sessions(connection: Connection, layout: str, session_ids: Iterable[str]) -> set[str]:
    """Those of the sessions that have a tombstone."""
    wanted = set(session_ids)
    rows = _collection(connection).find({"_id": {"$in": _keys(layout, wanted)}}, {"_id": 1})
    return wanted.intersection(row["_id"]["session_id"] for row in rows)


def deleted_in_range(connection: Connection, layout: str, first: str, end: str) -> Iterator[str]:
    """The deleted sessions of a layout from `first` to before `end`, in the order of bytes."""
    ids = {"$gte": {"layout": layout, "session_id": first}, "$lt": {"layout": layout, "session_id": end}}
    if connection.in_memory:  # mongomock does not compare documents
        sessions = {row["_id"]["session_id"] for row in _collection(connection).find({"_id.layout": layout})}
        yield from (session for session in sessions if first <= session < end)
        return
    for row in _collection(connection).find({"_id": ids}, {"_id": 1}):
        yield row["_id"]["session_id"]


def tombstones_of(connection: Connection, layout: str, session_ids: Iterable[str]) -> dict[str, Tombstone]:
    """The tombstones of those of the sessions that have one. Costs one look-up if none has."""
    collection = _collection(connection)
    deleted_at: dict[str, datetime] = {}
    row_ids: dict[str, set[str]] = {}
    parts: list[Document] = []
    wanted = set(session_ids)
    for row in collection.find({"_id": {"$in": _keys(layout, wanted)}}):
        session = row["_id"]["session_id"]
        if session not in wanted:
            continue
        deleted_at[session] = read_instant(row.get("deleted_at")) or _NEVER
        row_ids[session] = set(map(row_key, row.get("row_ids", ())))
        parts += [{**row["_id"], PART: name} for name in row.get("parts", ())]
    if parts:
        for part in collection.find({"_id": {"$in": parts}}):
            row_ids[part["_id"]["session_id"]].update(map(row_key, part["row_ids"]))
    return {session: Tombstone(moment, frozenset(row_ids[session])) for session, moment in deleted_at.items()}


def write_tombstone(
    connection: Connection, layout: str, session_id: str, deleted_at: datetime, row_ids: Sequence[Any] = ()
) -> None:
    """Write the tombstone of a session, or add to it: the later time counts, and the ids are added.

    Several processes may do so at once, and be killed at any command: nothing of another one is lost, and the last
    command puts everything into effect at once.
    """
    require_exact_ids(connection, TOMBSTONES)
    collection = _collection(connection)
    key = {"layout": layout, "session_id": session_id}
    first, *others = list(_chunks(row_ids)) or [[]]
    parts = [_write_part(collection, key, ids) for ids in others]

    def update(ids: list[Any], parts: list[str], condition: Document) -> None:
        changes: Document = {"$max": {"deleted_at": deleted_at}}
        if added := {name: {"$each": each} for name, each in (("row_ids", ids), ("parts", parts)) if each}:
            changes["$addToSet"] = added
        collection.update_one({"_id": key, **condition}, changes, upsert=True)

    try:
        # The list has room for these ids if it has no element at this place.
        update(first, parts, {f"row_ids.{LISTED_IDS - len(first)}": {"$exists": False}})
    except DuplicateKeyError:  # it has no room for them, or another process has created the document at this moment
        update([], [*parts, _write_part(collection, key, first)], {})


def _write_part(collection: Collection[Document], key: Document, row_ids: list[Any]) -> str:
    """Store ids in a document of their own. Its name comes from them, so that a repeated deletion stores them once."""
    name = hashlib.sha256(repr(sorted(map(row_key, row_ids))).encode()).hexdigest()[:32]
    collection.update_one({"_id": {**key, PART: name}}, {"$set": {"row_ids": row_ids}}, upsert=True)
    return name


def row_key(identity: Any) -> str:
    """A stored `_id` as text: itself, or for one of another type (which no journal line has) a text that no other id has."""
    return identity if isinstance(identity, str) else f"\0{identity!r}"


def _chunks(row_ids: Sequence[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    size = 0
    for identity in row_ids:
        length = len(row_key(identity))
        if chunk and (len(chunk) == LISTED_IDS or size + length > _LISTED_LETTERS):
            yield chunk
            chunk, size = [], 0
        chunk.append(identity)
        size += length
    if chunk:
        yield chunk


def _keys(layout: str, session_ids: Iterable[str]) -> list[Document]:
    return [{"layout": layout, "session_id": session_id} for session_id in session_ids]


def _collection(connection: Connection) -> Collection[Document]:
    # The driver's own collection: `_id` is compared here, and each batch of messages looks for tombstones.
    return connection.reading_from_primary().database[TOMBSTONES]


def count_parts(connection: Connection, parts: Sequence[Part]) -> list[StoredPart]:
    """The number of documents of a session in each collection."""
    with driver_errors("counting what would be deleted"):
        return [StoredPart(name, connection.collection(name).count_documents(selected)) for name, selected in parts]


def remove_parts(
    connection: Connection, layout: str, session_id: str, parts: Sequence[Part], deleted_at: datetime
) -> list[StoredPart]:
    """Delete all of a session's documents. If this is interrupted, call it again: the tombstone stays."""
    require_all_removable(connection, parts)  # before the tombstone, which would hide a session that still exists
    with driver_errors(f"deleting session {session_id!r}"):
        write_tombstone(connection, layout, session_id, deletion_instant(deleted_at))
        return [
            StoredPart(name, connection.collection(name).delete_many(selected).deleted_count)
            for name, selected in parts
        ]


def require_all_removable(connection: Connection, parts: Sequence[Part]) -> None:
    """Raise UnsuitableCollection if documents cannot be deleted from one of the collections."""
    for name, _ in parts:
        require_removable(connection, name)
