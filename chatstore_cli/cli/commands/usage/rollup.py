"""`chatstore usage rollup`: updates daily sums of the usage ledger, so that reports do not read all of it."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.usage.explain import missing_ledger_notice
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.usage_ledger import ROLLED_UP_COLUMNS, rolled_up_row
from chatstore_cli.wiring.usage import daily_sums, usage_sums

app = single_command()


@command(
    app,
    "rollup",
    examples=["chatstore usage rollup", "chatstore usage rollup --rebuild"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def rollup(
    context: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Delete all daily sums first and compute them again.")
    ] = False,
) -> None:
    """Update the daily sums (UTC) of the usage ledger.

    Daily sums make reports fast: reports of whole days in UTC read them instead of the ledger. Sessions with newer rows
    are still read from the ledger, so a report is always up to date. Rollups may be repeated and may run at the same time.
    An interrupted rollup continues where it stopped.
    """
    invocation = Invocation(context)
    invocation.will_write()
    sums = daily_sums(invocation.stores)
    started = perf_counter()
    if rebuild:
        sums.clear()
    rows = chats = 0
    for step in sums.roll_up():
        rows, chats = rows + step.rows, chats + step.chats
        invocation.explain(f"{quantity(rows, 'row')} of {quantity(chats, 'session')}")
    invocation.emit(Record(ROLLED_UP_COLUMNS, rolled_up_row(rows, chats, perf_counter() - started)))
    if not rows and (no_ledger := missing_ledger_notice(usage_sums(invocation.stores), invocation.stores.target)):
        invocation.say(no_ledger)
