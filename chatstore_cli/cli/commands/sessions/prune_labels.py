"""`chatstore sessions prune-labels`: delete the labels of sessions that no longer exist."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.dry_runs import DryRunOption, begin, confirmed, result_of
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.core.labels.orphans import OrphanedLabels
from chatstore_cli.core.sessions.named import MOST_NAMED
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.labels import PRUNED_COLUMNS, pruned_row
from chatstore_cli.wiring.labels import label_store

app = single_command()


@command(
    app,
    "prune-labels",
    examples=["chatstore sessions prune-labels --dry-run", "chatstore sessions prune-labels --yes"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def prune_labels(
    context: typer.Context,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete titles and tags of sessions that no longer exist.

    chatstore deletes labels with their session. If an application deletes a session, or its messages expire, its labels
    remain. The command looks up each session that has labels, reports how many no longer exist, and asks for confirmation
    (--yes skips the question). It deletes the labels of at most 10,000 sessions at once.
    """
    invocation = Invocation(context, layout=None)
    if dry_run:
        begin(invocation, dry_run=True)
    else:
        invocation.will_search_to_write()
    stores = invocation.stores
    labels = label_store(stores)
    orphans = OrphanedLabels(readable_readers(invocation, None), labels)
    found = list(islice(orphans.find(), MOST_NAMED))
    if found:
        begin(invocation, dry_run=dry_run)
        plan = f"{quantity(len(found), 'document')} of {labels.collection} would be deleted: the sessions do not exist."
        confirmed(invocation, plan, yes=yes, dry_run=dry_run)
    result = result_of("deleted", dry_run=dry_run)
    rows = [pruned_row(ref, result) for ref in found if dry_run or orphans.remove(ref)]
    invocation.emit(Listing(PRUNED_COLUMNS, rows, empty="Every session that has labels exists."))
    if orphans.not_examined:
        invocation.say(f"{quantity(orphans.not_examined, 'session')} could not be looked up. Their labels are kept.")
    if len(found) == MOST_NAMED:
        invocation.say("There may be more. Run the command again.")
