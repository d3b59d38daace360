"""Rows of flush-cache and of the quarantine."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.ignored import ignored_count, ignored_rows

if TYPE_CHECKING:
    from chatstore_cli.domain.ignored_files import IgnoredFiles
    from chatstore_cli.domain.journal import FlushResult
    from chatstore_cli.domain.quarantine import QuarantinedLine, RetryResult


def flush_row(result: FlushResult, ignored: Sequence[IgnoredFiles]) -> dict[str, Any]:
    """What a flush did. lines = stored + already_stored + skipped + quarantined + already_quarantined."""
    return {
        "files": result.files,
        "lines": result.lines,
        "stored": result.stored,
        "already_stored": result.already_stored,
        "quarantined": result.quarantined,
        "already_quarantined": result.already_quarantined,
        "skipped": result.skipped,
        "pending": result.pending,
        "incomplete_journals": list(result.named_incomplete),
        "altered": sum(result.altered.values()),
        "seconds": round(result.seconds, 3),
        "messages_per_second": round(result.messages_per_second, 1),
        "ignored_files": ignored_rows(ignored),
    }


def quarantine_row(line: QuarantinedLine) -> dict[str, Any]:
    """One quarantined line; `raw` is its bytes in Base64, null if they are in the file `raw_file`."""
    return {
        "quarantine_id": line.quarantine_id,
        "source": line.source,
        "line": line.line,
        "offset": line.offset,
        "length": line.length,
        "reason": line.reason,
        "at": line.at,
        "raw": None if line.raw is None else base64.b64encode(line.raw).decode(),
        "raw_file": line.raw_file,
    }


def retry_row(result: RetryResult) -> dict[str, Any]:
    """What a retry of quarantined lines did."""
    return {
        "lines": result.lines,
        "stored": result.stored,
        "already_stored": result.already_stored,
        "still_quarantined": result.still_quarantined,
    }


def _first_bytes(row: Row) -> str:
    if row["raw"] is None:
        return f"(in {row['raw_file']})"
    return base64.b64decode(row["raw"])[:60].decode("utf-8", "backslashreplace")


FLUSH_COLUMNS = (
    Column("files", "Files", align="right", show=count),
    Column("lines", "Lines", align="right", show=count),
    Column("stored", "Stored", align="right", show=count),
    Column("already_stored", "Already stored", align="right", show=count),
    Column("quarantined", "Quarantined", align="right", show=count),
    Column("already_quarantined", "Already quarantined", align="right", show=count),
    Column("skipped", "Skipped", align="right", show=count),
    Column("pending", "Incomplete last lines", align="right", show=count),
    Column("incomplete_journals", "Incomplete journals", in_table=False),
    Column("altered", "Altered", align="right", show=count, in_table=False),
    Column("seconds", "Seconds", align="right"),
    Column("messages_per_second", "Messages per second", align="right", show=count),
    Column("ignored_files", "Ignored files", align="right", show=ignored_count),
)
QUARANTINE_COLUMNS = (
    Column("quarantine_id", "ID", spare=2),
    Column("source", "SOURCE", wraps=True),
    Column("line", "LINE", align="right"),
    Column("offset", "OFFSET", align="right", show=count),
    Column("length", "BYTES", align="right", show=count, spare=3),
    Column("reason", "REASON", wraps=True),
    Column("at", "AT", in_table=False),
    Column("raw", "BEGINS WITH", show_row=_first_bytes, spare=1),
    Column("raw_file", "RAW FILE", in_table=False),
)
RETRY_COLUMNS = (
    Column("lines", "Lines", align="right", show=count),
    Column("stored", "Stored", align="right", show=count),
    Column("already_stored", "Already stored", align="right", show=count),
    Column("still_quarantined", "Still quarantined", align="right", show=count),
)
