"""The columns of a history: those of messages, with the source of each and whether it is stored in MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.render.listing import Column, Listing, plain
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS

_BY_KEY = {column.key: column for column in MESSAGE_COLUMNS}


def history_listing(history: Mapping[str, Any], *, empty: str = "Nothing found.") -> Listing:
    """The listing of a history that `to_dict()` has made one JSON object."""
    beside = {key: value for key, value in history.items() if key not in ("items", "next_cursor")}
    return Listing(HISTORY_COLUMNS, history["items"], beside=beside, empty=empty)


def summary(history: Mapping[str, Any]) -> str:
    """The counts of a history as a notice, for the formats that do not show them."""
    counts, newest = history["counts"], history["last_persisted_at"]
    if counts["mongo"] is None:
        return f"Shown: {counts['cache']} from the journal. MongoDB was not read."
    if newest is not None:
        stored = f"Newest in MongoDB: {newest}."
    elif any(item["persisted"] for item in history["items"]):
        stored = "No stored message has a time that can be read."
    else:
        stored = "MongoDB has no message of the session."
    only_journal = history["not_persisted"]
    both = counts["cache"] - only_journal
    where = f"{both} in journal and MongoDB, {only_journal} only in the journal, {counts['mongo']} only in MongoDB"
    return f"Shown: {counts['cache'] + counts['mongo']} ({where}). {stored}"


def layout_summary(history: Mapping[str, Any], layout: str) -> str:
    """The same for a session of a layout without journals."""
    newest = history["last_persisted_at"]
    return f"Shown: {len(history['items'])} (layout {layout}).{f' Newest: {newest}.' if newest else ''}"


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
