"""`chatstore usage reconcile`: sessions' counters against the usage ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing

app = single_command()


@command(
    app,
    "reconcile",
    examples=["chatstore usage reconcile", "chatstore usage reconcile --yes"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS, ExitCode.PARTLY_DONE],
    meanings={
        ExitCode.FINDINGS: "findings: counters are not what the ledger says",
        ExitCode.PARTLY_DONE: "partly done: counters that changed meanwhile were left alone",
    },
)
def reconcile(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Set the counters to what the ledger says.")] = False,
) -> None:
    """Compare the counters of sessions with the usage ledger.

    They should be what the ledger adds up to, which has a row of what they said before the session's first report. Without
    --yes nothing is written, and the status is 6 where they differ. Counters that change meanwhile are left alone: then
    the status is 7, and running it again helps.
    """
    from chatstore_cli.core.usage.explain import differing_counters, lack_of_ledger, mend
    from chatstore_cli.render.rows.usage_ledger import RECONCILED_COLUMNS, reconciled_row
    from chatstore_cli.wiring.usage import usage_ledger, usage_sums

    invocation = Invocation(context)
    if yes:
        invocation.will_write()
    ledger = usage_ledger(invocation.stores)
    findings = list(differing_counters(ledger))
    results = [("mended" if mend(ledger, one) else "changed") if yes else "planned" for one in findings]
    rows = [
        reconciled_row(one.chat_id, one.now, one.wanted, one.differing, result)
        for one, result in zip(findings, results, strict=True)
    ]
    no_ledger = None if rows else lack_of_ledger(usage_sums(invocation.stores), invocation.stores.target)
    empty = no_ledger or "All counters are what the ledger says."
    invocation.emit(Listing(RECONCILED_COLUMNS, rows, empty=empty))
    if "planned" in results:
        invocation.say("To set the counters so, run it again with --yes.")
        raise typer.Exit(ExitCode.FINDINGS)
    if "changed" in results:
        invocation.say("Some counters changed meanwhile and were left alone: run it again.")
        raise typer.Exit(ExitCode.PARTLY_DONE)
