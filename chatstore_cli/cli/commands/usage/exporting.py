"""`chatstore usage --after`: the rows of the usage ledger, for billing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.usage.exporting import UsageExport
from chatstore_cli.domain.errors import ChatstoreError, WrongUse
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.usage_ledger import EXPORTED_COLUMNS, exported_row
from chatstore_cli.wiring.system import new_file
from chatstore_cli.wiring.usage import usage_exports

AfterOption = Annotated[
    str | None,
    typer.Option(
        "--after",
        metavar="CURSOR",
        help="Instead of a report, print the rows of the usage ledger after the cursor of an earlier export, each once. "
        "`start` prints all rows.",
    ),
]
CursorToOption = Annotated[
    str | None,
    typer.Option(
        "--cursor-to", metavar="FILE", help="With --after, write the next cursor to FILE after all rows are printed."
    ),
]


def export_usage(invocation: Invocation, after: str | None, cursor_to: str | None) -> None:
    """Print the ledger rows after a cursor. The next cursor is written to the file `cursor_to` after all rows."""
    if after is None:
        raise typer.BadParameter(
            "it needs --after, with `start` or the cursor of an earlier export.", param_hint="--cursor-to"
        )
    if cursor_to is not None and getattr(sys.stdout, "name", "") == os.devnull:  # it was closed: see cli/main.py
        raise WrongUse(
            what="stdout is closed, so the rows cannot be printed.", hint="No cursor was written. Open stdout."
        )
    invocation.will_write()
    export = UsageExport(usage_exports(invocation.stores), after)

    def rows() -> Iterator[dict[str, Any]]:
        return map(exported_row, export)

    def emit() -> None:
        empty = "The usage ledger has no new rows."
        if invocation.options.output in (OutputFormat.JSON, OutputFormat.YAML):
            whole = list(rows())
            invocation.emit(Listing(EXPORTED_COLUMNS, whole, export.cursor, empty=empty))
        else:
            invocation.emit(Listing(EXPORTED_COLUMNS, rows(), empty=empty))

    with new_file(cursor_to, force=True) if cursor_to is not None else nullcontext() as cursor_file:
        try:
            emit()
        except OSError as error:
            if cursor_file is None:
                raise
            what = f"Cannot write to stdout: {error.strerror or error}."
            raise ChatstoreError(what=what, hint=f"{cursor_to} was not written. Export the same rows again.") from error
        if cursor_file is not None:
            cursor_file.write(export.cursor.encode() + b"\n")
    invocation.say(f"Next export: --after {export.cursor}")
