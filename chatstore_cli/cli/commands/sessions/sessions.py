"""`chatstore sessions`: list sessions over all layouts, and delete one."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.filters import (
    LayoutOption,
    SessionArgument,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, group
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing

_LAZY_COMMANDS = {
    "list": "sessions.list",
    "show": "sessions.show",
    "watch": "sessions.watch",
    **dict.fromkeys(("tenants", "users"), "sessions.names"),
    "sizes": "sessions.sizes",
    "split": "sessions.split",
    "transcript": "sessions.transcript",
    **dict.fromkeys(("rename", "tag", "untag"), "sessions.labels"),
    **dict.fromkeys(("complete", "fail", "pause", "unpause"), "sessions.status"),
}

app = group(
    "sessions",
    "List, show, watch and measure sessions, print transcripts; split, complete, fail, pause, unpause, rename, tag and delete sessions.",
    _LAZY_COMMANDS,
)


@command(
    app,
    "delete",
    examples=["chatstore sessions delete 4f1c9a", "chatstore sessions delete 4f1c9a --yes"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def delete(
    context: typer.Context,
    session_id: SessionArgument,
    layout: LayoutOption = None,
    keep_usage: Annotated[
        bool,
        typer.Option("--keep-usage", help="Keep the session's usage in the ledger, so that reports still count it."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete one session with its messages and its usage.

    It lists how many documents of each collection would be deleted and asks for confirmation (--yes skips the question).
    The deletion is stored, so that a later flush of an old journal does not restore what was deleted. A flat message
    that is recorded after the deletion is stored, and the session exists again. The id of a workflow session stays
    deleted. If only usage of a session is left, that usage is deleted. --keep-usage rejects a thread, because its usage
    is stored in its messages.
    """
    from chatstore_cli.core.sessions.removal import plan_removal
    from chatstore_cli.render.rows.sessions import REMOVAL_COLUMNS, removal_row
    from chatstore_cli.wiring.usage import usage_ledger

    invocation = Invocation(context, layout=layout)
    invocation.will_search_to_write()
    kept_in = (lambda layout: usage_ledger(invocation.stores, layout)) if keep_usage else None
    removal = plan_removal(invocation.stores.session_readers(layout), session_id, kept_in=kept_in)
    invocation.will_write(layout=removal.layout)
    invocation.confirm(removal.plan, yes=yes)
    removed = removal.carry_out(invocation.stores.clock_of(removal.layout))
    invocation.emit(Listing(REMOVAL_COLUMNS, [removal_row(part) for part in removed if part.documents]))
