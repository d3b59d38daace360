"""`chatstore sessions watch`: sessions as they change, or one session's messages as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import (
    LayoutOption,
    StatusOption,
    TenantOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.signals import reader_is_gone, stop_signals
from chatstore_cli.core.labels.labelled import labelled_change
from chatstore_cli.core.warn_once import WarnOnce
from chatstore_cli.core.watch.feed import Watch, iterate_until
from chatstore_cli.domain.errors import ExitCode, NotFound, WrongUse
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.watch import SessionChange
from chatstore_cli.render.listing import Column, Listing
from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS, message_row
from chatstore_cli.render.rows.watch import CHANGE_COLUMNS, change_row
from chatstore_cli.wiring.labels import shown_labels
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.watching import connect_watch, watched_messages, watched_sessions

app = single_command()

_ONLY_DOCUMENT_ID = (
    "A session was deleted before this command had read it, so only the _id of its document is known. Its row has this _id "
    "instead of the session id."
)


@command(
    app,
    "watch",
    examples=[
        "chatstore sessions watch",
        "chatstore sessions watch --tenant acme --status failed --since 1h -o jsonl",
        "chatstore sessions watch 4f1c9a -o jsonl | jq -r .content",
        "chatstore sessions watch --count 1 --for 60",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def watch(
    context: typer.Context,
    session_id: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION_ID", help="Show the messages of this session [default: changes of all sessions]"
        ),
    ] = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Start with what happened at or after this time: 7d, 24h, or ISO 8601."
        ),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            "--poll",
            metavar="SECONDS",
            min=0.05,
            max=3600,
            help="Query every SECONDS instead of following changes [default: 1, only if the server is not a replica set]",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0, help="Stop after SECONDS.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Stop after N rows.")] = None,
) -> None:
    """Show sessions as they change, or the new messages of one.

    Without SESSION_ID each change is a row: the session's facts, `change` (new, changed, deleted) and `changed_at`. With
    SESSION_ID each message is a row, as in `sessions show`. Rows are written at once, except with -o json, which writes
    one object at the end. If `only_document_id` is true, the id of a deleted session is the _id of its document. During
    an outage the command waits; afterwards it reports every change, each once. TERM, INT, --for and --count stop it with
    exit status 0. If no server answers before --for has passed, the exit status is 5.
    If no session has the tenant or the user yet, the command prints a notice and waits for the first session.
    Threads in PostgreSQL are queried every second, because it does not report changes.
    """
    invocation = Invocation(context, layout=layout)
    query = session_query(layout, tenant, user, workflow, status, since, None, invocation.zone)
    if session_id is not None and (tenant, user, workflow, status) != (None, None, None, None):
        raise WrongUse(what="--tenant, --user, --workflow and --status cannot be used with SESSION_ID.")
    with stop_signals() as signals:
        watch = Watch(invocation.say)
        watch.polling_hint = " (to change this, add --poll SECONDS)"
        connect_watch(invocation.stores, watch, query.layout)
        subject = "sessions" if session_id is None else f"session {session_id}"
        watch.greeting = f"Watching {subject} in {invocation.target}. {signals.names} stops it."
        columns, to_row, open_items = _source(invocation, watch, query, session_id, poll)
        items = iterate_until(watch, open_items, lambda: signals() or reader_is_gone(sys.stdout), seconds)
        rows = map(to_row, islice(items, count))
        invocation.emit(Listing(columns, _flushed(rows), empty="No changes.", live=True))


def _source(
    invocation: Invocation, watch: Watch, query: SessionQuery, session_id: str | None, poll: float | None
) -> tuple[tuple[Column, ...], Callable[[Any], dict[str, Any]], Callable[[], Iterator[Any]]]:
    """The columns, the function that makes a row of an item, and the one that opens the items."""
    stores = invocation.stores
    if session_id is None:
        labels = shown_labels(stores, query.layout)

        def opened() -> Iterator[SessionChange]:
            changes = watched_sessions(stores, watch, query, poll)
            watch.call(lambda: _note_unknown_names(invocation, query))
            return changes

        def to_row(change: SessionChange) -> dict[str, Any]:
            if change.only_document_id:
                warn(_ONLY_DOCUMENT_ID)
            return change_row(labelled_change(change, labels))

        warn = WarnOnce(invocation.say)
        return CHANGE_COLUMNS, to_row, opened
    since, layout = query.since, query.layout
    return MESSAGE_COLUMNS, message_row, lambda: watched_messages(stores, watch, session_id, layout, since, poll)


def _note_unknown_names(invocation: Invocation, query: SessionQuery) -> None:
    """Report a tenant or user that no session has. It is not an error, because the first session may be stored later."""
    readers = readable_sessions(invocation.stores, query.layout).readers
    try:
        require_known_names(invocation, readers, query)
    except NotFound as error:
        invocation.warn(f"{error.message} {error.hint or ''} Waiting for the first session.")


def _flushed(rows: Iterator[Any]) -> Iterator[Any]:
    """The rows; each is written out before the next one is waited for."""
    sys.stdout.flush()
    for row in rows:
        yield row
        sys.stdout.flush()
