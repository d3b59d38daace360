"""`chatstore usage reconcile`: compares the counters of sessions with the usage ledger, and repairs them."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.usage.explain import differing_counters, missing_ledger_notice, repair_counters
from chatstore_cli.core.usage.statistics import differing_statistics
from chatstore_cli.domain.errors import ExitCode, NotAllowed
from chatstore_cli.domain.usage import Usage
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.usage_ledger import RECONCILED_COLUMNS, reconciled_row
from chatstore_cli.wiring.usage import usage_ledgers, usage_statistics, usage_sums

app = single_command()


@command(
    app,
    "reconcile",
    examples=["chatstore usage reconcile", "chatstore usage reconcile --yes"],
    exits=[
        ExitCode.NOT_ALLOWED,
        ExitCode.UNREACHABLE,
        ExitCode.FINDINGS,
        ExitCode.PARTLY_DONE,
        ExitCode.CONFLICT,
    ],
    meanings={
        ExitCode.FINDINGS: "findings: counters differ from the ledger, or statistics from counters",
        ExitCode.PARTLY_DONE: "partly done: counters changed in the meantime and were not repaired",
    },
)
def reconcile(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Repair the counters: set them to the sums of the ledger.")
    ] = False,
) -> None:
    """Compare the counters of sessions with the usage ledger.

    A session's counters should equal the sums of its ledger rows. Without --yes nothing is written, and the command exits
    with status 6 if any counters differ. With --yes, counters that change in the meantime are not repaired. The command
    then exits with status 7; run it again.

    The statistics of the platform (layouts.general.stats) are compared too. They should equal the session's counters, or
    its counters before the first report. chatstore never writes statistics. If they differ, the result is `reported`, and
    the command exits with status 6.
    """
    invocation = Invocation(context)
    if yes:
        invocation.will_write()
    ledgers = usage_ledgers(invocation.stores)
    statistics = _statistics(invocation)
    rows = []
    for ledger in ledgers:
        for finding in list(differing_counters(ledger)):
            result = ("repaired" if repair_counters(ledger, finding) else "changed") if yes else "planned"
            numbers = (finding.counters, finding.expected, statistics.get(finding.chat_id))
            rows.append(reconciled_row(finding.chat_id, finding.layout, *numbers, finding.differing, result))
    listed = {(row["layout"], row["session_id"]) for row in rows if row["result"] != "repaired"}
    for each in differing_statistics(statistics, ledgers):
        if (each.layout, each.chat_id) not in listed:
            compared = (each.counters, each.sums, each.statistics)
            rows.append(reconciled_row(each.chat_id, each.layout, *compared, each.differing, "reported"))
    no_ledger = None if rows else missing_ledger_notice(usage_sums(invocation.stores), invocation.stores.target)
    empty = no_ledger or "All counters equal the sums of the ledger."
    invocation.emit(Listing(RECONCILED_COLUMNS, rows, empty=empty))
    results = {row["result"] for row in rows}
    if "planned" in results:
        invocation.say("To repair these counters, run the command again with --yes.")
    if "reported" in results:
        invocation.say(
            f"Statistics in {invocation.settings.layouts.general.stats} differ from the counters. chatstore never writes "
            "statistics."
        )
    if "changed" in results:
        invocation.say("Some counters changed in the meantime and were not repaired. Run the command again.")
        raise typer.Exit(ExitCode.PARTLY_DONE)
    if results & {"planned", "reported"}:
        raise typer.Exit(ExitCode.FINDINGS)


def _statistics(invocation: Invocation) -> dict[str, Usage]:
    """The platform's statistics by session id. If this user may not read them, they are empty, with a notice."""
    try:
        return usage_statistics(invocation.stores).by_session()
    except NotAllowed as error:
        invocation.say(f"Statistics are not compared: {error.message}")
        return {}
