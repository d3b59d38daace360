"""`chatstore sessions list`: the sessions of all layouts as one list."""

from __future__ import annotations

import typer

from chatstore_cli.cli.columns import ColumnsOption
from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import (
    LayoutOption,
    PausedOption,
    SinceOption,
    StatusOption,
    TagOption,
    TenantOption,
    UntilOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import (
    AllOption,
    CursorOption,
    LimitOption,
    MinCostOption,
    MinMessagesOption,
    MinTokensOption,
    ModelOption,
    SessionList,
    SortOption,
    TitleOption,
    with_unindexed,
)
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.render.rows.sessions import session_columns, session_row
from chatstore_cli.wiring.labels import label_store, shown_labels

app = single_command()


@command(
    app,
    "list",
    examples=[
        "chatstore sessions list",
        "chatstore sessions list --tenant acme --status failed --since 7d",
        "chatstore sessions list --since 30d --sort cost --limit 10 --columns session_id,tenant_id,usage.cost",
        "chatstore sessions list --title refund --min-messages 20",
        "chatstore sessions list --all -o jsonl",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    layout: LayoutOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    paused: PausedOption = False,
    tag: TagOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    title: TitleOption = None,
    model: ModelOption = None,
    min_messages: MinMessagesOption = None,
    min_tokens: MinTokensOption = None,
    min_cost: MinCostOption = None,
    sort: SortOption = None,
    columns: ColumnsOption = None,
    limit: LimitOption = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
) -> None:
    """List sessions of all layouts, the newest update first.

    Each page ends with the cursor for the next page. New sessions do not shift the pages. Below a table, a notice on
    stderr reports how many sessions there are, if they are counted quickly. --all lists all sessions.

    No index has --title, --model, --min-messages, --min-tokens, --min-cost and the orders of --sort. Sessions are read one
    by one for them: at most 10,000 that match the other options, for at most 5 seconds. If the result is not complete by
    then, the command exits with status 2 and names the options that narrow it. A sorted list has no cursor.

    If a layout has no field for a filter, its sessions are left out, with a notice on stderr. Documents that are not
    sessions or messages of a layout are not listed, and a notice reports their number and fields. Sessions whose stored id
    no text can address, such as a boolean or a list, are not listed either. A notice reports their number. If no session
    has the tenant or the user, the command exits with status 3 and suggests similar ones.
    """
    invocation = Invocation(context, layout=layout)
    query = session_query(layout, tenant, user, workflow, status, since, until, invocation.zone, paused=paused, tag=tag)
    query = with_unindexed(
        query, title=title, model=model, min_messages=min_messages, min_tokens=min_tokens, min_cost=min_cost
    )
    stores = invocation.stores
    labels = shown_labels(stores, layout) if tag is None else label_store(stores)
    listed = SessionList(
        "sessions", session_row, session_columns, limit=limit, cursor=cursor, all_=all_, sort=sort, names=columns
    )
    of_these = " with these options" if cursor is not None or query != SessionQuery(layout=layout) else ""
    listed.emit(invocation, query, labels, empty=f"No sessions{of_these} in {invocation.target}.")
