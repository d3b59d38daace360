"""`chatstore usage explain`: which rows of the usage ledger count and why."""

from __future__ import annotations

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import LayoutOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.core.usage.explain import explain_usage
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.sessions import usage_row
from chatstore_cli.render.rows.usage_ledger import EXPLAINED_COLUMNS, counters_text, explained_footer, explained_row
from chatstore_cli.wiring.usage import usage_ledgers

app = single_command()

_WITHOUT_LEDGER = {
    "messages": "consists of flat messages, which have no usage",
    "threads": "is a thread, which has no usage ledger. Reports add up the usage that its messages have",
    "agent_sessions": "is a session of a Python agent, which has no usage",
    "calls": "is a call, which has no usage ledger. Reports add up the usage that its items have",
}
"""What is reported of a session, by its layout."""


@command(
    app,
    "explain",
    examples=["chatstore usage explain 4f1c9a", "chatstore usage explain 4f1c9a -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def explain(context: typer.Context, session_id: SessionArgument, layout: LayoutOption = None) -> None:
    """Show the ledger rows of a session and why each counts or not.

    Reports are cumulative over a run. A row adds the part of its numbers that is above all earlier reports of the same run,
    agent and model. The row of a turn is added in full. The row of run 0 has the session's counters before its first report.
    The session's present counters are shown too. Tables give a short reason for each row, -o json and csv a full one.
    """
    invocation = Invocation(context, layout=layout)
    stores = invocation.stores
    readers = {reader.layout: reader for reader in readable_readers(invocation, layout)}
    ledgers = usage_ledgers(stores, layout) if stores.uses_mongo(layout) else []
    ledgers = [ledger for ledger in ledgers if readers.pop(ledger.layout, None) is not None]
    others = [*readers.values()]
    explanation = explain_usage(ledgers, session_id, others)
    rows = [explained_row(row.row, row.counted, row.added, row.reason) for row in explanation.rows]
    counters = explanation.counters
    beside = {"totals": usage_row(explanation.sums), "counters": None if counters is None else usage_row(counters)}
    empty = f"Session {session_id!r} has no rows in the usage ledger. Reports use its stored totals."
    if not explanation.can_have_rows:
        empty = f"Session {session_id!r} {_WITHOUT_LEDGER[explanation.layout]}."
    footer = explained_footer(explanation.sums, rows) if rows else None
    invocation.emit(Listing(EXPLAINED_COLUMNS, rows, empty=empty, footer=footer, beside=beside))
    if counters is None and rows:
        invocation.say(
            f"Session {session_id!r} does not exist. Reports count its usage, but there are no counters to compare."
        )
    elif counters is not None:
        invocation.say(f"The session's counters: {counters_text(counters)}.")
