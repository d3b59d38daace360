"""Sizes of documents, and results of splitting them, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.byte_sizes import format_bytes
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.sessions import status_style

if TYPE_CHECKING:
    from chatstore_cli.domain.segments import DocumentSize, Growth, SplitResult
    from chatstore_cli.render.times import TimeDisplay


def size_row(document: DocumentSize, growth: Growth) -> Row:
    """One document; `message_count` includes messages in segments."""
    session = document.session
    return {
        "session_id": session.session_id,
        "layout": session.layout,
        "tenant_id": session.tenant_id,
        "status": session.status.value,
        "size_bytes": document.size_bytes,
        "messages_in_document": document.messages_in_document,
        "message_count": session.message_count,
        "segments": document.segment_count,
        "first_message_at": rfc3339(document.first_message_at),
        "last_message_at": rfc3339(document.last_message_at),
        "bytes_per_day": growth.bytes_per_day,
        "full_at": rfc3339(growth.full_at),
    }


def split_row(result: SplitResult) -> Row:
    """The result of splitting one document."""
    return {
        "session_id": result.session_id,
        "layout": result.layout,
        "size_bytes_before": result.size_before,
        "size_bytes": result.size_after,
        "segments_added": result.segments,
        "messages_moved": result.moved_messages,
        "message_count": result.messages,
        "reads_the_same": result.reads_the_same,
    }


def _size(value: Any) -> str:
    return "" if value is None else format_bytes(value)


def _growth(row: Row) -> str:
    """The growth per day; `-` for a session that has ended, because it does not grow."""
    if row["bytes_per_day"] is not None:
        return format_bytes(row["bytes_per_day"])
    return "-" if row["status"] in ("completed", "failed") else "unknown"


def _day(value: Any, times: TimeDisplay) -> str:
    return times.day(value)


SIZE_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", in_table=False),
    Column("tenant_id", "TENANT"),
    Column("status", "STATUS", style=status_style, spare=5),
    Column("size_bytes", "SIZE", align="right", show=_size),
    Column("messages_in_document", "IN DOCUMENT", align="right", show=count, spare=3),
    Column("message_count", "MESSAGES", align="right", show=count, spare=4),
    Column("segments", "SEGMENTS", align="right", show=count, spare=4),
    Column("first_message_at", "FIRST", is_time=True, show_time=_day, in_table=False),
    Column("last_message_at", "LAST", is_time=True, show_time=_day, spare=2),
    Column("bytes_per_day", "PER DAY", align="right", show_row=_growth),
    Column("full_at", "FULL ON", is_time=True, show_time=_day, whole=True),
)
SPLIT_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", in_table=False),
    Column("size_bytes_before", "SIZE BEFORE", align="right", show=_size),
    Column("size_bytes", "SIZE NOW", align="right", show=_size),
    Column("segments_added", "SEGMENTS ADDED", align="right", show=count),
    Column("messages_moved", "MESSAGES MOVED", align="right", show=count),
    Column("message_count", "MESSAGES", align="right", show=count),
    Column("reads_the_same", "MESSAGES UNCHANGED"),
)
