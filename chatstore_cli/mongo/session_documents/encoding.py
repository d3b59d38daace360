"""Messages as they are sent to the server: encoded once, and checked for their size."""

from __future__ import annotations

import bson
from bson.raw_bson import RawBSONDocument

from chatstore_cli.domain.errors import DocumentRefused
from chatstore_cli.domain.segments import HARD_LIMIT_BYTES
from chatstore_cli.mongo.connection import Document, driver_errors

_MESSAGE_LIMIT = HARD_LIMIT_BYTES - 16 * 1024
"""The rest is for the other fields of the document."""


def encoded_message(message: Document, session_id: str) -> RawBSONDocument:
    """The encoded message. Raises DocumentRefused if it is too large for any document."""
    with driver_errors(f"Message {message['event_id']!r} of session {session_id!r}"):
        raw = bson.encode(message)
    if len(raw) > _MESSAGE_LIMIT:
        raise DocumentRefused(
            where=f"Message {message['event_id']!r} of session {session_id!r}",
            reason=f"{len(raw):,} bytes as a document, over the limit of 16 MiB",
        )
    return RawBSONDocument(raw)


def plain_update(update: Document) -> Document:
    """The update with messages as plain documents, for mongomock."""
    return {
        operator: {
            field: dict(bson.decode(value.raw)) if isinstance(value, RawBSONDocument) else value
            for field, value in fields.items()
        }
        for operator, fields in update.items()
    }
