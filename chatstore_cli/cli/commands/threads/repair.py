"""`chatstore threads repair`: finds what interrupted processes left in threads, and removes or corrects it."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, Interrupted
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing

app = single_command()


@command(
    app,
    "repair",
    examples=["chatstore threads repair", "chatstore threads repair --yes"],
    exits=[
        ExitCode.NOT_ALLOWED,
        ExitCode.UNREACHABLE,
        ExitCode.FINDINGS,
        ExitCode.PARTLY_DONE,
        ExitCode.CONFLICT,
    ],
    meanings={
        ExitCode.FINDINGS: "findings: something can be removed or corrected",
        ExitCode.PARTLY_DONE: "partly done: threads changed in the meantime and were left alone",
    },
)
def repair(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove the messages, and correct the threads.")] = False,
) -> None:
    """Compare all threads with their messages, and repair them.

    It removes messages whose thread does not exist, and raises each `last_sequence` that is below the sequence of the
    newest message. Without --yes it only lists what it would change, and exits with status 6 if there is anything to
    repair. A running fork or import stores messages before their thread. So messages without a thread remain if the
    newest of them is less than 1 hour old by the server's clock, and a notice on stderr reports them.
    On PostgreSQL a foreign key leaves nothing to repair.
    """
    from chatstore_cli.core.threads.repair import RepairResult, ThreadExamination
    from chatstore_cli.core.threads.repair import repair as repaired
    from chatstore_cli.core.verify.threads import recent_notice
    from chatstore_cli.domain.threads.copies import LONGEST_COPY
    from chatstore_cli.render.rows.thread_repair import REPAIR_COLUMNS, repair_row
    from chatstore_cli.wiring.threads import thread_repairs

    invocation = Invocation(context, layout="threads")
    if yes:
        invocation.will_write()
    if invocation.settings.threads_on_postgres:
        state = invocation.stores.migration_state()
        state.require_current()
        foreign_key = "A foreign key of PostgreSQL ties each message to its thread, so there is nothing to repair."
        invocation.emit(Listing(REPAIR_COLUMNS, [], empty=f"{foreign_key} {state}"))
        return
    store = thread_repairs(invocation.stores)
    before = invocation.stores.server_now() - LONGEST_COPY
    examination = ThreadExamination(store, before)
    results, rows = set(), []
    if store.exist():
        store.require_comparable()
        try:
            for fault in examination.faults():
                result, removed = repaired(store, fault, before) if yes else (RepairResult.PLANNED, fault.messages)
                results.add(result)
                rows.append(repair_row(fault, result, removed))
        except KeyboardInterrupt:
            done = f"Repaired: {quantity(len(rows), 'thread')}." if yes else "Nothing was written."
            raise Interrupted(what=f"{done} Run the same command again to continue.") from None
    empty = (
        f"Nothing to repair in {quantity(examination.examined, 'thread')}." if examination.examined else "No threads."
    )
    invocation.emit(Listing(REPAIR_COLUMNS, rows, empty=empty))
    if notice := recent_notice(examination):
        invocation.say(f"{notice}.")
    if RepairResult.PLANNED in results:
        messages = quantity(sum(row["messages"] for row in rows), "document")
        threads = quantity(sum(row["highest_sequence"] is not None for row in rows), "document")
        invocation.say(
            f"{messages} of {store.messages} would be removed and {threads} of {store.threads} corrected. To do this, run "
            "the command again with --yes."
        )
        raise typer.Exit(ExitCode.FINDINGS)
    if RepairResult.CHANGED in results:
        invocation.say("Some threads changed in the meantime and were left alone. Run the command again.")
        raise typer.Exit(ExitCode.PARTLY_DONE)
