"""`chatstore sessions watch`: sessions, or one session's messages, as things happen to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chatstore_cli.cli.filters import (
    LayoutOption,
    StatusOption,
    TenantOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.cli.signals import StopSignals, reader_is_gone, stop_signals
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Listing

if TYPE_CHECKING:
    from chatstore_cli.core.watch.feed import Watching
    from chatstore_cli.domain.queries import SessionQuery

Thing = TypeVar("Thing")

app = single_command()


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
        str | None, typer.Argument(metavar="SESSION_ID", help="Only this session: its messages [default: all]")
    ] = None,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Begin with what happened from then on: 7d, 24h, or ISO 8601."),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(
            "--poll",
            metavar="SECONDS",
            min=0.05,
            max=3600,
            help="Look every so often instead of following changes [default: only where the server tells none: 1]",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0, help="End after watching that long.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="End after N rows.")] = None,
) -> None:
    """Show sessions as they change, or with an id one session's messages as they come, until TERM or INT.

    A row for each change: the session's facts, `change` (new, changed, deleted) and `changed_at`; or a row for each
    message, as in `sessions show`. Each row is written at once; only -o json writes all of them in the end. Outages of
    the server are waited out: nothing is lost and nothing told twice. TERM, INT, --for and --count end it with 0.
    """
    invocation = Invocation(context)
    query = session_query(layout, tenant, user, workflow, status, since, None)
    if session_id is not None and (tenant, user, workflow, status) != (None, None, None, None):
        raise WrongUse(what="Filters choose sessions; with a SESSION_ID there is only --layout to choose by.")
    with stop_signals() as asked:
        shown = _sessions if session_id is None else _messages
        columns, rows = shown(invocation, query, session_id or "", poll, asked, seconds)
        limited = islice(rows, count)
        invocation.emit(Listing(columns, _written_at_once(limited), empty="Nothing happened.", live=True))


def _sessions(
    invocation: Invocation,
    query: SessionQuery,
    _session_id: str,
    poll: float | None,
    asked: StopSignals,
    seconds: float | None,
) -> tuple[Any, Iterator[Any]]:
    from chatstore_cli.render.rows.watch import CHANGE_COLUMNS, change_row
    from chatstore_cli.wiring.watching import watched_sessions

    watching = _watching(invocation, "sessions", asked)
    changes = _until(watching, lambda: watched_sessions(invocation.stores, watching, query, poll), asked, seconds)
    return CHANGE_COLUMNS, map(change_row, changes)


def _messages(
    invocation: Invocation,
    query: SessionQuery,
    session_id: str,
    poll: float | None,
    asked: StopSignals,
    seconds: float | None,
) -> tuple[Any, Iterator[Any]]:
    from chatstore_cli.render.rows.sessions import MESSAGE_COLUMNS, message_row
    from chatstore_cli.wiring.watching import watched_messages

    watching = _watching(invocation, f"session {session_id}", asked)
    readers = invocation.stores.session_readers(query.layout)
    messages = _until(
        watching,
        lambda: watched_messages(invocation.stores, watching, readers, session_id, query.since, poll),
        asked,
        seconds,
    )
    return MESSAGE_COLUMNS, map(message_row, messages)


def _watching(invocation: Invocation, what: str, asked: StopSignals) -> Watching:
    from chatstore_cli.core.watch.feed import Watching
    from chatstore_cli.wiring.watching import prepare

    watching = Watching(invocation.say)
    prepare(invocation.stores, watching)
    watching.greeting = f"Watching {what} in {invocation.stores.target}. {asked.names} ends it."
    return watching


def _until(
    watching: Watching, things: Callable[[], Iterator[Thing]], asked: StopSignals, seconds: float | None
) -> Iterator[Thing]:
    from chatstore_cli.core.watch.feed import until

    return until(watching, things, lambda: asked() or reader_is_gone(sys.stdout), seconds)


def _written_at_once(rows: Iterator[Any]) -> Iterator[Any]:
    """The rows; before each is waited for, the one before it goes out."""
    sys.stdout.flush()
    for row in rows:
        yield row
        sys.stdout.flush()
