"""`chatstore usage rollup`: daily sums of the usage ledger, so that reports need not read all of it."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Record

app = single_command()


@command(
    app,
    "rollup",
    examples=["chatstore usage rollup", "chatstore usage rollup --rebuild"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def rollup(
    context: typer.Context,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Forget all daily sums first.")] = False,
) -> None:
    """Update the daily sums (UTC) of the usage ledger.

    Reports use them where they cover what is asked: days, weeks and months in UTC, any span of whole days. Chats that
    reported since are read from the ledger itself, so a report is never behind. Run it as often as you like, also several
    at once; stopped half-way, it goes on where it was.
    """
    from chatstore_cli.core.usage.explain import lack_of_ledger
    from chatstore_cli.render.rows.usage_ledger import ROLLED_UP_COLUMNS, rolled_up_row
    from chatstore_cli.wiring.usage import daily_sums, usage_sums

    invocation = Invocation(context)
    invocation.will_write()
    sums = daily_sums(invocation.stores)
    started = perf_counter()
    if rebuild:
        sums.clear()
    rows = chats = 0
    for step in sums.roll_up():
        rows, chats = rows + step.rows, chats + step.chats
        invocation.explain(f"{rows:,} rows of {chats:,} chats")
    invocation.emit(Record(ROLLED_UP_COLUMNS, rolled_up_row(rows, chats, perf_counter() - started)))
    if not rows and (no_ledger := lack_of_ledger(usage_sums(invocation.stores), invocation.stores.target)):
        invocation.say(no_ledger)
