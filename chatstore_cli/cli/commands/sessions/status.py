"""`chatstore sessions complete|fail|pause|unpause`: change the state of an agent workflow's session."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.workflow.lifecycle import StatusAction, lifecycle
from chatstore_cli.domain.errors import ExitCode, NotFound
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.sessions import TRANSITION_COLUMNS, transition_row
from chatstore_cli.wiring.workflow import chat_writer

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]

ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Store this reason with the session.")
]


@command(app, "complete", examples=["chatstore sessions complete 4f1c9a"], exits=_EXITS)
def complete(context: typer.Context, session_id: SessionArgument) -> None:
    """Mark a running workflow session as completed.

    A failed or paused session cannot be completed. The next message or run sets a completed session to running again.
    """
    _apply(context, StatusAction.COMPLETE, session_id)


@command(app, "fail", examples=["chatstore sessions fail 4f1c9a --reason 'agent host lost'"], exits=_EXITS)
def fail(context: typer.Context, session_id: SessionArgument, reason: ReasonOption = None) -> None:
    """Mark a running or paused workflow session as failed.

    A completed session cannot be failed. The next message or run sets a failed session to running again.
    """
    _apply(context, StatusAction.FAIL, session_id, reason)


@command(app, "pause", examples=["chatstore sessions pause 4f1c9a --reason 'waits for approval'"], exits=_EXITS)
def pause(context: typer.Context, session_id: SessionArgument, reason: ReasonOption = None) -> None:
    """Mark a running workflow session as paused.

    The status stays running. The end of a run does not complete a paused session, and `start_run` and
    `resume_chat` of the library report that it is paused. A session that has ended cannot be paused.
    """
    _apply(context, StatusAction.PAUSE, session_id, reason)


@command(app, "unpause", examples=["chatstore sessions unpause 4f1c9a"], exits=_EXITS)
def unpause(context: typer.Context, session_id: SessionArgument) -> None:
    """Unpause a workflow session."""
    _apply(context, StatusAction.UNPAUSE, session_id)


def _apply(context: typer.Context, action: StatusAction, session_id: str, reason: str | None = None) -> None:
    invocation = Invocation(context)
    invocation.will_write()
    try:
        transition = lifecycle(chat_writer(invocation.stores)).apply(action, session_id, reason=reason)
    except NotFound as error:
        found = invocation.stores.contents.foreign_in(invocation.settings.sessions_collection)
        error.hint = f"{found.remark}." if found is not None and found.foreign else error.hint
        raise
    invocation.emit(Listing(TRANSITION_COLUMNS, [transition_row(transition)]))
    if not transition.changed:
        state = f"is already {transition.in_words}"
        if action is StatusAction.UNPAUSE:
            state = f"is {transition.in_words}, not paused"
        note = " The stored reason stays." if reason is not None else ""
        invocation.say(f"Nothing was changed: session {transition.chat_id!r} {state}.{note}")
