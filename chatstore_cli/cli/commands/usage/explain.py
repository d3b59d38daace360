"""`chatstore usage explain`: which rows of the ledger count, which do not, and why."""

from __future__ import annotations

import typer

from chatstore_cli.cli.filters import SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing

app = single_command()


@command(
    app,
    "explain",
    examples=["chatstore usage explain 4f1c9a", "chatstore usage explain 4f1c9a -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def explain(context: typer.Context, session_id: SessionArgument) -> None:
    """Show the ledger rows of a session and why each counts or not.

    What a client reports is cumulative over a run: a row counts by how much it goes beyond what its run, agent and model
    had reported before. What the session's counters said before its first report is a row as well, of run 0. What they say
    now stands beside it. A table says why in a few words, -o json and csv in a sentence.
    """
    from chatstore_cli.core.usage.explain import explain_usage
    from chatstore_cli.render.rows.usage_ledger import (
        EXPLAINED_COLUMNS,
        counters_row,
        counters_text,
        explained_footer,
        explained_row,
    )
    from chatstore_cli.wiring.usage import usage_ledger

    invocation = Invocation(context)
    stores = invocation.stores
    explained = explain_usage(usage_ledger(stores), session_id, stores.session_readers("messages"))
    rows = [explained_row(one.row, one.counted, one.added, one.reason) for one in explained.rows]
    counters = explained.counters
    beside = {
        "totals": counters_row(explained.sums),
        "counters": None if counters is None else counters_row(counters),
    }
    empty = f"Session {session_id!r} has no rows in the usage ledger: it counts with its own counters."
    if explained.layout is not None:
        empty = f"Session {session_id!r} is flat messages, which have no usage."
    footer = explained_footer(explained.sums) if rows else None
    invocation.emit(Listing(EXPLAINED_COLUMNS, rows, empty=empty, footer=footer, beside=beside))
    if counters is None and rows:
        invocation.say(f"There is no session {session_id!r}: its usage counts in reports, and there are no counters.")
    elif counters is not None:
        invocation.say(f"The session's counters: {counters_text(counters)}.")
