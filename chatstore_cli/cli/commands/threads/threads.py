"""`chatstore threads`: lists threads, and shows one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.filters import session_query
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record

_LAZY_COMMANDS = {
    "create": "threads.create",
    "add": "threads.add",
    "messages": "threads.messages",
    "rename": "threads.create",
    "edit": "threads.edit",
    "clear": "threads.removal",
    "delete": "threads.removal",
    "fork": "threads.fork",
    "export": "threads.transfer",
    "import": "threads.transfer",
    "repair": "threads.repair",
    "migrate": "threads.migrate",
}

app = group(
    "threads",
    "Create, read, change, copy, delete, export, import and repair threads, and migrate their tables.",
    _LAZY_COMMANDS,
)

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


@command(
    app,
    "list",
    examples=["chatstore threads list", "chatstore threads list --user ana --tenant acme --since 7d -o jsonl"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    user: UserFilter = None,
    tenant: TenantFilter = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Show at most N threads.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
    ] = None,
) -> None:
    """List threads, the most recently updated first.

    Each page ends with the cursor for the next page. New threads do not shift the pages. Documents that are not threads
    are not listed, and a notice reports their number and fields.
    """
    from chatstore_cli.core.sessions.listing import list_sessions
    from chatstore_cli.render.rows.sessions import foreign_row
    from chatstore_cli.render.rows.threads import THREAD_COLUMNS, listed_thread_row

    invocation = Invocation(context, layout="threads")
    query = session_query("threads", tenant, user, None, None, since, until, invocation.zone)
    page = list_sessions(invocation.stores.session_readers("threads"), query, cursor=cursor, limit=limit)
    rows = [listed_thread_row(session) for session in page.sessions]
    beside = {
        "foreign_documents": [foreign_row(each) for each in page.foreign],
        "unaddressable_threads": page.unaddressable,
    }
    of_these = " with these options" if any((user, tenant, since, until)) else ""
    empty = f"No threads{of_these} in {invocation.target}."
    listing = Listing(THREAD_COLUMNS, rows, page.next_cursor, empty=empty, beside=beside)
    invocation.emit_page(listing, page.notes)


@command(
    app,
    "show",
    examples=["chatstore threads show 0d5c7a1e", "chatstore threads show 0d5c7a1e --last 10 -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def show(
    context: typer.Context,
    thread_id: ThreadArgument,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, max=1000, help="Show the first N messages.")] = 3,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, max=1000, help="Show the last N messages.")] = 3,
) -> None:
    """Show one thread with its first and last messages.

    A table has one line per message. `-o json` prints messages in full. For a fork, `forked_from` names the original
    thread and the last copied message.
    """
    from chatstore_cli.core.threads.view import view_thread
    from chatstore_cli.render.rows.threads import THREAD_FIELDS, THREAD_MESSAGE_COLUMNS, thread_view_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    view = view_thread(
        conversations(invocation.stores),
        invocation.stores.session_readers("threads"),
        thread_id,
        owner_of(user, tenant),
        first=first,
        last=last,
    )
    row = thread_view_row(view)
    sections = [
        ("First messages", Listing(THREAD_MESSAGE_COLUMNS, row["first_messages"])),
        ("Last messages", Listing(THREAD_MESSAGE_COLUMNS, row["last_messages"])),
    ]
    invocation.emit(Record(THREAD_FIELDS, row, sections))
