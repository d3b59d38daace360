"""`chatstore threads clear|delete`: deletes the messages of a thread, or whole threads."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import PLANNED, DryRunOption, begin, confirmed
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode, Interrupted
from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.render.listing import Listing

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]


@command(
    app,
    "clear",
    examples=["chatstore threads clear 0d5c7a1e", "chatstore threads clear 0d5c7a1e --user ana --yes"],
    exits=_EXITS,
)
def clear(
    context: typer.Context,
    thread_id: ThreadArgument,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete all messages of a thread. The thread remains, and the time of its last update does not change.

    It prints how many messages would be deleted and asks for confirmation (--yes skips the question).
    """
    _remove(context, [thread_id], owner_of(user, tenant), yes=yes, dry_run=dry_run, messages_only=True)


@command(
    app,
    "delete",
    examples=[
        "chatstore threads delete 0d5c7a1e --dry-run",
        "chatstore threads delete 0d5c7a1e 8b1f02c4 --user ana --yes",
    ],
    exits=_EXITS,
)
def delete(
    context: typer.Context,
    thread_ids: Annotated[list[str], typer.Argument(metavar="THREAD_ID", help="The exact ids of the threads.")],
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete threads with their messages. Their forks remain.

    It prints the threads with their numbers of messages and asks for confirmation (--yes skips the question). If one of
    the threads does not exist, nothing is deleted.
    """
    _remove(context, thread_ids, owner_of(user, tenant), yes=yes, dry_run=dry_run, messages_only=False)


def _remove(
    context: typer.Context, thread_ids: list[str], owner: Owner, *, yes: bool, dry_run: bool, messages_only: bool
) -> None:
    from chatstore_cli.core.threads.removal import plan_removal
    from chatstore_cli.render.rows.threads import REMOVAL_COLUMNS, thread_removal_row
    from chatstore_cli.wiring.labels import shown_labels
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    begin(invocation, dry_run=dry_run)
    repository = conversations(invocation.stores)
    readers = invocation.stores.session_readers("threads")
    labels = shown_labels(invocation.stores, "threads")
    plan = plan_removal(repository, readers, thread_ids, owner, messages_only=messages_only)
    if not confirmed(invocation, str(plan), yes=yes, dry_run=dry_run):
        invocation.emit(Listing(REMOVAL_COLUMNS, [thread_removal_row(each, PLANNED) for each in plan.removals]))
        return
    rows: list[dict[str, Any]] = []
    try:
        for removal in plan.carry_out(repository, owner):
            rows.append(thread_removal_row(removal, "deleted"))
            if labels is not None and not messages_only:
                labels.remove(SessionRef("threads", removal.thread.id))
    except KeyboardInterrupt:
        raise Interrupted(what=f"Deleted: {quantity(len(rows), 'thread')}. The others may still exist.") from None
    invocation.emit(
        Listing(REMOVAL_COLUMNS, rows, empty="Nothing was deleted: another process deleted the threads first.")
    )
