"""A journal line as a stored document, and a stored row as a content that can be compared with lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError

from chatstore_cli.domain.identity import content_key, to_millisecond
from chatstore_cli.domain.journal import DOCUMENT_LIMIT, RESERVED_FIELDS, Entry
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.message_store import StoredContent
from chatstore_cli.domain.times import format_instant
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Document

_MAX_DEPTH = 180
"""Levels of nesting that the server accepts in a document, as tried on 6.0."""
_TOO_DEEP = f"nested more than {_MAX_DEPTH} levels deep"


def to_document(entry: Entry, expires_at: datetime | None) -> Document:
    """The stored document of a journal line. Unknown fields are kept; reserved names are moved into `extra_fields`."""
    fields = entry.fields
    if len(fields) > 6 and not RESERVED_FIELDS.isdisjoint(fields):
        reserved = {name: value for name, value in fields.items() if name in RESERVED_FIELDS}
        kept = {name: value for name, value in fields.items() if name not in RESERVED_FIELDS}
        fields = kept | {"extra_fields": reserved}
    if expires_at is None:
        return {"_id": entry.identity, **fields, "sequence": entry.number}
    return {"_id": entry.identity, **fields, "expires_at": expires_at, "sequence": entry.number}


def flaw_of_document(document: Document) -> str | None:
    """Why MongoDB would reject a document, found without storing it; None if it would not."""
    try:
        size = len(bson.encode(document))
    except RecursionError:
        return _TOO_DEEP
    except (BSONError, OverflowError, UnicodeError, TypeError, ValueError) as error:
        return f"cannot be stored: {str(error)[:300]}"
    if size > DOCUMENT_LIMIT:
        return f"{size:,} bytes as a document, over the limit of 16 MiB"
    return _TOO_DEEP if _depth(document) > _MAX_DEPTH else None


def _depth(document: Document) -> int:
    deepest = 0
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        value, level = pending.pop()
        deepest = max(deepest, level)
        inner = value.values() if isinstance(value, dict) else value
        pending.extend((item, level + 1) for item in inner if isinstance(item, dict | list))
    return deepest


def content_of(row: Document) -> StoredContent | None:
    """The content of a row for a comparison with journal lines; None if no line can equal it."""
    texts = (row.get("session_id"), row.get("role"), row.get("text"))
    moment = stored_instant(row.get("created_at"))
    if moment is None or not all(type(text) is str for text in texts) or row["role"] not in ROLES:
        return None
    instant = format_instant(moment)
    in_milliseconds = isinstance(row.get("created_at"), datetime)
    if in_milliseconds:
        instant = to_millisecond(instant)
    session, role, text = (str(value) for value in texts)
    try:
        return StoredContent(content_key(session, role, instant, text), in_milliseconds)
    except UnicodeEncodeError:
        return None
