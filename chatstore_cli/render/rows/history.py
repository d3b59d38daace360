"""Columns of a history: those of messages, with whose copy each one is and whether MongoDB has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.render.listing import Column, Listing, plain
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS

_BY_KEY = {column.key: column for column in MESSAGE_COLUMNS}


def history_listing(history: Mapping[str, Any]) -> Listing:
    """The listing of a history that is one JSON object already."""
    beside = {key: value for key, value in history.items() if key not in ("items", "next_cursor")}
    return Listing(HISTORY_COLUMNS, history["items"], beside=beside)


def summary(history: Mapping[str, Any]) -> str:
    """What a table does not show, in words."""
    counts, newest = history["counts"], history["last_persisted_at"]
    if counts["mongo"] is None:
        return f"Shown: {counts['cache']} from the cache. MongoDB was not asked."
    stored = f"Newest in MongoDB: {newest}." if newest is not None else "MongoDB has none of the session."
    shown = f"Shown: {counts['cache']} from the cache, {counts['mongo']} from MongoDB"
    return f"{shown}; not in MongoDB: {history['not_persisted']}. {stored}"


def _stored(persisted: bool | None) -> str:
    return "?" if persisted is None else plain(persisted)


HISTORY_COLUMNS = (
    Column("message_id", "MESSAGE", in_table=False),
    _BY_KEY["sequence"],
    _BY_KEY["created_at"],
    _BY_KEY["role"],
    Column("source", "SOURCE", whole=True),
    Column("persisted", "STORED", spare=1, show=_stored, style=lambda value: "yellow" if value is False else ""),
    _BY_KEY["name"],
    _BY_KEY["content"],
    Column("metadata", "METADATA", in_table=False),
)
