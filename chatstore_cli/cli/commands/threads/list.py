"""`chatstore threads list`: the threads of all users."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.columns import ColumnsOption
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import session_query
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import (
    AllOption,
    CursorOption,
    LimitOption,
    MinMessagesOption,
    SessionList,
    with_unindexed,
)
from chatstore_cli.core.sessions.sorting import THREAD_SORT_FIELDS
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.queries import SessionQuery

app = single_command()

UserFilter = Annotated[str | None, typer.Option("--user", metavar="ID", help="Include only threads of this user.")]
TenantFilter = Annotated[
    str | None, typer.Option("--tenant", metavar="ID", help="Include only threads of this tenant.")
]
SinceFilter = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Include only threads updated at or after this time: 7d, 1w, yesterday or ISO 8601.",
    ),
]
UntilFilter = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Include only threads updated before this time, as in --since."),
]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="FIELD",
        help="Sort by updated, created, messages, title, tenant or user. FIELD:asc or FIELD:desc gives the direction.",
    ),
]
TitleFilter = Annotated[
    str | None,
    typer.Option(
        "--title", "--name", metavar="TEXT", help="Include only threads with this text in their name, in any case."
    ),
]


@command(
    app,
    "list",
    examples=[
        "chatstore threads list",
        "chatstore threads list --user ana --tenant acme --since 7d -o jsonl",
        "chatstore threads list --user ana --title refund",
        "chatstore threads list --tenant acme --sort messages --limit 5",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    user: UserFilter = None,
    tenant: TenantFilter = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    title: TitleFilter = None,
    min_messages: MinMessagesOption = None,
    sort: SortOption = None,
    columns: ColumnsOption = None,
    limit: LimitOption = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
) -> None:
    """List threads, the most recently updated first.

    Each page ends with the cursor for the next page. New threads do not shift the pages. Documents that are not threads
    are not listed, and a notice reports their number and fields. --title, --sort and --min-messages have the limits
    of chatstore sessions list. If no thread has the tenant or the user, the command exits with status 3. For tokens, cost
    and tags, use chatstore sessions list --layout threads.
    """
    from chatstore_cli.render.rows.threads import THREAD_COLUMNS, listed_thread_row

    invocation = Invocation(context, layout="threads")
    query = session_query("threads", tenant, user, None, None, since, until, invocation.zone)
    query = with_unindexed(query, title=title, min_messages=min_messages)
    listed = SessionList(
        "threads",
        listed_thread_row,
        lambda _: THREAD_COLUMNS,
        limit=limit,
        cursor=cursor,
        all_=all_,
        sort=sort,
        names=columns,
        sort_fields=THREAD_SORT_FIELDS,
    )
    of_these = " with these options" if query != SessionQuery(layout="threads") else ""
    listed.emit(invocation, query, None, empty=f"No threads{of_these} in {invocation.target}.")
