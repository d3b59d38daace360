"""What `flush-cache` and `worker` print about a flush."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.ignored_files import JOURNAL_NAMES, IgnoredFiles
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.flush import DRY_RUN_COLUMNS, FLUSH_COLUMNS, flush_row


def emit_flush(
    invocation: Invocation,
    result: FlushResult,
    ignored: Sequence[IgnoredFiles],
    *,
    dry_run: bool = False,
    unread: str = "",
    unreadable: int = 0,
) -> None:
    """Write the numbers. If there was nothing to store, a notice replaces the table. Incomplete last lines are named.

    `unread` is the reason why no journal was read, as a sentence, if that is known. The caller reports the errors of
    `unreadable` journals.
    """
    if result.lines or not invocation.options.prints_table:
        invocation.emit(Record(DRY_RUN_COLUMNS if dry_run else FLUSH_COLUMNS, flush_row(result, ignored)))
    if not result.lines and not unreadable:
        invocation.say(unread or _why_nothing(result))
    if result.pending:
        more = result.pending - len(result.named_incomplete)
        names = ", ".join(result.named_incomplete) + (f" and {more:,} more" if more else "")
        invocation.say(f"Incomplete last lines, left for the next flush: {result.pending:,} ({names}).")


def _why_nothing(result: FlushResult) -> str:
    if not result.files:
        return f"No journals were found. {JOURNAL_NAMES}"
    journals = "1 journal" if result.files == 1 else f"{result.files:,} journals"
    return f"Nothing new in {journals} since the last flush."
