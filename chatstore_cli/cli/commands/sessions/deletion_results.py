"""What `chatstore sessions delete` does with planned sessions: show them for a dry run, or delete them and report it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from chatstore_cli.cli.commands.sessions.remaining_journals import RemainingJournals
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.signals import stop_signals
from chatstore_cli.core.sessions.deletion_plan import SessionDeletions
from chatstore_cli.domain.deletions import DeletionTotals, PlannedSession, Result, add_documents
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, Interrupted
from chatstore_cli.domain.quantities import documents_in_words, quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.deletions import (
    DELETION_COLUMNS,
    deletion_row,
    planned_row,
    planned_totals_row,
    totals_row,
)
from chatstore_cli.wiring.user_data import left_of_user

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import SessionRef
    from chatstore_cli.domain.user_data import UserData

Deleted = TypeVar("Deleted")

_MOST_NAMED = 20


def show_planned(
    invocation: Invocation, planned: Iterable[tuple[SessionRef, Mapping[str, int]]], rest: UserData | None = None
) -> None:
    """Print a row for each session with its numbers of documents by collection, and the totals. Nothing is deleted."""
    documents: dict[str, int] = {}
    totals: dict[str, Any] = planned_totals_row(0, documents)
    journals = RemainingJournals(invocation)

    def rows() -> Iterator[dict[str, Any]]:
        for session, parts in planned:
            add_documents(documents, parts)
            journals.add(session)
            totals.update(planned_totals_row(totals["planned"] + 1, documents))
            yield planned_row(session, parts)
        add_documents(documents, documents_of(rest))
        totals.update(planned_totals_row(totals["planned"], documents))

    listing = Listing(
        DELETION_COLUMNS, rows(), empty="No session would be deleted.", beside={"totals": totals}, streamed=True
    )
    invocation.emit(listing)
    if documents or totals["planned"]:
        counts = documents_in_words(documents.items())
        invocation.say(f"Would be deleted: {quantity(totals['planned'], 'session')} ({counts}).")
    journals.say(dry_run=True)


def delete_planned(
    invocation: Invocation,
    deletions: SessionDeletions,
    planned: Iterable[PlannedSession],
    number: int,
    again: str,
    rest: UserData | None = None,
) -> None:
    """Delete the sessions, print a row for each and the totals. Exits with status 8 if any has changed since the plan.

    Then the rest is not deleted: the counter of general chats must be there as long as one of these exists.
    """
    totals = DeletionTotals()
    changed: list[str] = []
    summary: dict[str, Any] = {}
    journals = RemainingJournals(invocation)

    def rows() -> Iterator[dict[str, Any]]:
        with stop_signals() as stopped, invocation.counting(number, "sessions") as count:
            for done, each in enumerate(planned, 1):
                if stopped():
                    raise Interrupted(what=f"{done_in_words(totals)} {again}")
                deletion = _with_hint(partial(deletions.carry_out, each), totals, again)
                totals.add(deletion)
                if deletion.result is not Result.CHANGED:
                    journals.add(deletion.session)
                elif len(changed) < _MOST_NAMED:
                    changed.append(f"{deletion.session.session_id!r} ({deletion.reason})")
                count(done)
                yield deletion_row(deletion)
            if rest is not None and not totals.sessions[Result.CHANGED]:
                removed = _with_hint(rest.remove, totals, again)
                add_documents(totals.documents, {part.collection: part.documents for part in removed})
        summary.update(totals_row(totals))

    invocation.emit(
        Listing(DELETION_COLUMNS, rows(), empty="No session was deleted.", beside={"totals": summary}, streamed=True)
    )
    if number or totals.documents:
        invocation.say(done_in_words(totals))
    journals.say()
    if left := totals.sessions[Result.CHANGED]:
        more = f" and {left - len(changed):,} more" if left > len(changed) else ""
        invocation.say(f"Not deleted, because they have changed since the plan: {', '.join(changed)}{more}.")
        if rest is not None:
            invocation.say("The other data of the user was not deleted either, because these sessions exist.")
        raise typer.Exit(ExitCode.CONFLICT)


def _with_hint(delete: Callable[[], Deleted], totals: DeletionTotals, again: str) -> Deleted:
    """Delete something. An error reports what was deleted before, and how to continue."""
    try:
        return delete()
    except ChatstoreError as error:
        error.hint = " ".join([*([error.hint] if error.hint else []), done_in_words(totals), again])
        raise


def say_what_is_left(
    invocation: Invocation, user: str | None, tenant: str | None, layout: str | None, *, everything: bool
) -> None:
    """Print a notice of what else is stored of a user whose sessions were deleted."""
    if user is None or layout is not None:  # one layout is not a request to delete everything
        return
    if left := left_of_user(invocation.stores, user, tenant, everything=everything):
        reason = "it has no tenant" if everything else "it belongs to the user and not to a session"
        owner = f"--user {shlex.quote(user)}{'' if tenant is None else f' --tenant {shlex.quote(tenant)}'}"
        to_delete = "" if everything else f" To delete it too: chatstore sessions delete {owner} --everything"
        invocation.say(f"Not deleted, because {reason}: {', '.join(left)}.{to_delete}")


def done_in_words(totals: DeletionTotals) -> str:
    """The sessions and documents that were deleted, as a sentence."""
    before = totals.sessions[Result.ALREADY_DELETED]
    already = f" Already deleted: {quantity(before, 'session')}." if before else ""
    counts = documents_in_words(totals.documents.items())
    return f"Deleted: {quantity(totals.sessions[Result.DELETED], 'session')} ({counts}).{already}"


def sum_in_words(sessions: int, documents: Mapping[str, int], *, keep_usage: bool) -> str:
    """The sessions and documents that would be deleted, as a sentence."""
    kept = " Their usage is kept in the ledger." if keep_usage else ""
    counts = documents_in_words(documents.items())
    return f"{quantity(sessions, 'session')}: {counts}. A later flush does not restore them.{kept}"


def documents_of(rest: UserData | None) -> dict[str, int]:
    """The numbers of documents by collection; empty if nothing is stored."""
    return {} if rest is None else {part.collection: part.documents for part in rest.parts() if part.documents}


def counted(planned: Iterable[PlannedSession], count: Callable[[int], None]) -> Iterator[PlannedSession]:
    """The sessions. Each is counted before it is returned."""
    for number, each in enumerate(planned, 1):
        count(number)
        yield each
