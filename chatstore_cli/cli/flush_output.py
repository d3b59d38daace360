"""What `flush-cache` and `worker` print about a flush."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.ignored_files import JOURNAL_NAMES, IgnoredFiles
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.domain.quantities import quantity
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


def say_quarantined(
    invocation: Invocation, result: FlushResult, paths: list[str], count_all: Callable[[], int], *, dry_run: bool
) -> None:
    """Report lines in quarantine, also those of an earlier flush that this one did not read again: `count_all` counts both."""
    listed = shlex.join(["chatstore", "cache", "quarantine", "list", *paths])
    if result.quarantined or result.already_quarantined:
        if not dry_run:
            invocation.say(f"To list the quarantined lines with their reasons: {listed}")
    elif "-" not in paths:  # each stream has other lines
        try:
            earlier = count_all()
        except ChatstoreError as error:  # the flush has succeeded
            invocation.say(error.as_text())
            return
        if earlier:
            invocation.say(f"In quarantine since an earlier flush: {quantity(earlier, 'line')}. To list them: {listed}")


def _why_nothing(result: FlushResult) -> str:
    if not result.files:
        return f"No journals were found. {JOURNAL_NAMES}"
    journals = "1 journal" if result.files == 1 else f"{result.files:,} journals"
    return f"Nothing new in {journals} since the last flush."
