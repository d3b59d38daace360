"""Rows of flush-cache and of the quarantine."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column, Row, count
from chatstore_cli.render.rows.ignored import ignored_count, ignored_rows
from chatstore_cli.render.rows.journal_paths import below

if TYPE_CHECKING:
    from chatstore_cli.domain.ignored_files import IgnoredFiles
    from chatstore_cli.domain.journal import FlushResult
    from chatstore_cli.domain.quarantine import EditResult, NumberedLine, RetryResult

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


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


def quarantine_row(numbered: NumberedLine) -> dict[str, Any]:
    """One quarantined line. `raw` is its bytes in Base64, null if they are in the file `raw_file`.

    `text` is the line as text, null if the bytes are not text.
    """
    line = numbered.line
    return {
        "number": numbered.number,
        "quarantine_id": line.quarantine_id,
        "source": line.source,
        "line": line.line,
        "offset": line.offset,
        "length": line.length,
        "reason": line.reason,
        "at": line.at,
        "text": None if line.raw is None else text_of(line.raw),
        "raw": None if line.raw is None else base64.b64encode(line.raw).decode(),
        "raw_file": line.raw_file,
    }


def quarantine_line_row(numbered: NumberedLine) -> dict[str, Any]:
    """One quarantined line as `show` has it: `raw_file` is the path, and `edit` an edit that was interrupted."""
    row = quarantine_row(numbered)
    raw_file, resolution = numbered.line.raw_file, numbered.line.resolution
    row["raw_file"] = None if raw_file is None else f"{numbered.folder}/{raw_file}"
    row["edit"] = None if resolution is None or resolution.edited is None else text_of(resolution.edited)
    return row


def text_of(raw: bytes) -> str | None:
    """The bytes as text, or None if they are not text: not UTF-8, or with control characters."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def edit_row(result: EditResult) -> dict[str, Any]:
    """What became of an edited line."""
    return {"quarantine_id": result.quarantine_id, "result": result.result, "reason": result.reason}


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


def _all_bytes(row: Row) -> str:
    if row["raw"] is None:
        return f"(in {row['raw_file']})"
    return base64.b64decode(row["raw"]).decode("utf-8", "backslashreplace")


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
_DRY_RUN_TITLES = {"stored": "Would be stored", "quarantined": "Would be quarantined", "skipped": "Would be skipped"}
DRY_RUN_COLUMNS = tuple(replace(each, title=_DRY_RUN_TITLES.get(each.key, each.title)) for each in FLUSH_COLUMNS)


def quarantine_columns(folder: str) -> tuple[Column, ...]:
    """The columns of quarantined lines; a table has the paths of their journals below `folder`."""
    return (
        Column("number", "NO.", align="right"),
        Column("quarantine_id", "ID", whole=True),
        Column("source", "JOURNAL", show=lambda path: below(path, folder), wraps=True, narrowest=24),
        Column("line", "LINE", align="right"),
        Column("offset", "OFFSET", in_table=False),
        Column("length", "BYTES", in_table=False),
        Column("reason", "REASON", wraps=True, narrowest=24),
        Column("at", "AT", in_table=False),
        Column("text", "TEXT", in_table=False),
        Column("raw", "BEGINS WITH", show_row=_first_bytes, spare=1),
        Column("raw_file", "RAW FILE", in_table=False),
    )


QUARANTINE_FIELDS = (
    Column("number", "Number"),
    Column("quarantine_id", "ID"),
    Column("source", "Journal"),
    Column("line", "Line", show=count),
    Column("offset", "Offset in bytes", show=count),
    Column("length", "Length in bytes", show=count),
    Column("reason", "Reason"),
    Column("at", "Quarantined at"),
    Column("text", "Text", in_table=False),
    Column("raw", "Content", show_row=_all_bytes),
    Column("raw_file", "File", in_table=False),
    Column("edit", "Unfinished edit", show_row=lambda row: row["edit"] or "none"),
)
EDIT_COLUMNS = (
    Column("quarantine_id", "ID"),
    Column("result", "Result"),
    Column("reason", "Reason"),
)
DROP_COLUMNS = (Column("dropped", "Dropped", align="right", show=count), Column("result", "Result"))
RETRY_COLUMNS = (
    Column("lines", "Lines", align="right", show=count),
    Column("stored", "Stored", align="right", show=count),
    Column("already_stored", "Already stored", align="right", show=count),
    Column("still_quarantined", "Still quarantined", align="right", show=count),
)
