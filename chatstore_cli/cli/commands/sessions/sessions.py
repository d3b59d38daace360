"""`chatstore sessions`: list sessions over all layouts."""

from __future__ import annotations

from typing import Annotated

import typer

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
from chatstore_cli.cli.options import command, group
from chatstore_cli.core.sessions.listing import list_sessions
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.sessions import foreign_row, session_columns, session_row
from chatstore_cli.wiring.labels import label_store, shown_labels

_LAZY_COMMANDS = {
    "show": "sessions.show",
    "watch": "sessions.watch",
    "sizes": "sessions.sizes",
    "split": "sessions.split",
    "transcript": "sessions.transcript",
    "delete": "sessions.delete",
    **dict.fromkeys(("rename", "tag", "untag"), "sessions.labels"),
    **dict.fromkeys(("complete", "fail", "pause", "unpause"), "sessions.status"),
}

app = group(
    "sessions",
    "List, show, watch and measure sessions, print transcripts; split, complete, fail, pause, unpause, rename, tag and delete sessions.",
    _LAZY_COMMANDS,
)


@app.callback()
def _sessions() -> None:
    # Without a callback, Typer makes a group with one command in this file that command itself.
    pass


@command(
    app,
    "list",
    examples=[
        "chatstore sessions list",
        "chatstore sessions list --tenant acme --status failed --since 7d",
        "chatstore sessions list --limit 1000 -o jsonl",
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
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Show at most N sessions.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
    ] = None,
) -> None:
    """List sessions of all layouts, the most recently updated first.

    Each page ends with the cursor for the next page. New sessions do not shift the pages. If a layout has no field for a
    filter, its sessions are left out, with a notice on stderr. Documents that are not sessions or messages of a layout
    are not listed, and a notice reports their number and fields. Sessions whose stored id no text can address, such as
    a boolean or a list, are not listed either. A notice reports their number.
    """
    invocation = Invocation(context, layout=layout)
    query = session_query(layout, tenant, user, workflow, status, since, until, invocation.zone, paused=paused, tag=tag)
    stores = invocation.stores
    labels = shown_labels(stores, layout) if tag is None else label_store(stores)
    page = list_sessions(stores.session_readers(layout), query, cursor=cursor, limit=limit, labels=labels)
    rows = [session_row(session) for session in page.sessions]
    foreign = [foreign_row(each) for each in page.foreign]
    beside = {"foreign_documents": foreign, "unaddressable_sessions": page.unaddressable}
    empty = f"No sessions in {invocation.target}."
    listing = Listing(session_columns(rows), rows, page.next_cursor, empty=empty, beside=beside)
    invocation.emit_page(listing, page.notes)
