"""`chatstore cache quarantine drop`: removes quarantined lines that are never to be stored."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import confirmed, dry_run_option, result_of
from chatstore_cli.cli.filters import JournalPaths
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.flush import DROP_COLUMNS

app = single_command()


@command(
    app,
    "drop",
    examples=["chatstore cache quarantine drop 1", "chatstore cache quarantine drop --all --yes"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.CONFLICT],
)
def drop(
    context: typer.Context,
    number: Annotated[
        str | None, typer.Argument(metavar="N", help="The number of the line, or its ID. Not with --all.")
    ] = None,
    paths: JournalPaths = None,
    every: Annotated[bool, typer.Option("--all", help="Drop every quarantined line.")] = False,
    dry_run: Annotated[bool, dry_run_option("dropped", "drop")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Drop quarantined lines: they are never stored.

    A dropped line leaves the quarantine. No later flush quarantines it again, not even with --ignore-ledger or into
    another collection: flush-cache counts it as skipped. The journal is not changed. To store the message after all,
    correct the line in its journal. The command lists what would be dropped and asks for confirmation (--yes skips the
    question).
    """
    from chatstore_cli.core.flush.quarantine_edit import describe_drop, find_line, reject_unfinished_edits
    from chatstore_cli.wiring.journals import named_journals
    from chatstore_cli.wiring.quarantine import locked_quarantines

    if every:
        paths = paths if number is None else [number, *(paths or [])]
    elif number is None:
        raise WrongUse(what="Nothing to drop was named.", hint="Give the number of a line, or --all.")
    invocation = Invocation(context)
    if not dry_run:
        invocation.reject_read_only()
    journals = named_journals(invocation.settings, paths)
    # A dry run writes nothing, so it also works beside a worker, which holds the lock.
    locked: AbstractContextManager[Mapping[str, Any]] = (
        nullcontext({}) if dry_run else locked_quarantines(journals, "drop")
    )
    with locked as quarantines:
        lines = list(journals.numbered_lines())
        if number is not None and not every:
            lines = [find_line(lines, number)]
        reject_unfinished_edits(lines)
        if lines:
            confirmed(invocation, describe_drop(lines), yes=yes, dry_run=dry_run)
        for folder, quarantine in quarantines.items():
            quarantine.drop(line.line for line in lines if line.folder == folder)
    invocation.emit(Record(DROP_COLUMNS, {"dropped": len(lines), "result": result_of("dropped", dry_run=dry_run)}))
