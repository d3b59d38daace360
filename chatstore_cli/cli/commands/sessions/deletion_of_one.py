"""The steps of `chatstore sessions delete` for one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.cli.commands.sessions.deletion_of_many import Way
from chatstore_cli.cli.commands.sessions.deletion_results import done_in_words, show_planned
from chatstore_cli.cli.commands.sessions.remaining_journals import RemainingJournals
from chatstore_cli.cli.dry_runs import begin
from chatstore_cli.domain.deletions import Deletion, DeletionTotals, Result
from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.deletions import DELETION_COLUMNS, deletion_row, totals_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.domain.removal import StoredPart


def delete_one(invocation: Invocation, session_id: str, way: Way) -> None:
    """Delete the session with this id, or what an interrupted deletion left of it. Raises NotFound."""
    from chatstore_cli.core.sessions.removal import plan_removal
    from chatstore_cli.wiring.labels import shown_labels
    from chatstore_cli.wiring.usage import usage_ledger

    if way.dry_run:
        begin(invocation, dry_run=True)
    else:
        invocation.will_search_to_write()
    stores = invocation.stores
    kept_in = (lambda layout: usage_ledger(stores, layout)) if way.keep_usage else None
    labels = shown_labels(stores, way.layout)
    removal = plan_removal(stores.session_readers(way.layout), session_id, kept_in=kept_in, labels=labels)
    session = SessionRef(removal.layout, removal.session_id)
    if way.dry_run:
        show_planned(invocation, [(session, {part.collection: part.documents for part in removal.parts})])
        return
    invocation.will_write(layout=removal.layout)
    invocation.confirm(removal.plan, yes=way.yes)
    removed = removal.carry_out(stores.clock_of(removal.layout))
    _show_removed(invocation, session, removed)


def _show_removed(invocation: Invocation, session: SessionRef, removed: Sequence[StoredPart]) -> None:
    """Print the row and the totals of one session, whose documents were deleted."""
    parts = [part for part in removed if part.documents]
    deletion = Deletion(session, Result.DELETED if parts else Result.ALREADY_DELETED, parts)
    totals = DeletionTotals()
    totals.add(deletion)
    invocation.emit(Listing(DELETION_COLUMNS, [deletion_row(deletion)], beside={"totals": totals_row(totals)}))
    invocation.say(done_in_words(totals))
    journals = RemainingJournals(invocation)
    journals.add(session)
    journals.say()
