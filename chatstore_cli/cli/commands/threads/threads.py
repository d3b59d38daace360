"""`chatstore threads`: lists threads, and shows one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record

_LAZY_COMMANDS = {
    "list": "threads.list",
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
