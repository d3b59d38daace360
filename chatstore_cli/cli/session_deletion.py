"""The steps of `chatstore sessions delete` for several sessions: write a plan, or carry one out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import typer

from chatstore_cli.cli.dry_runs import begin
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.session_names import few_names
from chatstore_cli.cli.signals import stop_signals
from chatstore_cli.core.sessions.deletable import DeletableSessions
from chatstore_cli.core.sessions.deletion_plan import SessionDeletions, in_words, once_each
from chatstore_cli.core.sessions.named import MOST_NAMED, SessionName, find_named
from chatstore_cli.domain.deletions import DeletionTotals, PlannedSession, Result, add_documents
from chatstore_cli.domain.errors import ChatstoreError, Conflict, ExitCode, Interrupted, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.times import rfc3339, utc_now
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.deletions import (
    DELETION_COLUMNS,
    PLAN_FIELDS,
    deletion_row,
    plan_row,
    planned_row,
    planned_text,
    planned_totals_row,
    totals_row,
)
from chatstore_cli.wiring.deletions import collection_ids, session_deletions
from chatstore_cli.wiring.labels import label_store, shown_labels
from chatstore_cli.wiring.user_data import left_of_user, user_data

if TYPE_CHECKING:
    from chatstore_cli.domain.deletions import PlanHeader
    from chatstore_cli.domain.labels import SessionRef
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.user_data import UserData

Deleted = TypeVar("Deleted")

_MOST_LISTED = 20
_TOO_MANY = "Write a plan first (--plan FILE), then delete with --apply FILE --yes."


class Way(NamedTuple):
    """How sessions are deleted: their layout, a plan file to write, and what the user has chosen."""

    layout: str | None
    plan: str | None
    keep_usage: bool
    yes: bool
    dry_run: bool
    everything: bool = False
    """Whether to delete what else is stored about the user, too."""

    @property
    def deletes(self) -> bool:
        """Whether sessions are deleted now, and not only listed or planned."""
        return self.plan is None and not self.dry_run


def delete_named(invocation: Invocation, names: Iterable[SessionName], way: Way) -> None:
    """Delete the sessions of these names, or write a plan. Raises NotFound if any does not exist."""
    _begin(invocation, way)
    if way.deletes:
        names = few_names(names, _TOO_MANY)
    sessions = (session for _, session in find_named(invocation.stores.session_readers(way.layout), names))
    _delete_or_plan(invocation, sessions, {}, way)


def delete_matching(invocation: Invocation, query: SessionQuery, filters: Mapping[str, str], way: Way) -> None:
    """Delete the sessions that match, or write a plan. `filters` are the options as they were given."""
    _begin(invocation, way)
    stores = invocation.stores
    labels = shown_labels(stores, way.layout) if query.tag is None else label_store(stores)
    readers = stores.session_readers(way.layout)
    sessions = DeletableSessions(readers, query, labels)

    rest = None
    if way.everything and query.user_id is not None:
        rest = user_data(stores, query.user_id, query.tenant_id, keep_usage=way.keep_usage)

    def require_names() -> None:
        if not _documents_of(rest):
            require_known_names(invocation, readers, query)

    _delete_or_plan(invocation, sessions, filters, way, sessions.notes, require_names, rest)
    if way.deletes:
        say_what_is_left(invocation, query.user_id, query.tenant_id, way.layout, everything=way.everything)


def _begin(invocation: Invocation, way: Way) -> None:
    if way.dry_run:
        begin(invocation, dry_run=True)
    elif way.plan is None:
        invocation.will_search_to_write()
    else:
        invocation.stores.read_from_primary()


def _delete_or_plan(
    invocation: Invocation,
    sessions: Iterable[Session],
    filters: Mapping[str, str],
    way: Way,
    notes: Sequence[str] = (),
    if_none: Callable[[], None] = lambda: None,
    rest: UserData | None = None,
) -> None:
    """Delete the sessions and the rest, or write a plan. Without sessions, `if_none` is called, which may raise."""
    deletions = session_deletions(invocation.stores, way.layout, keep_usage=way.keep_usage)
    planned = _then_say(invocation, _unless_none(deletions.plan(once_each(sessions)), if_none), notes)
    if way.plan is not None:
        _write_plan_file(invocation, planned, way.plan, filters, rest, keep_usage=way.keep_usage)
        return
    if way.dry_run:
        show_planned(invocation, ((each.session, each.documents) for each in planned), rest)
        return
    with invocation.counting(0, "sessions") as count:
        some = list(islice(_counted(planned, count), MOST_NAMED + 1))
    if len(some) > MOST_NAMED:
        raise WrongUse(what=f"More than {MOST_NAMED:,} sessions would be deleted.", hint=_TOO_MANY)
    of_user = _documents_of(rest)
    if some or of_user:
        invocation.will_write()
        _confirm(invocation, some, way, of_user)
    delete_planned(invocation, deletions, some, len(some), "To continue, run the command again.", rest)


def _documents_of(rest: UserData | None) -> dict[str, int]:
    """The numbers of documents by collection; empty if there are none."""
    return {} if rest is None else {part.collection: part.documents for part in rest.parts() if part.documents}


def show_planned(
    invocation: Invocation, planned: Iterable[tuple[SessionRef, Mapping[str, int]]], rest: UserData | None = None
) -> None:
    """Print a row for each session with its numbers of documents by collection, and the totals. Nothing is deleted."""
    documents: dict[str, int] = {}
    totals: dict[str, Any] = planned_totals_row(0, documents)

    def rows() -> Iterator[dict[str, Any]]:
        for session, parts in planned:
            add_documents(documents, parts)
            totals.update(planned_totals_row(totals["planned"] + 1, documents))
            yield planned_row(session, parts)
        add_documents(documents, _documents_of(rest))
        totals.update(planned_totals_row(totals["planned"], documents))

    listing = Listing(
        DELETION_COLUMNS, rows(), empty="No session would be deleted.", beside={"totals": totals}, streamed=True
    )
    invocation.emit(listing)
    if documents or totals["planned"]:
        invocation.say(f"Would be deleted: {quantity(totals['planned'], 'session')} ({in_words(documents)}).")


def _write_plan_file(
    invocation: Invocation,
    planned: Iterable[PlannedSession],
    path: str,
    filters: Mapping[str, str],
    rest: UserData | None,
    *,
    keep_usage: bool,
) -> None:
    """Write the plan to a file that does not exist yet, readable only by its owner, and report it."""
    from chatstore_cli.core.sessions.plan_file import write_plan
    from chatstore_cli.domain.deletions import PlanHeader
    from chatstore_cli.wiring.system import new_file

    stores = invocation.stores

    def header(sessions: int, of_sessions: Mapping[str, int]) -> PlanHeader:
        documents = dict(of_sessions)
        add_documents(documents, _documents_of(rest))
        ids = collection_ids(stores, documents)
        created = rfc3339(utc_now()) or ""
        return PlanHeader(stores.target_of(None), created, filters, keep_usage, sessions, documents, ids)

    try:
        with new_file(path, force=False, private=True) as stream, invocation.counting(0, "sessions") as count:
            made = write_plan(stream, header, _counted(planned, count))
    except Conflict as error:
        if error.hint is not None and "--force" in error.hint:
            error.hint = "Name another file: a plan is not overwritten."
        raise
    invocation.emit(Record(PLAN_FIELDS, plan_row(made, path)))
    again = f"chatstore sessions delete --apply {shlex.quote(path)} --yes"
    invocation.say(f"Nothing was deleted. To delete these sessions: {again}")


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


def _confirm(invocation: Invocation, planned: Sequence[PlannedSession], way: Way, of_user: Mapping[str, int]) -> None:
    """Show what would be deleted, and ask for confirmation."""
    documents: dict[str, int] = {}
    for each in planned:
        add_documents(documents, each.documents)
    lines = [planned_text(each) for each in planned[:_MOST_LISTED]]
    if len(planned) > _MOST_LISTED:
        lines.append(f"… and {len(planned) - _MOST_LISTED:,} more.")
    add_documents(documents, of_user)
    lines.append(sum_in_words(len(planned), documents, keep_usage=way.keep_usage))
    invocation.confirm("\n".join(lines), yes=way.yes)


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

    def rows() -> Iterator[dict[str, Any]]:
        with stop_signals() as stopped, invocation.counting(number, "sessions") as count:
            for done, each in enumerate(planned, 1):
                if stopped():
                    raise Interrupted(what=f"{done_in_words(totals)} {again}")
                deletion = _with_hint(partial(deletions.carry_out, each), totals, again)
                totals.add(deletion)
                if deletion.result is Result.CHANGED and len(changed) < _MOST_LISTED:
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
    if left := totals.sessions[Result.CHANGED]:
        more = f" and {left - len(changed):,} more" if left > len(changed) else ""
        invocation.say(f"Left, because they have changed since the plan: {', '.join(changed)}{more}.")
        if rest is not None:
            invocation.say("The other data of the user was left too, because these sessions exist.")
        raise typer.Exit(ExitCode.CONFLICT)


def _with_hint(delete: Callable[[], Deleted], totals: DeletionTotals, again: str) -> Deleted:
    """Delete something. An error reports what was deleted before, and how to continue."""
    try:
        return delete()
    except ChatstoreError as error:
        error.hint = " ".join([*([error.hint] if error.hint else []), done_in_words(totals), again])
        raise


def _unless_none(planned: Iterator[PlannedSession], if_none: Callable[[], None]) -> Iterator[PlannedSession]:
    """The sessions. Without any, `if_none` is called."""
    first = next(planned, None)
    if first is None:
        if_none()
        return
    yield first
    yield from planned


def _then_say(
    invocation: Invocation, planned: Iterator[PlannedSession], notes: Sequence[str]
) -> Iterator[PlannedSession]:
    """The sessions, and after the last one the notes, which are complete then."""
    yield from planned
    for note in notes:
        invocation.say(note)


def _counted(planned: Iterable[PlannedSession], count: Any) -> Iterator[PlannedSession]:
    for number, each in enumerate(planned, 1):
        count(number)
        yield each


def done_in_words(totals: DeletionTotals) -> str:
    """The sessions and documents that were deleted, as a sentence."""
    before = totals.sessions[Result.ALREADY_DELETED]
    already = f" Already deleted: {quantity(before, 'session')}." if before else ""
    return f"Deleted: {quantity(totals.sessions[Result.DELETED], 'session')} ({in_words(totals.documents)}).{already}"


def sum_in_words(sessions: int, documents: Mapping[str, int], *, keep_usage: bool) -> str:
    kept = " Their usage is kept in the ledger." if keep_usage else ""
    return f"{quantity(sessions, 'session')}: {in_words(documents)}. A later flush does not restore them.{kept}"
