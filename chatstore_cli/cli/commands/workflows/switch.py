"""`chatstore workflows switch|complete`: activates a workflow of a client session, or completes one."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.general_options import SessionKeyOption, TenantOption, UserOption
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import ExitCode, WrongUse
from chatstore_cli.render.listing import Record

if TYPE_CHECKING:
    from chatstore_cli.core.session_registry.administration import Change

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]
_MEANINGS = {ExitCode.CONFLICT: "the workflow is completed, a prerequisite refuses it, or there is another conflict"}


@command(
    app,
    "switch",
    examples=[
        "chatstore workflows switch 4f1c9a --tenant acme --user ana --session-key laptop",
        "chatstore workflows switch --general --tenant acme --user ana --session-key laptop",
    ],
    exits=_EXITS,
    meanings=_MEANINGS,
)
def switch(
    context: typer.Context,
    tenant: TenantOption,
    user: UserOption,
    session_key: SessionKeyOption,
    session_id: Annotated[
        str | None, typer.Argument(metavar="[SESSION_ID]", help="The exact id of a workflow session.")
    ] = None,
    general: Annotated[bool, typer.Option("--general", help="Pause all workflows and enter general mode.")] = False,
) -> None:
    """Activate a workflow and pause the others, or enter general mode.

    If the switch is refused, nothing changes, and the error has the reason. The history records refused switches too.
    """
    from chatstore_cli.domain.session_registry import ClientSession
    from chatstore_cli.wiring.session_registry import registry_administration

    if (session_id is None) is not general:
        both = session_id is not None
        what = "SESSION_ID and --general exclude each other." if both else "No workflow was named."
        raise WrongUse(what=what, hint="Give one of them." if both else "Give SESSION_ID or --general.")
    invocation = Invocation(context, layout="general")
    invocation.will_write()
    registry, session = registry_administration(invocation.stores), ClientSession(tenant, user, session_key)
    # What a prerequisites hook prints must not be in the result.
    with redirect_stdout(sys.stderr):
        change = registry.enter_general_mode(session) if session_id is None else registry.switch(session, session_id)
    _emit(invocation, change)


@command(
    app,
    "complete",
    examples=["chatstore workflows complete 4f1c9a --tenant acme --user ana --session-key laptop"],
    exits=_EXITS,
)
def complete(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(metavar="SESSION_ID", help="The exact id of a workflow session.")],
    tenant: TenantOption,
    user: UserOption,
    session_key: SessionKeyOption,
) -> None:
    """Complete a workflow, so that it cannot become active again.

    If the workflow was active, no workflow is active afterwards. The stored session does not change. To complete the stored
    session too, use chatstore sessions complete.
    """
    from chatstore_cli.domain.session_registry import ClientSession
    from chatstore_cli.wiring.session_registry import registry_administration

    invocation = Invocation(context, layout="general")
    invocation.will_write()
    registry, session = registry_administration(invocation.stores), ClientSession(tenant, user, session_key)
    change = registry.complete(session, session_id)
    _emit(invocation, change)


def _emit(invocation: Invocation, change: Change) -> None:
    from chatstore_cli.render.rows.session_registry import CHANGE_FIELDS, change_row

    invocation.emit(Record(CHANGE_FIELDS, change_row(change.entry, change.workflow, changed=change.changed)))
    if not change.changed:
        invocation.say("The client session was not changed.")
