"""Hits of a search as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, Piece, Row, count

if TYPE_CHECKING:
    from chatstore_cli.domain.search.models import SearchHit, WordsUpdate


def hit_row(hit: SearchHit) -> dict[str, Any]:
    """One message with hits. Offsets count characters of the message's text (core/search/message_text.py)."""
    message = hit.message
    return {
        "session_id": message.session_id,
        "layout": hit.layout,
        "tenant_id": hit.tenant_id,
        "user_id": hit.user_id,
        "message_id": message.message_id,
        "sequence": message.sequence,
        "created_at": rfc3339(message.created_at),
        "role": message.role,
        "name": message.name,
        "snippet": json_safe(hit.snippet),
        "snippet_start": hit.snippet_start,
        "text_length": hit.text_length,
        "offsets": [list(span) for span in hit.offsets],
        "more_offsets": hit.more_offsets,
    }


def snippet_pieces(row: Row) -> Iterator[Piece]:
    """The snippet in pieces, of which the hits are marked; an ellipsis where the text continues."""
    snippet, first = row["snippet"], row["snippet_start"]
    if first:
        yield "… ", False
    shown = 0
    for start, end in row["offsets"]:
        start, end = max(start - first, shown), min(end - first, len(snippet))
        if start >= end:
            break
        yield snippet[shown:start], False
        yield snippet[start:end], True
        shown = end
    yield snippet[shown:], False
    if first + len(snippet) < row["text_length"]:
        yield " …", False


HIT_COLUMNS = (
    Column("created_at", "TIME", is_time=True),
    Column("layout", "LAYOUT", spare=1),
    Column("session_id", "SESSION", whole=True),
    Column("tenant_id", "TENANT", in_table=False),
    Column("user_id", "USER", in_table=False),
    Column("message_id", "MESSAGE", in_table=False),
    Column("sequence", "SEQUENCE", align="right", in_table=False),
    Column("role", "ROLE"),
    Column("name", "NAME", in_table=False),
    Column("snippet", "TEXT", pieces=snippet_pieces),
    Column("snippet_start", "SNIPPET START", align="right", in_table=False),
    Column("offsets", "OFFSETS", in_table=False),
)


WORDS_COLUMNS = (
    Column("layout", "LAYOUT"),
    Column("sessions", "SESSIONS", show=count),
    Column("read", "READ", show=count),
    Column("removed", "REMOVED", show=count),
    Column("seconds", "SECONDS"),
)


def words_row(update: WordsUpdate) -> dict[str, Any]:
    """The row of one layout's words: sessions that were looked at and read, and documents of deleted sessions."""
    return {
        "layout": update.layout,
        "sessions": update.sessions,
        "read": update.read,
        "removed": update.removed,
        "seconds": round(update.seconds, 3),
    }
