"""`chatstore workflows`: lists the workflows of a user's client sessions, and the switches of one client session."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.general_options import SessionKeyOption, TenantOption, UserOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing

_LAZY_COMMANDS = {"switch": "workflows.switch", "complete": "workflows.switch"}

app = group(
    "workflows", "List, switch and complete the workflows of client sessions, and list switches.", _LAZY_COMMANDS
)


@command(
    app,
    "list",
    examples=[
        "chatstore workflows list --tenant acme --user ana",
        "chatstore workflows list --tenant acme --user ana --session-key laptop -o json",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def list_(
    context: typer.Context,
    tenant: TenantOption,
    user: UserOption,
    session_key: Annotated[
        str | None, typer.Option("--session-key", metavar="KEY", help="Show only the client session with this key.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Show at most N client sessions.")
    ] = 20,
) -> None:
    """List the workflows of a user's client sessions.

    A client session is what one client of a user has open, in any number of tabs. The most recently changed client session
    is first. At most one workflow of a client session is active. If none is active, a notice reports whether the client
    session is in general mode. With -o json, `client_sessions` has the active workflow and `general_mode` of each.
    """
    from chatstore_cli.render.rows.session_registry import WORKFLOW_COLUMNS, client_session_row, workflow_row
    from chatstore_cli.wiring.session_registry import registry_administration

    invocation = Invocation(context, layout="general")
    entries = registry_administration(invocation.stores).entries(tenant, user, session_key, limit + 1)
    has_more, entries = len(entries) > limit, entries[:limit]
    rows = [workflow_row(entry, workflow) for entry in entries for workflow in entry.workflows]
    empty = f"User {user!r} of tenant {tenant!r} has no client sessions in {invocation.target}."
    if entries:
        empty = (
            "The client session has no workflows." if len(entries) == 1 else "The client sessions have no workflows."
        )
    beside = {"client_sessions": [client_session_row(entry) for entry in entries]}
    ways = ["a higher --limit", "--session-key KEY for one client session"]
    listing = Listing(WORKFLOW_COLUMNS, rows, empty=empty, beside=beside, is_truncated=has_more, rest=ways)
    invocation.emit(listing)
    for entry in entries:
        if entry.active is None:
            mode = "is in general mode" if entry.general_mode else "has no active workflow, and is not in general mode"
            invocation.say(f"Client session {entry.session.session_key!r} {mode}.")


@command(
    app,
    "history",
    examples=["chatstore workflows history --tenant acme --user ana --session-key laptop"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def history(
    context: typer.Context,
    tenant: TenantOption,
    user: UserOption,
    session_key: SessionKeyOption,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=500, help="Show at most N switches.")] = 50,
) -> None:
    """List the switches of a client session, the newest first. The newest 500 are kept.

    A refused switch is listed with the reason. `connection` is the connection that requested the switch.
    """
    from chatstore_cli.domain.session_registry import ClientSession
    from chatstore_cli.render.rows.session_registry import SWITCH_COLUMNS, switch_row
    from chatstore_cli.wiring.session_registry import registry_administration

    invocation = Invocation(context, layout="general")
    found = registry_administration(invocation.stores).history(ClientSession(tenant, user, session_key), limit + 1)
    rows = [switch_row(switch) for switch in found[:limit]]
    empty = "The client session has no switches."
    invocation.emit(Listing(SWITCH_COLUMNS, rows, empty=empty, is_truncated=len(found) > limit))
