"""The steps of `chatstore sessions delete` for several sessions: plan, then write the plan, show it, or carry it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from chatstore_cli.cli.commands.sessions.deletion_plan_file import write_plan_file
from chatstore_cli.cli.commands.sessions.deletion_results import (
    counted,
    delete_planned,
    documents_of,
    say_what_is_left,
    show_planned,
    sum_in_words,
)
from chatstore_cli.cli.commands.sessions.named_sessions import few_names
from chatstore_cli.cli.dry_runs import begin
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.core.sessions.deletable import DeletableSessions
from chatstore_cli.core.sessions.deletion_plan import once_each
from chatstore_cli.core.sessions.named import MOST_NAMED, SessionName, find_named
from chatstore_cli.domain.deletions import PlannedSession, add_documents
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.render.rows.deletions import planned_text
from chatstore_cli.wiring.deletions import session_deletions
from chatstore_cli.wiring.labels import label_store, shown_labels
from chatstore_cli.wiring.user_data import user_data

if TYPE_CHECKING:
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.user_data import UserData

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
        if not documents_of(rest):
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
        write_plan_file(invocation, planned, way.plan, filters, rest, keep_usage=way.keep_usage)
        return
    if way.dry_run:
        show_planned(invocation, ((each.session, each.documents) for each in planned), rest)
        return
    with invocation.counting(0, "sessions") as count:
        some = list(islice(counted(planned, count), MOST_NAMED + 1))
    if len(some) > MOST_NAMED:
        raise WrongUse(what=f"More than {MOST_NAMED:,} sessions would be deleted.", hint=_TOO_MANY)
    of_user = documents_of(rest)
    if some or of_user:
        invocation.will_write()
        _confirm(invocation, some, way, of_user)
    delete_planned(invocation, deletions, some, len(some), "To continue, run the command again.", rest)


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
